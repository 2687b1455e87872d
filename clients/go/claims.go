package sealwright

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
)

// Claims are what a good token says.
type Claims struct {
	// Subject is the agent, or a user for whom the agent acts.
	Subject string
	// ClientID is the agent.
	ClientID string
	// Scopes are what the token allows.
	Scopes []string
	// Audience is whom the token is for.
	Audience []string
	// TokenID is the claim jti.
	TokenID string
	// Epoch is the agent's when the token was issued.
	Epoch int64
	// OrgID and OrgEpoch are of the agent's organization, if it is not the default one.
	OrgID    string
	OrgEpoch int64
	// HighRisk is whether a scope of the token is high-risk.
	HighRisk bool
	IssuedAt time.Time
	Expiry   time.Time

	keyID     string
	agentHash string
}

// HasScope is whether the token allows a scope.
func (c *Claims) HasScope(scope string) bool {
	for _, granted := range c.Scopes {
		if granted == scope {
			return true
		}
	}
	return false
}

// lacks gives the scopes that the token does not allow.
func (c *Claims) lacks(scopes []string) []string {
	var missing []string
	for _, scope := range scopes {
		if !c.HasScope(scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// clone keeps what a caller does to its claims from other callers.
func (c *Claims) clone() *Claims {
	copied := *c
	copied.Scopes = append([]string(nil), c.Scopes...)
	copied.Audience = append([]string(nil), c.Audience...)
	return &copied
}

// hashAgent is how the feed names an agent.
func hashAgent(clientID string) string {
	sum := sha256.Sum256([]byte(clientID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// splitScope reads the scopes of a token, which only spaces separate (RFC 6749 §3.3).
func splitScope(scope string) []string {
	return strings.FieldsFunc(scope, func(c rune) bool { return c == ' ' })
}
