// Runs one check, by its name in tests/clients/table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const audience = "https://api.example"

var (
	issuer = os.Getenv("ISSUER")
	id     = os.Getenv("CLIENT_ID")
	secret = os.Getenv("CLIENT_SECRET")
	// A secret in the form of a real one. It belongs to no agent.
	wrongSecret = "sw_wrong" + strings.Repeat("x", 56)
)

func main() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	switch os.Args[1] {
	case "oauth2":
		checkClient(ctx)
		done("golang.org/x/oauth2", "token, kept and renewed 60 s before its end; after a 401 another, once; `private_key_jwt` with a source that signs; a wrong secret is `oauth2: \"invalid_client\"` with the reason")
	case "go-oidc":
		checkVerifier(ctx)
		done("github.com/coreos/go-oidc/v3", "discovery; verified offline; another audience, a forged signature and a revoked `jti` are refused; 503, not 401, while the keys cannot be had")
	}
}

func checkClient(ctx context.Context) {
	transport, err := NewTransport(ctx, issuer, id, secret, audience, "db:read", "files:read")
	must(err)
	token, err := transport.source.Token()
	must(err)
	expect("scope", token.Extra("scope"), "db:read files:read")
	left := time.Until(token.Expiry)
	expect("lifetime", 500*time.Second < left && left <= 600*time.Second, true)

	// A service that accepts a live token for the audience `wanted`.
	wanted, asked := audience, 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); introspect(r.Context(), bearer) != "active "+wanted {
			http.Error(w, "a valid token is needed", http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		must(err)
		io.WriteString(w, "active "+string(body))
	}))
	defer api.Close()
	client := &http.Client{Transport: transport}
	expect("a good token", get(client, api.URL), "200 active")
	kept, err := transport.source.Token()
	must(err)
	expect("the token is kept", kept.AccessToken, token.AccessToken)

	revoke(ctx, token.AccessToken)
	asked = 0
	expect("after a revocation", send(client, api.URL, "rows"), "200 active rows")
	expect("requests", asked, 2)
	kept, err = transport.source.Token()
	must(err)
	expect("another token", kept.AccessToken != token.AccessToken, true)
	wanted, asked = "https://other.example", 0
	expect("another audience", get(client, api.URL), "401 a valid token is needed")
	expect("requests", asked, 2)

	// A token is renewed 60 s before it expires, but not yet 75 s before.
	for lifetime, renewed := range map[int]bool{60: true, 75: false} {
		var brief *httptest.Server
		brief = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Method == http.MethodGet {
				fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, brief.URL, brief.URL)
				return
			}
			asked++
			fmt.Fprintf(w, `{"access_token":"%d","token_type":"Bearer","expires_in":%d}`, asked, lifetime)
		}))
		transport, err := NewTransport(ctx, brief.URL, id, secret, audience)
		must(err)
		source := transport.source
		first, err := source.Token()
		must(err)
		second, err := source.Token()
		must(err)
		expect(fmt.Sprint(lifetime, " s"), first.AccessToken != second.AccessToken, renewed)
		brief.Close()
	}

	checkOwnKey(ctx)

	transport, err = NewTransport(ctx, issuer, id, wrongSecret, audience)
	must(err)
	_, err = (&http.Client{Transport: transport}).Get(api.URL)
	var refused *oauth2.RetrieveError
	expect("a wrong secret is refused", errors.As(err, &refused), true)
	expect("a wrong secret", refused.Error(),
		`oauth2: "invalid_client" "Client authentication failed. Invalid client_id or client_secret."`)
}

func checkVerifier(ctx context.Context) {
	verifier, err := NewVerifier(ctx, issuer, audience)
	must(err)
	go verifier.Poll(ctx, 100*time.Millisecond)
	hello := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }
	api := httptest.NewServer(verifier.Protect("db:read", hello))
	defer api.Close()

	token := tokenFor(ctx, audience, "db:read")
	expect("a good token", get(bearing(ctx, token), api.URL), "200 hello")
	expect("no token", get(http.DefaultClient, api.URL), "401 a valid token is needed")
	lacking := tokenFor(ctx, audience, "files:read")
	expect("another scope", get(bearing(ctx, lacking), api.URL), "403 the token lacks db:read")
	other := tokenFor(ctx, "https://other.example", "db:read")
	expect("another audience", get(bearing(ctx, other), api.URL), "401 a valid token is needed")

	forged := token[:len(token)-10] + strings.Repeat("A", 10)
	expect("a forged signature", get(bearing(ctx, forged), api.URL), "401 a valid token is needed")

	revoke(ctx, token)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err = verifier.Verify(ctx, token); err != nil {
			break
		}
	}
	expect("revoked", err != nil && strings.HasSuffix(err.Error(), " is revoked"), true)
	expect("a revoked token", get(bearing(ctx, token), api.URL), "401 a valid token is needed")

	// Without the keys, the service cannot check a token, so it must not answer 401.
	gone := httptest.NewServer(http.NotFoundHandler())
	blind := &Verifier{signed: oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(ctx, gone.URL), &oidc.Config{ClientID: audience})}
	blindAPI := httptest.NewServer(blind.Protect("db:read", hello))
	defer blindAPI.Close()
	fresh := tokenFor(ctx, audience, "db:read")
	expect("no keys", get(bearing(ctx, fresh), blindAPI.URL), "503 try again")
	gone.Close()
	expect("no server", get(bearing(ctx, fresh), blindAPI.URL), "503 try again")
	expect("no token", get(http.DefaultClient, blindAPI.URL), "401 a valid token is needed")

	_, err = oidc.NewProvider(ctx, issuer+"/")
	expect("another issuer", err != nil && strings.Contains(err.Error(), "issuer URL provided to client"), true)
}

func tokenFor(ctx context.Context, audience, scope string) string {
	transport, err := NewTransport(ctx, issuer, id, secret, audience, scope)
	must(err)
	token, err := transport.source.Token()
	must(err)
	return token.AccessToken
}

func bearing(ctx context.Context, token string) *http.Client {
	return oauth2.NewClient(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
}

func introspect(ctx context.Context, token string) string {
	endpoint := endpoint(ctx, "introspection_endpoint")
	var answer struct {
		Active bool
		Aud    string
	}
	_, body, _ := strings.Cut(post(ctx, endpoint, os.Getenv("SERVICE_ID"), os.Getenv("SERVICE_SECRET"), token), " ")
	must(json.Unmarshal([]byte(body), &answer))
	if answer.Active {
		return "active " + answer.Aud
	}
	return "inactive"
}

func revoke(ctx context.Context, token string) {
	expect("revocation", post(ctx, endpoint(ctx, "revocation_endpoint"), id, secret, token), "200 {}")
}

func endpoint(ctx context.Context, name string) string {
	provider, err := oidc.NewProvider(ctx, issuer)
	must(err)
	metadata := map[string]any{}
	must(provider.Claims(&metadata))
	return metadata[name].(string)
}

func post(ctx context.Context, endpoint, id, secret, token string) string {
	body := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, body)
	must(err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return do(http.DefaultClient, request)
}

func get(client *http.Client, url string) string {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	must(err)
	return do(client, request)
}

func send(client *http.Client, url, body string) string {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	must(err)
	return do(client, request)
}

func do(client *http.Client, request *http.Request) string {
	response, err := client.Do(request)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body)))
}

// Prints the last line, which tests/clients/run reads.
func done(module, did string) {
	build, _ := debug.ReadBuildInfo()
	for _, dependency := range build.Deps {
		if dependency.Path == module {
			fmt.Printf("%s: %s\n", strings.TrimPrefix(dependency.Version, "v"), did)
			return
		}
	}
	must(fmt.Errorf("%s is not built in", module))
}

func expect(what string, seen, wanted any) {
	if seen != wanted {
		must(fmt.Errorf("%s: saw %v, wanted %v", what, seen, wanted))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
