package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2/clientcredentials"
)

// recipe: client
// NewClient makes a client that sends a token with each request and renews it before it ends. The issuer's
// metadata names the token endpoint.
func NewClient(ctx context.Context, issuer, id, secret, audience string, scopes ...string) (*http.Client, error) {
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
	return config.Client(ctx), nil
}

// end of recipe
