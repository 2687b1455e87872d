package sealwright

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
)

// maxDrained is how much of a refusal's body is read so that its connection can be used again, in bytes.
const maxDrained = 64 << 10

// HTTPClient is an HTTP client that sends a token with each request. Make one for each service.
func (c *Client) HTTPClient(request Request) *http.Client {
	return &http.Client{Transport: c.Transport(request, nil)}
}

// Transport is a RoundTripper that sends a token with each request, through base or, if that is nil, through
// http.DefaultTransport. When a service answers 401 invalid_token, it gets another token and tries once more, if the
// body can be sent again. It leaves a request alone that has an Authorization header field, and one that a
// redirect leads to another host.
func (c *Client) Transport(request Request, base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{c, request, base}
}

type transport struct {
	client  *Client
	request Request
	base    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Header.Get("Authorization") != "" || leadsElsewhere(request) {
		return t.base.RoundTrip(request)
	}
	ctx := request.Context()
	token, err := t.client.Token(ctx, t.request)
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	response, err := t.base.RoundTrip(bearing(request, token))
	if err != nil || !rejectsToken(response) {
		return response, err
	}
	again := request.Clone(ctx)
	if request.Body != nil && request.Body != http.NoBody {
		if request.GetBody == nil {
			return response, nil // a stream, which cannot be sent twice
		}
		if again.Body, err = request.GetBody(); err != nil {
			return response, nil
		}
	}
	other, err := t.client.Replace(ctx, token, t.request)
	if err != nil {
		if again.Body != nil {
			again.Body.Close()
		}
		if errors.Is(err, ErrNotReplaced) {
			return response, nil
		}
		response.Body.Close()
		return nil, err
	}
	io.CopyN(io.Discard, response.Body, maxDrained)
	response.Body.Close()
	return t.base.RoundTrip(bearing(again, other))
}

func bearing(request *http.Request, token *Token) *http.Request {
	// A RoundTripper must not change the request.
	sent := request.Clone(request.Context())
	token.SetAuthHeader(sent)
	return sent
}

// leadsElsewhere is whether a redirect has led this request to another host, which must not see the token.
func leadsElsewhere(request *http.Request) bool {
	first := request
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first.URL.Scheme != request.URL.Scheme || first.URL.Host != request.URL.Host
}

// rejectsToken is whether the answer says that the token is not good (RFC 6750 §3.1). Any other 401 is about
// something else, which another token would not mend.
func rejectsToken(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		text := strings.ReplaceAll(strings.ToLower(challenge), " ", "")
		if strings.HasPrefix(text, "bearer") && (strings.Contains(text, `error="invalid_token"`) || strings.Contains(text, "error=invalid_token")) {
			return true
		}
	}
	return false
}

// Format prints String for every verb, as a Client does.
func (t *transport) Format(f fmt.State, _ rune) {
	io.WriteString(f, "sealwright.Transport{"+t.client.String()+"}")
}

// TokenSource gives the tokens of a request to what takes golang.org/x/oauth2, such as gRPC's credentials. Each call of its
// Token waits no longer than ctx lives.
func (c *Client) TokenSource(ctx context.Context, request Request) oauth2.TokenSource {
	return tokenSource{ctx, c, request}
}

type tokenSource struct {
	ctx     context.Context
	client  *Client
	request Request
}

// Token implements oauth2.TokenSource.
func (s tokenSource) Token() (*oauth2.Token, error) {
	token, err := s.client.Token(s.ctx, s.request)
	if err != nil {
		return nil, err
	}
	return token.OAuth2(), nil
}
