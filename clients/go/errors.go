package sealwright

import (
	"fmt"
	"time"
)

// Answer is what the server said when it refused, for logs and for people. It is part of every error that
// comes from an answer.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Code is the machine's word, for example "AUTH_AGENT_SUSPENDED" or "invalid_scope".
	Code string
	// Message is the server's sentence.
	Message string
	// RequestID finds the request in the server's log.
	RequestID string
}

func (a Answer) text(what string) string {
	said := a.Message
	if said == "" {
		said = a.Code
	}
	if said == "" {
		said = fmt.Sprintf("status %d", a.Status)
	}
	if a.RequestID != "" {
		return fmt.Sprintf("sealwright: %s: %s (request %s)", what, said, a.RequestID)
	}
	return fmt.Sprintf("sealwright: %s: %s", what, said)
}

// InvalidClient means that the server does not know this client id with this secret, or that the agent was
// decommissioned.
type InvalidClient struct{ Answer }

func (e *InvalidClient) Error() string { return e.text("invalid client") }

// AgentSuspended means that an operator has stopped the agent, or that it has expired. It may be reactivated: the
// client tries again after 30 s.
type AgentSuspended struct{ Answer }

func (e *AgentSuspended) Error() string { return e.text("agent suspended") }

// QuotaReached means that the agent has had all tokens of this month. The client asks for no other before
// ResetsAt.
type QuotaReached struct {
	Answer
	// ResetsAt is the beginning of the next month; zero if the server did not say.
	ResetsAt time.Time
}

func (e *QuotaReached) Error() string { return e.text("quota reached") }

// ScopeDenied means that the agent may not have a scope that was asked for.
type ScopeDenied struct{ Answer }

func (e *ScopeDenied) Error() string { return e.text("scope denied") }

// RateLimited means that the agent asked too often in a short time.
type RateLimited struct {
	Answer
	// RetryAfter is how long to wait; zero if the server did not say.
	RetryAfter time.Duration
}

func (e *RateLimited) Error() string { return e.text("rate limited") }

// InvalidRequest means that the caller must correct what it asks for: an audience that the agent may not
// have, or a scope that is none.
type InvalidRequest struct{ Answer }

func (e *InvalidRequest) Error() string { return e.text("invalid request") }

// Unavailable means that the server could not be asked, so that nothing is known about the agent or the
// token. It is never a reason for a 401.
type Unavailable struct {
	Answer
	// RetryAfter is how long to wait; zero if nobody said.
	RetryAfter time.Duration
	// Err is the cause, if there was no answer.
	Err error
}

func (e *Unavailable) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("sealwright: unavailable: %v", e.Err)
	}
	return e.text("unavailable")
}

// Unwrap gives the cause.
func (e *Unavailable) Unwrap() error { return e.Err }

// Reason says why a token is refused.
type Reason string

// The reasons, in the order of the checks.
const (
	// Malformed: too long, not three parts of base64url, or not JSON with each member once.
	Malformed Reason = "malformed"
	// Algorithm: not RS256.
	Algorithm Reason = "algorithm"
	// Type: not an access token (RFC 9068).
	Type Reason = "type"
	// Critical: an extension that must be understood (RFC 7515 §4.1.11).
	Critical Reason = "critical"
	// Key: no key id, or none of the issuer's keys.
	Key Reason = "key"
	// Signature: not by the key that it names.
	Signature Reason = "signature"
	// BadClaims: one is missing or of a wrong type.
	BadClaims Reason = "claims"
	// Issuer: from another server.
	Issuer Reason = "issuer"
	// Audience: for another service.
	Audience Reason = "audience"
	// Expired: its time is over.
	Expired Reason = "expired"
	// NotYetValid: issued in the future.
	NotYetValid Reason = "not_yet_valid"
	// Revoked: by itself, with its agent or organization, or with its key.
	Revoked Reason = "revoked"
)

// InvalidToken is a verdict: the token is not good for this service. A service answers 401.
type InvalidToken struct{ Reason Reason }

func (e *InvalidToken) Error() string { return "sealwright: invalid token: " + string(e.Reason) }

// InsufficientScope means that the token is good and lacks a scope. A service answers 403.
type InsufficientScope struct {
	// Missing are the scopes that the token lacks.
	Missing []string
}

func (e *InsufficientScope) Error() string {
	return fmt.Sprintf("sealwright: insufficient scope: the token lacks %v", e.Missing)
}
