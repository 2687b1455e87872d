package sealwright

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const testAudience = "https://api.example"

// authServer is a small server with keys and a feed that holds polls.
type authServer struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	keys    map[string]*rsa.PrivateKey
	away    bool
	version int
	agents  []map[string]any
	changed chan struct{}
	fetches int
	polls   []*http.Request
	// cutAfter is when something on the way cuts what is held.
	cutAfter time.Duration
}

var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 3)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func newAuthServer(t *testing.T) *authServer {
	t.Helper()
	s := &authServer{t: t, keys: map[string]*rsa.PrivateKey{"first": testKeys()[0]}, version: 1, agents: []map[string]any{}, changed: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *authServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	switch {
	case away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == metadataPath:
		json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.URL + "/keys"})
	case r.URL.Path == "/keys":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fetches++
		var set jose.JSONWebKeySet
		for id, key := range s.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
		}
		json.NewEncoder(w).Encode(set)
	case r.URL.Path == listPath:
		s.feed(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *authServer) feed(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.polls = append(s.polls, r)
	changed, cut := s.changed, s.cutAfter
	news := r.URL.Query().Get("since") != fmt.Sprint(s.version)
	s.mu.Unlock()
	if r.URL.Query().Has("wait") && !news {
		timer := time.NewTimer(pollWait)
		defer timer.Stop()
		if cut > 0 {
			timer.Reset(cut)
		}
		select {
		case <-changed:
		case <-timer.C:
			if cut > 0 {
				panic(http.ErrAbortHandler)
			}
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(map[string]any{
		"since": nil, "version": s.version, "revoked_tokens": []any{}, "revoked_agents": s.agents, "revoked_orgs": []any{}, "revoked_keys": []any{},
	})
}

// kill raises the epoch of an agent.
func (s *authServer) kill(agent string, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = append(s.agents, map[string]any{"agent": hashAgent(agent), "epoch": epoch, "exp": time.Now().Add(longestLife).Unix()})
	s.version++
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *authServer) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *authServer) addKey(id string, key *rsa.PrivateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}

// token signs claims like those of the server, changed by more.
func (s *authServer) token(keyID string, key *rsa.PrivateKey, more map[string]any) string {
	s.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, (&jose.SignerOptions{}).WithType(accessToken))
	if err != nil {
		s.t.Fatal(err)
	}
	// Issued a minute ago, so that the fake clock of a test that takes its time is never behind it.
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": s.URL, "sub": "reporter", "client_id": "reporter", "aud": testAudience, "scope": "db:read", "jti": fmt.Sprint(rand.Text()), "epoch": 7, "iat": now - 60, "exp": now + 600,
	}
	for name, value := range more {
		claims[name] = value
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *authServer) good() string { return s.token("first", testKeys()[0], nil) }

func newTestVerifier(t *testing.T, server *authServer, options ...VerifierOption) *Verifier {
	t.Helper()
	verifier, err := NewVerifier(server.URL, testAudience, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	return verifier
}

// eventually waits until a verdict is the wanted one.
func eventually(t *testing.T, wanted string, verdict func() error) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := verdictOf(verdict())
		if got == wanted {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("still %s, wanted %s", got, wanted)
		}
	}
}

func TestAKillReachesAVerifierThatWaits(t *testing.T) {
	server := newAuthServer(t)
	verifier := newTestVerifier(t, server)
	token, other := server.good(), server.token("first", testKeys()[0], map[string]any{"client_id": "other", "sub": "other"})
	for _, each := range []string{token, other} {
		if _, err := verifier.Verify(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	server.kill("reporter", 8)
	eventually(t, "revoked", func() error { _, err := verifier.Verify(t.Context(), token); return err })
	if _, err := verifier.Verify(t.Context(), other); err != nil {
		t.Error(err)
	}
}

func TestAPollSaysWhoEnforcesWhat(t *testing.T) {
	server := newAuthServer(t)
	reporter := newTestClient(t, newTokenServer(t).URL)
	verifier := newTestVerifier(t, server, WithReporter(reporter, "api"))
	if _, err := verifier.Verify(t.Context(), server.good()); err != nil {
		t.Fatal(err)
	}
	server.kill("reporter", 8)
	eventually(t, "accept", func() error {
		server.mu.Lock()
		defer server.mu.Unlock()
		last := server.polls[len(server.polls)-1]
		name, version, _ := strings.Cut(last.Header.Get("Sealwright-Verifier"), "; version=")
		if version != "2" || !strings.HasPrefix(name, "api/") || !strings.HasPrefix(last.Header.Get("Authorization"), "Bearer ") {
			return fmt.Errorf("%q %q", last.Header.Get("Sealwright-Verifier"), last.Header.Get("Authorization"))
		}
		return nil
	})
	server.mu.Lock()
	defer server.mu.Unlock()
	if first := server.polls[0].Header.Get("Sealwright-Verifier"); first != "" {
		t.Errorf("a verifier that enforces nothing says %q", first)
	}
}

func TestWhatIsHeldAndCutStillLetsAKillThrough(t *testing.T) {
	server := newAuthServer(t)
	server.cutAfter = 10 * time.Millisecond
	verifier := newTestVerifier(t, server)
	token := server.good()
	if _, err := verifier.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	// Cuts are failures, so the verifier asks without waiting in between.
	eventually(t, "accept", func() error {
		server.mu.Lock()
		defer server.mu.Unlock()
		for _, poll := range server.polls[1:] {
			if !poll.URL.Query().Has("wait") {
				return nil
			}
		}
		return errors.New("every poll waits")
	})
	server.kill("reporter", 8)
	eventually(t, "revoked", func() error { _, err := verifier.Verify(t.Context(), token); return err })
}

func TestAPollReportsNothingWhileItsTokenIsLate(t *testing.T) {
	for status, reports := range map[int]bool{http.StatusServiceUnavailable: false, http.StatusUnauthorized: true} {
		word := map[bool]string{false: "temporarily_unavailable", true: "invalid_client"}[reports]
		server := newAuthServer(t)
		client, err := NewClient(server.URL, WithSecret("services", testSecret), WithTransport(roundTrip(func(*http.Request) (*http.Response, error) {
			return respond(status, nil, `{"error":"`+word+`"}`), nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		v := newQuietVerifier(t, server, newFakeClock(time.Now().Unix()), WithReporter(client, "api"))
		p, _ := v.feed.due()
		p.wait = 0
		v.turn(t.Context(), p)
		last := server.polls[len(server.polls)-1]
		if (last.Header.Get("Sealwright-Verifier") != "") != reports || last.Header.Get("Authorization") != "" {
			t.Errorf("status %d: %v", status, last.Header)
		}
	}
}

func TestAnUnknownKeyIsFetchedTwiceIn30SecondsAtMost(t *testing.T) {
	clock := newFakeClock(time.Now().Unix())
	server := newAuthServer(t)
	v := newQuietVerifier(t, server, clock)
	if _, err := v.verify(t.Context(), server.good()); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		forged := server.token(fmt.Sprint("forged-", i), testKeys()[2], nil)
		if _, err := v.verify(t.Context(), forged); verdictOf(err) != "key" {
			t.Fatal(err)
		}
	}
	if server.fetches != 3 {
		t.Errorf("%d fetches", server.fetches)
	}
	server.addKey("second", testKeys()[1])
	clock.advance(keysRetry)
	if _, err := v.verify(t.Context(), server.token("second", testKeys()[1], map[string]any{"iat": clock.now().Unix()})); err != nil {
		t.Error(err)
	}
}

// newQuietVerifier makes a verifier that knows an empty list and polls only when a test says so.
func newQuietVerifier(t *testing.T, server *authServer, clock clock, options ...VerifierOption) *verifierCore {
	t.Helper()
	v, err := newVerifierCore(server.URL, testAudience, append(options, withVerifierClock(clock))...)
	if err != nil {
		t.Fatal(err)
	}
	v.keys.lag = 0
	close(v.done)
	p, _ := v.feed.due()
	v.turn(t.Context(), p)
	return v
}

func TestKeysAreKeptThroughAnOutageAndAnUnknownOneIsNoVerdictThen(t *testing.T) {
	clock := newFakeClock(time.Now().Unix())
	server := newAuthServer(t)
	v := newQuietVerifier(t, server, clock, WithAcceptWhenStale())
	if _, err := v.verify(t.Context(), server.good()); err != nil {
		t.Fatal(err)
	}
	server.setAway(true)
	for range 12 {
		clock.advance(5 * time.Minute)
		late := map[string]any{"exp": clock.now().Unix() + 600}
		if _, err := v.verify(t.Context(), server.token("first", testKeys()[0], late)); err != nil {
			t.Fatal(err)
		}
		if _, err := v.verify(t.Context(), server.token("second", testKeys()[1], late)); verdictOf(err) != "unavailable" {
			t.Fatal(err)
		}
	}
}

func TestWithoutKeysNothingIsAVerdict(t *testing.T) {
	server := newAuthServer(t)
	server.setAway(true)
	verifier := newTestVerifier(t, server)
	if _, err := verifier.Verify(t.Context(), server.good()); verdictOf(err) != "unavailable" {
		t.Error(err)
	}
	// What can be judged without keys is.
	if _, err := verifier.Verify(t.Context(), "garbage"); verdictOf(err) != "malformed" {
		t.Error(err)
	}
	server.setAway(false)
	eventually(t, "accept", func() error { _, err := verifier.Verify(t.Context(), server.good()); return err })
}

func TestTheMetadataOfAnotherIssuerIsRefused(t *testing.T) {
	server := newAuthServer(t)
	verifier, err := NewVerifier(server.URL+"/", testAudience)
	if err != nil {
		t.Fatal(err)
	}
	defer verifier.Close()
	if _, err := verifier.Verify(t.Context(), server.good()); verdictOf(err) != "unavailable" || !strings.Contains(err.Error(), "issuer") {
		t.Error(err)
	}
}

func TestTheMetadataOfAnIssuerWithAPathIsFound(t *testing.T) {
	for issuer, wanted := range map[string]string{
		"https://a.example":         "https://a.example/.well-known/oauth-authorization-server",
		"https://a.example/":        "https://a.example/.well-known/oauth-authorization-server",
		"https://a.example/tenant":  "https://a.example/.well-known/oauth-authorization-server/tenant",
		"https://a.example/a/b/":    "https://a.example/.well-known/oauth-authorization-server/a/b",
		"http://127.0.0.1:3000/t-1": "http://127.0.0.1:3000/.well-known/oauth-authorization-server/t-1",
	} {
		if got, err := metadataURL(issuer); err != nil || got != wanted {
			t.Errorf("%s: %s, %v", issuer, got, err)
		}
	}
}

func TestAKeyThatLeftTheSetIsUsedNoMore(t *testing.T) {
	clock := newFakeClock(time.Now().Unix())
	server := newAuthServer(t)
	server.addKey("second", testKeys()[1])
	v := newQuietVerifier(t, server, clock, WithAcceptWhenStale())
	token := server.token("second", testKeys()[1], map[string]any{"exp": clock.now().Unix() + 86_400})
	if _, err := v.verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	delete(server.keys, "second")
	server.mu.Unlock()
	clock.advance(keysFresh)
	eventually(t, "key", func() error { _, err := v.verify(t.Context(), token); return err })
}

func TestAKeySetIsTakenWithoutWhatItIsNotFor(t *testing.T) {
	k := &keySet{clock: newFakeClock(0)}
	for name, set := range map[string]string{"no JSON": "<html>", "empty": `{"keys":[]}`, "no keys": `{}`, "a symmetric one": `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`} {
		if k.set([]byte(set)) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	good, _ := json.Marshal(jose.JSONWebKey{Key: testKeys()[0].Public(), KeyID: "first", Algorithm: "RS256", Use: "sig"})
	mixed := `{"keys":[{"kty":"AKP","kid":"new","alg":"ML-DSA-44"},{"kty":"RSA","kid":"broken","n":"!","e":"AQAB"},` + string(good) + `]}`
	if err := k.set([]byte(mixed)); err != nil || len(k.keys) != 1 || k.keys["first"] == nil {
		t.Errorf("%v, %d keys", err, len(k.keys))
	}
}

func TestAServiceThatRestartsInAnOutageGoesOn(t *testing.T) {
	server := newAuthServer(t)
	path := filepath.Join(t.TempDir(), "cache.json")
	server.kill("killed", 8)
	first := newTestVerifier(t, server, WithCacheFile(path))
	if _, err := first.Verify(t.Context(), server.good()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "accept", func() error {
		content, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(content), "keySet") {
			first.core.store()
			err = errors.New("no keys yet")
		}
		return err
	})
	first.Close()
	server.setAway(true)
	second := newTestVerifier(t, server, WithCacheFile(path))
	if _, err := second.Verify(t.Context(), server.good()); err != nil {
		t.Error(err)
	}
	killed := server.token("first", testKeys()[0], map[string]any{"client_id": "killed"})
	if _, err := second.Verify(t.Context(), killed); verdictOf(err) != "revoked" {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAVerifierThatIsClosedPollsNoMore(t *testing.T) {
	server := newAuthServer(t)
	verifier := newTestVerifier(t, server)
	if _, err := verifier.Verify(t.Context(), server.good()); err != nil {
		t.Fatal(err)
	}
	verifier.Close()
	verifier.Close()
	if _, err := verifier.Verify(t.Context(), server.good()); err != nil {
		t.Error(err)
	}
}

func TestSeenTokensAreForgotten(t *testing.T) {
	seen := newSeenTokens()
	for i := range 5 * maxSeen {
		seen.keep(fmt.Sprint(i), &rawClaims{})
		seen.find("0")
	}
	if len(seen.new)+len(seen.old) > 2*maxSeen {
		t.Errorf("%d are kept", len(seen.new)+len(seen.old))
	}
	if seen.find("0") == nil || seen.find("1") != nil {
		t.Error("a token that is used is forgotten, or one that is not is kept")
	}
}

func TestWhatACallerDoesToItsClaimsReachesNobody(t *testing.T) {
	server := newAuthServer(t)
	verifier := newTestVerifier(t, server)
	token := server.good()
	claims, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	claims.Scopes[0], claims.ClientID = "admin:orgs", "operator"
	again, err := verifier.Verify(t.Context(), token)
	if err != nil || again.HasScope("admin:orgs") || again.ClientID != "reporter" {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestTheDoorAnswersAsRFC6750Says(t *testing.T) {
	server := newAuthServer(t)
	verifier := newTestVerifier(t, server)
	door := verifier.Require("db:read", "db:write")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := ClaimsFrom(r.Context())
		io.WriteString(w, claims.ClientID)
	}))
	both := server.token("first", testKeys()[0], map[string]any{"scope": "db:read db:write"})
	for _, c := range []struct {
		name      string
		fields    []string
		status    int
		challenge string
	}{
		{"a good token", []string{"Bearer " + both}, 200, ""},
		{"another letter case", []string{"bEARER " + both}, 200, ""},
		{"no token", nil, 401, `Bearer scope="db:read db:write"`},
		{"another scheme", []string{"Basic YTpi"}, 401, `Bearer scope="db:read db:write"`},
		{"no token behind the scheme", []string{"Bearer "}, 401, `Bearer error="invalid_token", error_description="The token is not valid.", scope="db:read db:write"`},
		{"garbage", []string{"Bearer garbage"}, 401, `Bearer error="invalid_token", error_description="The token is not valid.", scope="db:read db:write"`},
		{"a scope is missing", []string{"Bearer " + server.good()}, 403, `Bearer error="insufficient_scope", error_description="The token lacks db:write.", scope="db:read db:write"`},
		{"two fields", []string{"Bearer " + both, "Bearer " + both}, 400, `Bearer error="invalid_request", error_description="There is more than one Authorization header field.", scope="db:read db:write"`},
		{"expired", []string{"Bearer " + server.token("first", testKeys()[0], map[string]any{"exp": 1_000_000_000})}, 401, `Bearer error="invalid_token", error_description="The token is expired.", scope="db:read db:write"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			request.Header["Authorization"] = c.fields
			answer := httptest.NewRecorder()
			door.ServeHTTP(answer, request)
			if answer.Code != c.status || answer.Header().Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%d %s", answer.Code, answer.Header().Get("WWW-Authenticate"))
			}
			if c.status != 200 && !json.Valid(answer.Body.Bytes()) {
				t.Errorf("body %s", answer.Body)
			}
		})
	}
}

func TestTheDoorAnswers503WhenItCannotVerify(t *testing.T) {
	server := newAuthServer(t)
	server.setAway(true)
	door := newTestVerifier(t, server).RequireFunc(func(http.ResponseWriter, *http.Request) { t.Error("let in") }, "db:read")
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+server.good())
	answer := httptest.NewRecorder()
	door.ServeHTTP(answer, request)
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || answer.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
}

func TestAVerifierShowsNothing(t *testing.T) {
	server := newAuthServer(t)
	verifier := newTestVerifier(t, server, WithReporter(newTestClient(t, newTokenServer(t).URL), "api"))
	token := server.good()
	claims, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	_, refused := verifier.Verify(t.Context(), token[:len(token)-4]+"AAAA")
	for _, value := range []any{verifier, *verifier, claims, refused, struct{ v *Verifier }{verifier}} {
		if shown := showings(value); strings.Contains(shown, testSecret) || strings.Contains(shown, "eyJ") {
			t.Errorf("%T shows it: %s", value, shown)
		}
	}
}

func TestManyCallersOfAnUnknownKeyMakeOneFetch(t *testing.T) {
	server := newAuthServer(t)
	verifier := newTestVerifier(t, server)
	token := server.good()
	var callers sync.WaitGroup
	var faults atomic.Int32
	for range 200 {
		callers.Go(func() {
			if _, err := verifier.Verify(context.WithoutCancel(t.Context()), token); err != nil {
				faults.Add(1)
			}
		})
	}
	callers.Wait()
	if faults.Load() != 0 || server.fetches != 1 {
		t.Errorf("%d refused, %d fetches", faults.Load(), server.fetches)
	}
}
