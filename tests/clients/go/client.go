package main

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// recipe: client
// Transport sends a token with each request. It keeps the token, renews it 60 s before it expires, and on a 401 drops
// it and tries a new one, once.
type Transport struct {
	renew func() oauth2.TokenSource

	mu     sync.Mutex
	source oauth2.TokenSource
}

// NewTransport finds the token endpoint in the issuer's metadata.
func NewTransport(ctx context.Context, issuer, id, secret, audience string, scopes ...string) (*Transport, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID:       id,
		ClientSecret:   secret,
		TokenURL:       provider.Endpoint().TokenURL,
		Scopes:         scopes,
		EndpointParams: url.Values{"audience": {audience}},
	}
	renew := func() oauth2.TokenSource {
		return oauth2.ReuseTokenSourceWithExpiry(nil, config.TokenSource(ctx), time.Minute)
	}
	return &Transport{renew: renew, source: renew()}, nil
}

// RoundTrip makes Transport an http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	t.mu.Lock()
	source := t.source
	t.mu.Unlock()
	answer, err := (&oauth2.Transport{Source: source}).RoundTrip(request)
	if err != nil || answer.StatusCode != http.StatusUnauthorized {
		return answer, err
	}
	again := request.Clone(request.Context())
	if request.Body != nil {
		if request.GetBody == nil {
			return answer, nil // a stream, which cannot be sent twice
		}
		if again.Body, err = request.GetBody(); err != nil {
			return answer, nil
		}
	}
	answer.Body.Close()
	return (&oauth2.Transport{Source: t.drop(source)}).RoundTrip(again)
}

func (t *Transport) drop(dead oauth2.TokenSource) oauth2.TokenSource {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Another request may have brought a new one by now.
	if t.source == dead {
		t.source = t.renew()
	}
	return t.source
}

// end of recipe
