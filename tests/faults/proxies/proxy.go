// A reverse proxy made with Go's standard library.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
)

func main() {
	server, err := url.Parse("http://127.0.0.1:UPSTREAM")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:LISTEN", httputil.NewSingleHostReverseProxy(server)))
}
