package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// recipe: verify
// ErrUnavailable means that the keys cannot be had, so nobody knows whether the token is good.
var ErrUnavailable = errors.New("the keys cannot be had")

// Verifier accepts the tokens of one issuer for one audience, as long as they are not revoked.
type Verifier struct {
	signed  *oidc.IDTokenVerifier
	listURL string

	mu     sync.Mutex
	etag   string
	tokens map[string]bool  // by jti
	agents map[string]int64 // their least good epoch, by the hash of their id
}

// Claims are those that a service needs.
type Claims struct {
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	TokenID  string `json:"jti"`
	Epoch    int64  `json:"epoch"`
}

// NewVerifier fails when it cannot learn what is revoked.
func NewVerifier(ctx context.Context, issuer, audience string) (*Verifier, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	// go-oidc calls the audience ClientID. It fetches the keys, and again when it meets a new one.
	signed := provider.Verifier(&oidc.Config{ClientID: audience})
	v := &Verifier{signed: signed, listURL: issuer + "/api/v1/token/revoked"}
	return v, v.Refresh(ctx)
}

// Verify checks signature, issuer, audience and expiry, and then the revocation list.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	token, err := v.signed.Verify(ctx, raw)
	// go-oidc tells it by its words alone.
	if err != nil && strings.HasPrefix(err.Error(), "failed to verify signature: fetching keys ") {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if err != nil {
		return nil, err
	}
	var claims Claims
	if err := token.Claims(&claims); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(claims.ClientID))
	agent := base64.RawURLEncoding.EncodeToString(sum[:])
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tokens[claims.TokenID] || claims.Epoch < v.agents[agent] {
		return nil, fmt.Errorf("token %s is revoked", claims.TokenID)
	}
	return &claims, nil
}

// Refresh fetches the revocation list if it changed.
func (v *Verifier) Refresh(ctx context.Context) error {
	// A connection that hangs must not end the polling.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.listURL, nil)
	if err != nil {
		return err
	}
	v.mu.Lock()
	request.Header.Set("If-None-Match", v.etag)
	v.mu.Unlock()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified {
		return nil
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("revocation list: %s", response.Status)
	}
	var list struct {
		TokenIDs []string `json:"revoked_jtis"`
		Agents   []struct {
			Agent string `json:"agent"`
			Epoch int64  `json:"epoch"`
		} `json:"revoked_agents"`
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.etag, v.tokens, v.agents = response.Header.Get("ETag"), map[string]bool{}, map[string]int64{}
	for _, id := range list.TokenIDs {
		v.tokens[id] = true
	}
	for _, entry := range list.Agents {
		v.agents[entry.Agent] = entry.Epoch
	}
	return nil
}

// Poll keeps the revocation list fresh until the context ends.
func (v *Verifier) Poll(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// A failure leaves the list as it was; the next round tries again.
			if err := v.Refresh(ctx); err != nil {
				log.Printf("the revocation list was not fetched: %v", err)
			}
		}
	}
}

// end of recipe

// recipe: protect
// Protect lets a request pass whose token is good and carries the scope.
func (v *Verifier) Protect(scope string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := v.Verify(r.Context(), raw)
		switch {
		case found && errors.Is(err, ErrUnavailable):
			// Not 401: a client would throw a good token away.
			w.Header().Set("Retry-After", "5")
			http.Error(w, "try again", http.StatusServiceUnavailable)
		case !found || err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "a valid token is needed", http.StatusUnauthorized)
		case !slices.Contains(strings.Fields(claims.Scope), scope):
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
			http.Error(w, "the token lacks "+scope, http.StatusForbidden)
		default:
			next(w, r)
		}
	}
}

// end of recipe
