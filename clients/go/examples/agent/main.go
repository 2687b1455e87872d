// An agent whose many parts need tokens at once. It asks CALLERS times for each scope of SCOPES, and counts how many
// different tokens it got.
//
//	SEALWRIGHT_URL=https://auth.example SEALWRIGHT_CLIENT_ID=… SEALWRIGHT_CLIENT_SECRET=… \
//	SEALWRIGHT_AUDIENCE=https://api.example SCOPES=db:read,db:write CALLERS=50 go run ./examples/agent
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"

	"sealwright.example/sealwright"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	// The id and the secret are in the environment.
	client, err := sealwright.NewClient(os.Getenv("SEALWRIGHT_URL"))
	if err != nil {
		return err
	}
	scopes := strings.Split(os.Getenv("SCOPES"), ",")
	callers, err := strconv.Atoi(os.Getenv("CALLERS"))
	if err != nil {
		return fmt.Errorf("CALLERS: %w", err)
	}
	tokens := make([]string, len(scopes)*callers)
	faults := make([]error, len(tokens))
	var asking sync.WaitGroup
	for i := range tokens {
		asking.Go(func() {
			wanted := sealwright.Request{Scope: scopes[i%len(scopes)], Audience: os.Getenv("SEALWRIGHT_AUDIENCE")}
			token, err := client.Token(ctx, wanted)
			if err != nil {
				faults[i] = err
				return
			}
			tokens[i] = token.AccessToken()
		})
	}
	asking.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	distinct := map[string]bool{}
	for _, token := range tokens {
		distinct[token] = true
	}
	fmt.Printf("%+v\n", client)
	fmt.Printf("tokens=%d distinct=%d\n", len(tokens), len(distinct))
	return nil
}
