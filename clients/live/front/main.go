// A proxy that gives each request to the next one of several servers, as a load balancer does.
//
//	front LISTEN SERVER…
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: front LISTEN SERVER…")
	}
	var servers []*url.URL
	for _, address := range os.Args[2:] {
		server, err := url.Parse(address)
		if err != nil {
			log.Fatal(err)
		}
		servers = append(servers, server)
	}
	var requests atomic.Uint64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(servers[requests.Add(1)%uint64(len(servers))])
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 2_000},
	}
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}
