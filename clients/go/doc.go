// Package sealwright gets tokens from a Sealwright server, and verifies them.
//
// An agent makes a [Client], which keeps one token for each scope and audience, renews it in time and
// asks once however many callers there are:
//
//	client, err := sealwright.NewClient("https://auth.example")
//	…
//	api := client.HTTPClient(sealwright.Request{Scope: "db:read", Audience: "https://api.example"})
//	response, err := api.Get("https://api.example/rows")
//
// A service makes a [Verifier], which checks tokens without a request to the server, and learns within
// two seconds that one was revoked:
//
//	verifier, err := sealwright.NewVerifier("https://auth.example", "https://api.example")
//	…
//	defer verifier.Close()
//	http.Handle("GET /rows", verifier.Require("db:read")(rows))
//
// What went wrong is told by types: [InvalidClient], [AgentSuspended], [QuotaReached], [ScopeDenied],
// [RateLimited], [InvalidRequest] and [Unavailable] by a Client, [InvalidToken], [InsufficientScope] and
// [Unavailable] by a Verifier. Find them with [errors.As]. Unavailable is never a verdict: a service that cannot
// check a token answers 503, and a client keeps its token.
//
// No value of this package shows a token or a secret when it is printed, logged or encoded.
package sealwright
