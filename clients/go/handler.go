package sealwright

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// unavailableRetry is what a service tells its callers when it cannot verify, in seconds.
const unavailableRetry = "5"

type claimsKey struct{}

// ClaimsFrom gives the claims of the token with which a request came through Require.
func ClaimsFrom(ctx context.Context) (*Claims, bool) {
	claims, found := ctx.Value(claimsKey{}).(*Claims)
	return claims, found
}

// Require makes a middleware that lets a request pass whose Bearer token is good and allows every one of the scopes. The
// handler finds the claims with ClaimsFrom. Others are answered as RFC 6750 §3 says: 401 with a challenge, or
// 403 that names the scopes; and 503 if the token cannot be verified, since a client would throw a good token away
// after a 401.
func (v *Verifier) Require(scopes ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, err := v.Authenticate(r, scopes...)
			if err != nil {
				WriteError(w, err, scopes...)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
		})
	}
}

// RequireFunc is Require for a function.
func (v *Verifier) RequireFunc(handler http.HandlerFunc, scopes ...string) http.Handler {
	return v.Require(scopes...)(handler)
}

// ErrNoToken means that a request has no Bearer token.
var ErrNoToken = errors.New("sealwright: no token")

// ErrTwoTokens means that a request has several Authorization header fields.
var ErrTwoTokens = errors.New("sealwright: more than one Authorization header field")

// Authenticate verifies the Bearer token of a request, for frameworks with middleware of their own. Its error is one of Verify's,
// *InsufficientScope, ErrNoToken or ErrTwoTokens. WriteError answers with it.
func (v *Verifier) Authenticate(r *http.Request, scopes ...string) (*Claims, error) {
	fields := r.Header.Values("Authorization")
	if len(fields) > 1 {
		return nil, ErrTwoTokens
	}
	if len(fields) == 0 {
		return nil, ErrNoToken
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, ErrNoToken
	}
	claims, err := v.Verify(r.Context(), strings.TrimLeft(token, " "))
	if err != nil {
		return nil, err
	}
	if missing := claims.lacks(scopes); len(missing) > 0 {
		return nil, &InsufficientScope{missing}
	}
	return claims, nil
}

// WriteError answers a request that Authenticate refused. scopes are those that the request needs.
func WriteError(w http.ResponseWriter, err error, scopes ...string) {
	var insufficient *InsufficientScope
	var invalid *InvalidToken
	switch {
	case errors.Is(err, ErrNoToken):
		// RFC 6750 §3.1: a client that did not know that it needs a token is told no error.
		challenge(w, http.StatusUnauthorized, "", "A token is needed.", scopes)
	case errors.Is(err, ErrTwoTokens):
		challenge(w, http.StatusBadRequest, "invalid_request", "There is more than one Authorization header field.", scopes)
	case errors.As(err, &insufficient):
		challenge(w, http.StatusForbidden, "insufficient_scope", "The token lacks "+strings.Join(insufficient.Missing, " ")+".", scopes)
	case errors.As(err, &invalid):
		challenge(w, http.StatusUnauthorized, "invalid_token", sentence(invalid.Reason), scopes)
	default:
		w.Header().Set("Retry-After", unavailableRetry)
		writeJSON(w, http.StatusServiceUnavailable, "temporarily_unavailable", "The token cannot be verified now. Retry later.")
	}
}

// sentence says no more than a client needs that means well.
func sentence(reason Reason) string {
	switch reason {
	case Expired:
		return "The token is expired."
	case Revoked:
		return "The token is revoked."
	case Audience:
		return "The token is for another service."
	}
	return "The token is not valid."
}

func challenge(w http.ResponseWriter, status int, code, description string, scopes []string) {
	text := "Bearer"
	separator := " "
	add := func(name, value string) {
		text += fmt.Sprintf(`%s%s="%s"`, separator, name, value)
		separator = ", "
	}
	if code != "" {
		add("error", code)
		add("error_description", description)
	}
	if len(scopes) > 0 {
		add("scope", strings.Join(scopes, " "))
	}
	w.Header().Set("WWW-Authenticate", text)
	if code == "" {
		code = "invalid_token"
	}
	writeJSON(w, status, code, description)
}

func writeJSON(w http.ResponseWriter, status int, code, description string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]string{"error": code, "error_description": description})
	w.Write(append(body, '\n'))
}
