package sealwright

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// How long a Retry-After may make a client wait, at least and at most.
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Hour
)

// granted is a token as the answer of the token endpoint has it.
type granted struct {
	value    string
	scope    string
	lifetime time.Duration
}

// readGrant reads a 200. An answer that is no token of Sealwright's is no verdict.
func readGrant(body []byte) (*granted, error) {
	var told struct {
		AccessToken string          `json:"access_token"`
		TokenType   string          `json:"token_type"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		Scope       string          `json:"scope"`
	}
	err := json.Unmarshal(body, &told)
	seconds, notWhole := strconv.ParseInt(string(told.ExpiresIn), 10, 32)
	if err != nil || notWhole != nil || seconds <= 0 || !isBearer(told.AccessToken) || !strings.EqualFold(told.TokenType, "bearer") {
		// The cause could quote a token, so it is not told.
		return nil, &Unavailable{Answer: Answer{Status: http.StatusOK}, Err: errors.New("the answer is no token response")}
	}
	return &granted{told.AccessToken, told.Scope, time.Duration(seconds) * time.Second}, nil
}

// isBearer is whether a header field can hold the token: one or more visible ASCII characters.
func isBearer(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// readRefusal makes an error of an answer that is no 200, in any of the server's dialects: an `error` that is a
// text (RFC 6749 §5.2), an `error` that is an object (/oauth/token), and problem details (RFC 9457). An answer that
// is not the server's, such as a proxy's page, is no verdict.
//
// The proof is what the client has sent, which no error shows if the answer repeats it.
func readRefusal(status int, header http.Header, body []byte, now time.Time, proof string) error {
	answer := readAnswer(status, header, body)
	answer.Code, answer.Message = tellable(answer.Code, proof), tellable(answer.Message, proof)
	if !isRequestID(answer.RequestID) || strings.Contains(answer.RequestID, proof) {
		answer.RequestID = ""
	}
	retryAfter := readRetryAfter(header, now)
	switch status {
	case http.StatusTooManyRequests:
		return &RateLimited{answer, retryAfter}
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed,
		http.StatusRequestEntityTooLarge:
	default:
		return &Unavailable{Answer: answer, RetryAfter: retryAfter}
	}
	switch code := answer.Code; {
	case code == "AUTH_INVALID_CREDENTIALS" || code == "AUTH_AGENT_REVOKED" || code == "invalid_client":
		return &InvalidClient{answer}
	case code == "AUTH_AGENT_SUSPENDED":
		return &AgentSuspended{answer}
	case code == "QUOTA_EXCEEDED":
		return &QuotaReached{answer, readReset(header, now)}
	case code == "POLICY_SCOPE_DENIED" || code == "invalid_scope":
		return &ScopeDenied{answer}
	case status == http.StatusUnauthorized && code == "Unauthorized":
		return &InvalidClient{answer}
	case status == http.StatusForbidden && (code == "unauthorized_client" || code == "Forbidden"):
		return readSentence(answer, header, now)
	case status == http.StatusBadRequest || code != "":
		return &InvalidRequest{answer}
	}
	return &Unavailable{Answer: answer, RetryAfter: retryAfter}
}

// readAnswer finds code and sentence. The code of problem details is their title.
func readAnswer(status int, header http.Header, body []byte) Answer {
	answer := Answer{Status: status, RequestID: header.Get("X-Request-ID")}
	var told struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		Title       string          `json:"title"`
		Detail      string          `json:"detail"`
		TraceID     string          `json:"traceId"`
	}
	if json.Unmarshal(body, &told) != nil {
		return answer
	}
	var object struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	switch {
	case len(told.Error) == 0:
		answer.Code, answer.Message, object.RequestID = told.Title, told.Detail, told.TraceID
	case json.Unmarshal(told.Error, &answer.Code) == nil:
		answer.Message = told.Description
	case json.Unmarshal(told.Error, &object) == nil:
		answer.Code, answer.Message = object.Code, object.Message
	}
	if answer.RequestID == "" {
		answer.RequestID = object.RequestID
	}
	return answer
}

// The most characters of an answer's text that an error tells.
const maxTold = 200

// tellable is a text of an answer as an error may tell it: without the proof that the client has sent, in one line,
// and not long.
func tellable(text, proof string) string {
	if proof != "" {
		text = strings.NewReplacer(proof, "…", url.QueryEscape(proof), "…", url.PathEscape(proof), "…").Replace(text)
	}
	characters := []rune(text)
	if len(characters) > maxTold {
		characters = characters[:maxTold]
	}
	for i, character := range characters {
		if !unicode.IsPrint(character) {
			characters[i] = ' '
		}
	}
	return string(characters)
}

// isRequestID is whether the server could have sent it: 1 to 64 letters, digits, dots, dashes and underscores.
func isRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-", c) >= 0) {
			return false
		}
	}
	return true
}

// readSentence reads a 403 of a dialect that has one code for refusals that only the sentence tells apart.
func readSentence(answer Answer, header http.Header, now time.Time) error {
	for _, kind := range []struct {
		word string
		err  error
	}{
		{" limit of ", &QuotaReached{answer, readReset(header, now)}},
		{" suspended ", &AgentSuspended{answer}},
		{" decommissioned ", &InvalidClient{answer}},
		{" scope", &ScopeDenied{answer}},
	} {
		if strings.Contains(answer.Message, kind.word) {
			return kind.err
		}
	}
	return &Unavailable{Answer: answer}
}

// readRetryAfter reads seconds or a date (RFC 9110 §10.2.3), within bounds. It is zero if there is none.
func readRetryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		wait = time.Duration(min(seconds, 1<<31)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	} else {
		return 0
	}
	return min(max(wait, minRetryAfter), maxRetryAfter)
}

// readReset reads when the month ends: the parameter t of the item "month" of RateLimit
// (draft-ietf-httpapi-ratelimit-headers), in seconds. It is zero if there is none.
func readReset(header http.Header, now time.Time) time.Time {
	for item := range strings.SplitSeq(strings.Join(header.Values("RateLimit"), ","), ",") {
		parts := strings.Split(item, ";")
		if strings.TrimSpace(parts[0]) != `"month"` {
			continue
		}
		for _, part := range parts[1:] {
			text, found := strings.CutPrefix(strings.TrimSpace(part), "t=")
			if seconds, err := strconv.ParseUint(text, 10, 31); found && err == nil {
				return now.Add(time.Duration(seconds) * time.Second)
			}
		}
	}
	return time.Time{}
}
