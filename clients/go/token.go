package sealwright

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

const redacted = "[redacted]"

// Token is an access token. However it is printed, logged or encoded, it does not show its value.
type Token struct {
	// Expiry is when it ends, by this machine's time of day.
	Expiry time.Time
	// Scope is what was granted, separated by spaces.
	Scope string

	value func() string
}

// AccessToken is the value that goes behind "Bearer ".
func (t *Token) AccessToken() string { return t.value() }

// SetAuthHeader sets the Authorization header field of a request.
func (t *Token) SetAuthHeader(r *http.Request) { r.Header.Set("Authorization", "Bearer "+t.value()) }

// OAuth2 is the same token for what takes one of golang.org/x/oauth2. That type shows its value when it is printed.
func (t *Token) OAuth2() *oauth2.Token {
	token := &oauth2.Token{AccessToken: t.value(), TokenType: "Bearer", Expiry: t.Expiry}
	return token.WithExtra(map[string]any{"scope": t.Scope})
}

// String tells scope and end.
func (t Token) String() string {
	return fmt.Sprintf("sealwright.Token{%s, scope %q, expiry %s}", redacted, t.Scope, t.Expiry.UTC().Format(time.RFC3339))
}

// Format prints String for every verb, %#v included.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// LogValue is what log/slog shows.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
