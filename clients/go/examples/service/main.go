// A service that accepts tokens: GET /read needs db:read, and GET /write needs db:write.
//
//	SEALWRIGHT_URL=https://auth.example SEALWRIGHT_AUDIENCE=https://api.example LISTEN=127.0.0.1:8000 go run ./examples/service
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sealwright.example/sealwright"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	verifier, err := sealwright.NewVerifier(os.Getenv("SEALWRIGHT_URL"), os.Getenv("SEALWRIGHT_AUDIENCE"))
	if err != nil {
		return err
	}
	defer verifier.Close()
	listener, err := net.Listen("tcp", os.Getenv("LISTEN"))
	if err != nil {
		return err
	}
	log.Printf("listening on %s", listener.Addr())
	server := &http.Server{Handler: routes(verifier), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		server.Shutdown(context.WithoutCancel(ctx))
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// recipe: service
func routes(verifier *sealwright.Verifier) http.Handler {
	routes := http.NewServeMux()
	routes.Handle("GET /read", verifier.RequireFunc(read, "db:read"))
	routes.Handle("GET /write", verifier.RequireFunc(write, "db:write"))
	return routes
}

func read(w http.ResponseWriter, r *http.Request) {
	claims, _ := sealwright.ClaimsFrom(r.Context())
	fmt.Fprintf(w, "rows for %s\n", claims.ClientID)
}

// end of recipe

func write(w http.ResponseWriter, r *http.Request) {
	claims, _ := sealwright.ClaimsFrom(r.Context())
	fmt.Fprintf(w, "written by %s\n", claims.ClientID)
}
