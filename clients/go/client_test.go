package sealwright

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	testSecret = "sw_the-secret-of-this-test"
	testToken  = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl"
)

// tokenServer answers every request for a token with another one: TOKEN-1, TOKEN-2 and so on. It keeps the forms.
type tokenServer struct {
	*httptest.Server
	forms []url.Values
	asked atomic.Int32
}

func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	s := &tokenServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		s.forms = append(s.forms, r.PostForm)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"%s-%d","token_type":"Bearer","expires_in":600,"scope":"db:read"}`, testToken, s.asked.Add(1))
	}))
	t.Cleanup(s.Close)
	return s
}

func newTestClient(t *testing.T, url string, options ...ClientOption) *Client {
	t.Helper()
	client, err := NewClient(url, append([]ClientOption{WithSecret("reporter", testSecret)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestEveryParameterIsSent(t *testing.T) {
	server := newTokenServer(t)
	client := newTestClient(t, server.URL+"/")
	if _, err := client.Token(t.Context(), Request{Scope: "db:read a:b", Audience: "https://a.example", Resource: "https://r.example"}); err != nil {
		t.Fatal(err)
	}
	wanted := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"reporter"}, "client_secret": {testSecret},
		"scope": {"db:read a:b"}, "audience": {"https://a.example"}, "resource": {"https://r.example"},
	}
	if got := server.forms[0].Encode(); got != wanted.Encode() {
		t.Errorf("sent %s", got)
	}
	// An empty parameter is not sent.
	if _, err := client.Token(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if len(server.forms[1]) != 3 {
		t.Errorf("sent %s", server.forms[1].Encode())
	}
}

func TestTheChainTakesWhatIsExplicitFirst(t *testing.T) {
	server := newTokenServer(t)
	file := filepath.Join(t.TempDir(), "secret")
	t.Setenv("SEALWRIGHT_CLIENT_ID", "from-environment")
	t.Setenv("SEALWRIGHT_CLIENT_SECRET", "environment-secret")
	ask := func(options ...ClientOption) string {
		t.Helper()
		client, err := NewClient(server.URL, options...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Token(t.Context(), Request{}); err != nil {
			return kindOf(err)
		}
		form := server.forms[len(server.forms)-1]
		return form.Get("client_id") + " " + form.Get("client_secret")
	}
	if got := ask(WithSecret("explicit", "explicit-secret")); got != "explicit explicit-secret" {
		t.Error(got)
	}
	if got := ask(); got != "from-environment environment-secret" {
		t.Error(got)
	}
	t.Setenv("SEALWRIGHT_CLIENT_SECRET", "")
	t.Setenv("SEALWRIGHT_CLIENT_SECRET_FILE", file)
	if got := ask(); got != "Unavailable" {
		t.Error(got)
	}
	os.WriteFile(file, []byte("file-secret\n"), 0o600)
	if got := ask(); got != "from-environment file-secret" {
		t.Error(got)
	}
	if got := ask(WithSecretFile("explicit", file)); got != "explicit file-secret" {
		t.Error(got)
	}
}

func TestASecretThatWasRotatedInItsFileIsFound(t *testing.T) {
	server := newTokenServer(t)
	clock := newFakeClock(1_800_000_000)
	file := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(file, []byte("first"), 0o600)
	client, err := NewClient(server.URL, WithSecretFile("reporter", file), withClock(clock))
	if err != nil {
		t.Fatal(err)
	}
	for i, wanted := range []string{"first", "second"} {
		os.WriteFile(file, []byte(wanted), 0o600)
		if _, err := client.Token(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		if got := server.forms[i].Get("client_secret"); got != wanted {
			t.Errorf("sent %q, wanted %q", got, wanted)
		}
		clock.advance(time.Hour)
	}
}

func TestCredentialsThatAreHalfSetAreAFault(t *testing.T) {
	for _, environment := range []map[string]string{
		{},
		{"SEALWRIGHT_CLIENT_ID": "id"},
		{"SEALWRIGHT_CLIENT_SECRET": "secret"},
		{"SEALWRIGHT_CLIENT_SECRET_FILE": "file"},
		{"SEALWRIGHT_CLIENT_ID": "id", "SEALWRIGHT_CLIENT_SECRET": "secret", "SEALWRIGHT_CLIENT_SECRET_FILE": "file"},
	} {
		if _, err := fromEnvironment(func(name string) string { return environment[name] }); err == nil {
			t.Errorf("%v is accepted", environment)
		}
	}
	for _, option := range []ClientOption{WithSecret("", "secret"), WithSecret("id", ""), WithSecretFile("id", ""), WithTimeout(0)} {
		if _, err := NewClient("https://auth.example", option); err == nil {
			t.Error("an empty option is accepted")
		}
	}
}

func TestABaseURLIsCheckedAndItsPasswordNotShown(t *testing.T) {
	for _, base := range []string{"", "auth.example", "ftp://auth.example", "https://", "https://user:hidden@auth.example", "https://auth.example?a=hidden", "https://auth.example#hidden", "http://[hidden"} {
		_, err := NewClient(base, WithSecret("id", "secret"))
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestACallerThatLeavesDoesNotCancelTheOthers(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	server := roundTrip(func(r *http.Request) (*http.Response, error) {
		close(asked)
		select {
		case <-answer:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return respondJSON(map[string]any{"access_token": testToken, "token_type": "bearer", "expires_in": 600}), nil
	})
	client := newTestClient(t, "https://auth.example", WithTransport(server))
	leaving, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := client.Token(leaving, Request{})
		left <- err
	}()
	<-asked
	go func() {
		_, err := client.Token(t.Context(), Request{})
		stayed <- err
	}()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	close(answer)
	if err := <-stayed; err != nil {
		t.Errorf("the caller that stayed got %v", err)
	}
}

func TestAServerThatHangsIsUnavailableAfterTheTimeout(t *testing.T) {
	server := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	client := newTestClient(t, "https://auth.example", WithTransport(server), WithTimeout(time.Millisecond))
	if _, err := client.Token(t.Context(), Request{}); kindOf(err) != "Unavailable" {
		t.Error(err)
	}
}

func TestARedirectTakesTheSecretNowhere(t *testing.T) {
	elsewhere := newTokenServer(t)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	_, err := newTestClient(t, server.URL).Token(t.Context(), Request{})
	if kindOf(err) != "Unavailable" || elsewhere.asked.Load() != 0 {
		t.Errorf("%v, and %d requests elsewhere", err, elsewhere.asked.Load())
	}
}

func TestAnAgentWithEverNewAudiencesDoesNotGrowForEver(t *testing.T) {
	server := newTokenServer(t)
	clock := newFakeClock(1_800_000_000)
	client := newTestClient(t, server.URL, withClock(clock))
	for i := range 3 * maxIdle {
		if _, err := client.Token(t.Context(), Request{Audience: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		clock.advance(time.Second)
	}
	if kept := len(client.core.cache.entries); kept > maxIdle {
		t.Errorf("%d entries", kept)
	}
}

// showings are all ways to show a value that Go's users know.
func showings(value any) string {
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", value)
		fmt.Fprintf(&out, verb+"\n", struct{ Inside any }{value})
		fmt.Fprintf(&out, verb+"\n", []any{value})
	}
	encoded, _ := json.Marshal(value)
	out.Write(encoded)
	gob.NewEncoder(&out).Encode(value)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("shown", "value", value, "group", slog.GroupValue(slog.Any("inside", value)))
	}
	return out.String()
}

func TestNothingShowsATokenOrASecret(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server := newTokenServer(t)
	client := newTestClient(t, server.URL, WithLogger(log))
	token, err := client.Token(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		client *Client
		byName Client
		token  *Token
		value  Token
	}
	values := []any{
		client, *client, token, *token, holder{client, *client, token, *token}, &holder{client, *client, token, *token},
		client.HTTPClient(Request{}), client.Transport(Request{}, nil), client.TokenSource(t.Context(), Request{}),
		client.core, *client.core.cache.entries[Request{}], client.core.credential,
	}
	// What came from a server must not show in an error either.
	broken := roundTrip(func(*http.Request) (*http.Response, error) {
		return respond(http.StatusOK, nil, `{"access_token":"`+testToken+`","token_type":7}`), nil
	})
	_, err = newTestClient(t, "https://auth.example", WithTransport(broken), WithLogger(log)).Token(t.Context(), Request{})
	values = append(values, err)
	_, err = newTestClient(t, "http://127.0.0.1:1", WithLogger(log)).Token(t.Context(), Request{})
	values = append(values, err)
	for _, value := range values {
		if shown := showings(value); strings.Contains(shown, testSecret) || strings.Contains(shown, testToken) || strings.Contains(shown, "eyJ") {
			t.Errorf("%T shows it: %s", value, shown)
		}
	}
	if text := logged.String(); text == "" || strings.Contains(text, testSecret) || strings.Contains(text, "eyJ") {
		t.Errorf("logged: %s", text)
	}
}

// api is a service that accepts one token.
type api struct {
	*httptest.Server
	good      string
	challenge string
	seen      []string
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{challenge: `Bearer realm="api", error="invalid_token", error_description="The token is revoked."`}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.seen = append(a.seen, r.Header.Get("Authorization")+" "+string(body))
		if r.Header.Get("Authorization") != "Bearer "+a.good {
			w.Header().Set("WWW-Authenticate", a.challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func TestARejectedTokenIsReplacedOnceWithTheSameBody(t *testing.T) {
	service := newAPI(t)
	service.good = testToken + "-2"
	client := newTestClient(t, newTokenServer(t).URL).HTTPClient(Request{Scope: "db:read"})
	response, err := client.Post(service.URL, "text/plain", strings.NewReader("rows"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	wanted := "Bearer " + testToken + "-1 rows|Bearer " + testToken + "-2 rows"
	if got := strings.Join(service.seen, "|"); response.StatusCode != http.StatusOK || got != wanted {
		t.Errorf("%d after %s", response.StatusCode, got)
	}
}

func TestAServiceThatRejectsEveryTokenMakesNoLoop(t *testing.T) {
	service, tokens := newAPI(t), newTokenServer(t)
	client := newTestClient(t, tokens.URL).HTTPClient(Request{Scope: "db:read"})
	for range 3 {
		response, err := client.Get(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	// The first call is made again with another token; within 30 s no other does that.
	if len(service.seen) != 4 || tokens.asked.Load() != 2 {
		t.Errorf("%d calls, %d tokens", len(service.seen), tokens.asked.Load())
	}
}

func TestA401AboutSomethingElseAsksForNoToken(t *testing.T) {
	for _, challenge := range []string{"", "Bearer", `Bearer realm="error"`, `Basic realm="invalid_token"`, `Bearer error="insufficient_scope"`} {
		service, tokens := newAPI(t), newTokenServer(t)
		service.challenge = challenge
		response, err := newTestClient(t, tokens.URL).HTTPClient(Request{}).Get(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if len(service.seen) != 1 || tokens.asked.Load() != 1 {
			t.Errorf("%q: %d calls, %d tokens", challenge, len(service.seen), tokens.asked.Load())
		}
	}
}

func TestAStreamIsNotSentTwice(t *testing.T) {
	service, tokens := newAPI(t), newTokenServer(t)
	response, err := newTestClient(t, tokens.URL).HTTPClient(Request{}).Post(service.URL, "text/plain", io.MultiReader(strings.NewReader("rows")))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized || len(service.seen) != 1 || tokens.asked.Load() != 1 {
		t.Errorf("%d, %d calls, %d tokens", response.StatusCode, len(service.seen), tokens.asked.Load())
	}
}

func TestARedirectToAnotherHostTakesNoToken(t *testing.T) {
	service := newAPI(t)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			fmt.Fprint(w, r.Header.Get("Authorization"))
			return
		}
		http.Redirect(w, r, map[string]string{"/away": service.URL, "/start": "/here"}[r.URL.Path], http.StatusFound)
	}))
	defer door.Close()
	client := newTestClient(t, newTokenServer(t).URL).HTTPClient(Request{})
	response, err := client.Get(door.URL + "/away")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if len(service.seen) != 1 || strings.TrimSpace(service.seen[0]) != "" {
		t.Errorf("the other host saw %q", service.seen)
	}
	if response, err = client.Get(door.URL + "/start"); err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "Bearer "+testToken+"-1" {
		t.Errorf("the same host saw %q", body)
	}
}

func TestARequestIsNotChangedAndItsOwnHeaderStays(t *testing.T) {
	service := newAPI(t)
	service.good = testToken + "-1"
	transport := newTestClient(t, newTokenServer(t).URL).Transport(Request{}, nil)
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, service.URL, nil)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if len(request.Header) != 0 || response.StatusCode != http.StatusOK {
		t.Errorf("%v, status %d", request.Header, response.StatusCode)
	}
	request.Header.Set("Authorization", "Basic own")
	if response, err = transport.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if service.seen[1] != "Basic own " {
		t.Errorf("saw %q", service.seen[1])
	}
}

func TestTheOAuth2TokenHasEverythingThatItsUsersRead(t *testing.T) {
	source := newTestClient(t, newTokenServer(t).URL).TokenSource(t.Context(), Request{Scope: "db:read"})
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if token.AccessToken != testToken+"-1" || token.Type() != "Bearer" || !token.Valid() || token.Extra("scope") != "db:read" {
		t.Errorf("%s, scope %v, expiry %v", token.Type(), token.Extra("scope"), token.Expiry)
	}
}

func BenchmarkWarmToken(b *testing.B) {
	server := roundTrip(func(*http.Request) (*http.Response, error) {
		return respondJSON(map[string]any{"access_token": testToken, "token_type": "Bearer", "expires_in": 600}), nil
	})
	client, err := NewClient("https://auth.example", WithSecret("id", "secret"), WithTransport(server))
	if err != nil {
		b.Fatal(err)
	}
	request := Request{Scope: "db:read", Audience: "https://api.example"}
	for b.Loop() {
		if _, err := client.Token(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}
