package main

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"sealwright.example/sealwright"
)

// sample is how many tokens a figure of verification is taken from.
const sample = 2_000

func (r *run) figures() []step {
	return []step{
		{"warm-token", r.measureWarmToken},
		{"verification", r.measureVerification},
		{"seen-token", r.measureSeenToken},
		{"verifiers-long-poll", func(ctx context.Context) (string, error) {
			return r.measureVerifiers(ctx, http.DefaultTransport, 2*time.Second)
		}},
		{"verifiers-polling", func(ctx context.Context) (string, error) {
			return r.measureVerifiers(ctx, refusesWait{}, 16*time.Second)
		}},
		{"convergence", r.measureConvergence},
	}
}

// atMost is the figure, and an error if it is above its bound.
func atMost(seen, bound time.Duration) (string, error) {
	text := fmt.Sprintf("%v (at most %v)", seen, bound)
	if seen > bound {
		return "", errors.New(text)
	}
	return text, nil
}

func (r *run) measureWarmToken(ctx context.Context) (string, error) {
	if _, err := r.client.Token(ctx, r.read()); err != nil {
		return "", err
	}
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := r.client.Token(ctx, r.read()); err != nil {
				b.Fatal(err)
			}
		}
	})
	return atMost(time.Duration(result.NsPerOp()), 2*time.Microsecond)
}

// issuer is a small one, whose tokens cost no requests.
type issuer struct {
	server *httptest.Server
	key    *rsa.PrivateKey
	tokens []string
}

func newIssuer(audience string) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key}
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			json.NewEncoder(w).Encode(map[string]string{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys"})
		case "/keys":
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Use: "sig", Algorithm: "RS256"}}})
		default:
			io.WriteString(w, `{"since":null,"version":1,"revoked_tokens":[],"revoked_agents":[],"revoked_orgs":[],"revoked_keys":[]}`)
		}
	}))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	for n := range sample {
		token, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": i.server.URL, "sub": "agent", "client_id": "agent", "aud": audience, "scope": "db:read files:read", "jti": fmt.Sprintf("0199f3a0-0000-7000-8000-%012d", n),
			"epoch": 7, "iat": now, "exp": now + 600,
		}).Serialize()
		if err != nil {
			return nil, err
		}
		i.tokens = append(i.tokens, token)
	}
	return i, nil
}

// medians of the times that each token takes, by each of the functions.
func medians(tokens []string, verify ...func(string) error) ([]time.Duration, error) {
	times := make([][]time.Duration, len(verify))
	for _, token := range tokens {
		for n, verify := range verify {
			began := time.Now()
			if err := verify(token); err != nil {
				return nil, err
			}
			times[n] = append(times[n], time.Since(began))
		}
	}
	var medians []time.Duration
	for _, times := range times {
		slices.Sort(times)
		medians = append(medians, times[len(times)/2])
	}
	return medians, nil
}

func (r *run) measureVerification(ctx context.Context) (string, error) {
	i, err := newIssuer(r.audience)
	if err != nil {
		return "", err
	}
	defer i.server.Close()
	verifier, err := sealwright.NewVerifier(i.server.URL, r.audience)
	if err != nil {
		return "", err
	}
	defer verifier.Close()
	if _, err := verifier.Verify(ctx, i.tokens[0]); err != nil {
		return "", err
	}
	expected := jwt.Expected{Issuer: i.server.URL, AnyAudience: jwt.Audience{r.audience}}
	alone := func(token string) error {
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			return err
		}
		var claims jwt.Claims
		var more struct {
			ClientID string `json:"client_id"`
			Scope    string `json:"scope"`
			Epoch    int64  `json:"epoch"`
		}
		if err := parsed.Claims(i.key.Public(), &claims, &more); err != nil {
			return err
		}
		return claims.ValidateWithLeeway(expected, 0)
	}
	ours := func(token string) error {
		_, err := verifier.Verify(ctx, token)
		return err
	}
	// In turns, so that a busy machine slows both.
	medians, err := medians(i.tokens[1:], alone, ours)
	if err != nil {
		return "", err
	}
	theirs, took := medians[0], medians[1]
	text := fmt.Sprintf("%v, go-jose alone %v: %.2f times (at most 1.5)", took, theirs, float64(took)/float64(theirs))
	if float64(took) > 1.5*float64(theirs) {
		return "", errors.New(text)
	}
	return text, nil
}

func (r *run) measureSeenToken(ctx context.Context) (string, error) {
	i, err := newIssuer(r.audience)
	if err != nil {
		return "", err
	}
	defer i.server.Close()
	verifier, err := sealwright.NewVerifier(i.server.URL, r.audience)
	if err != nil {
		return "", err
	}
	defer verifier.Close()
	verify := func(token string) error {
		_, err := verifier.Verify(ctx, token)
		return err
	}
	if _, err := medians(i.tokens, verify); err != nil {
		return "", err
	}
	took, err := medians(i.tokens, verify)
	if err != nil {
		return "", err
	}
	return atMost(took[0], 20*time.Microsecond)
}

// measureVerifiers is how long it takes from the start of `agent suspend` until every verifier refuses.
func (r *run) measureVerifiers(ctx context.Context, transport http.RoundTripper, bound time.Duration) (string, error) {
	count, err := strconv.Atoi(os.Getenv("LIVE_VERIFIERS"))
	if err != nil {
		return "", fmt.Errorf("LIVE_VERIFIERS: %w", err)
	}
	client, err := r.newClient(r.url)
	if err != nil {
		return "", err
	}
	token, err := client.Token(ctx, r.read())
	if err != nil {
		return "", err
	}
	verifiers := make([]*sealwright.Verifier, count)
	for i := range verifiers {
		if verifiers[i], err = sealwright.NewVerifier(r.url, r.audience, sealwright.WithVerifierTransport(transport)); err != nil {
			return "", err
		}
		defer verifiers[i].Close()
		if _, err := verifiers[i].Verify(ctx, token.AccessToken()); err != nil {
			return "", fmt.Errorf("verifier %d: %w", i, err)
		}
	}
	// Let all of them begin to wait.
	time.Sleep(2 * time.Second)
	began := time.Now()
	if _, err := r.admin("agent", "suspend", r.id); err != nil {
		return "", err
	}
	times, faults := make([]time.Duration, count), make([]error, count)
	var waiting sync.WaitGroup
	for i, verifier := range verifiers {
		waiting.Go(func() {
			for ; ; time.Sleep(5 * time.Millisecond) {
				_, err := verifier.Verify(ctx, token.AccessToken())
				times[i] = time.Since(began)
				if err != nil {
					_, faults[i] = expectError[*sealwright.InvalidToken]("the token", err)
					return
				}
				if times[i] > 2*bound {
					faults[i] = errors.New("still accepted")
					return
				}
			}
		})
	}
	waiting.Wait()
	if _, err := r.admin("agent", "reactivate", r.id); err != nil {
		return "", err
	}
	if err := errors.Join(faults...); err != nil {
		return "", errors.New(strings.SplitN(err.Error(), "\n", 2)[0])
	}
	slices.Sort(times)
	last, err := atMost(times[count-1].Round(time.Millisecond), bound)
	return fmt.Sprintf("%d verifiers: the median after %v, the last after %s", count, times[count/2].Round(time.Millisecond), last), err
}

// refusesWait is a server, or something on the way to it, that has no long poll.
type refusesWait struct{}

func (refusesWait) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Has("wait") {
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
	}
	return http.DefaultTransport.RoundTrip(request)
}
