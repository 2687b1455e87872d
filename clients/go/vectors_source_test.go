package sealwright

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// vectorAnswer is an answer of a server.
type vectorAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

// response makes the answer; a body that is a text is sent as it is.
func (a *vectorAnswer) response() *http.Response {
	var text string
	if json.Unmarshal(a.Body, &text) != nil {
		text = string(a.Body)
	}
	return respond(a.Status, a.Headers, text)
}

func TestEveryErrorBodyIsReadAsTheVectorsSay(t *testing.T) {
	var file struct {
		Secret string `json:"secret"`
		Cases  []struct {
			Name       string       `json:"name"`
			Answer     vectorAnswer `json:"answer"`
			Error      string       `json:"error"`
			RetryAfter *float64     `json:"retry_after"`
			ResetsIn   *float64     `json:"resets_in"`
		} `json:"cases"`
	}
	readVectors(t, "errors.json", &file)
	ran := 0
	for _, c := range file.Cases {
		ran++
		t.Run(c.Name, func(t *testing.T) {
			clock := newFakeClock(1_800_000_000)
			server := roundTrip(func(*http.Request) (*http.Response, error) { return c.Answer.response(), nil })
			client, err := NewClient("https://auth.example", WithSecret("id", file.Secret), WithTransport(server), withClock(clock))
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Token(t.Context(), Request{Scope: "db:read"})
			if kindOf(err) != c.Error {
				t.Errorf("%v, wanted %s", err, c.Error)
			}
			if got := retryAfterOf(err); !equalPointers(got, c.RetryAfter) {
				t.Errorf("retry after %v, wanted %v", show(got), show(c.RetryAfter))
			}
			if got := resetsInOf(err, clock.now()); !equalPointers(got, c.ResetsIn) {
				t.Errorf("resets in %v, wanted %v", show(got), show(c.ResetsIn))
			}
			for _, told := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				if strings.Contains(told, file.Secret) || strings.Contains(told, url.QueryEscape(file.Secret)) {
					t.Errorf("the error tells the secret: %s", told)
				}
			}
			if text := err.Error(); utf8.RuneCountInString(text) > 400 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("the error tells too much: %q", text)
			}
		})
	}
	countCases(t, "errors.json", ran)
}

func show(value *float64) any {
	if value == nil {
		return nil
	}
	return *value
}

type sourceStep struct {
	Token *struct {
		Scope    string `json:"scope"`
		Audience string `json:"audience"`
		Resource string `json:"resource"`
	} `json:"token"`
	Rejected   string          `json:"rejected"`
	Advance    *float64        `json:"advance"`
	Step       *float64        `json:"step"`
	Server     json.RawMessage `json:"server"`
	Callers    int             `json:"callers"`
	Returns    json.RawMessage `json:"returns"`
	Raises     string          `json:"raises"`
	RetryAfter *float64        `json:"retry_after"`
	ResetsIn   *float64        `json:"resets_in"`
	Requests   int             `json:"requests"`
}

// sourceBed is a client in front of a token endpoint that answers as a step says.
type sourceBed struct {
	clock  *fakeClock
	client *Client

	mu       sync.Mutex
	server   json.RawMessage
	requests int
	fault    string
}

func (b *sourceBed) roundTrip(*http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	var text string
	var token struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	var answer vectorAnswer
	switch {
	case b.server == nil:
		b.fault = "a request where none was expected"
		return nil, errors.New(b.fault)
	case json.Unmarshal(b.server, &text) == nil:
		return nil, errors.New(text)
	case json.Unmarshal(b.server, &token) == nil && token.Token != "":
		return respondJSON(map[string]any{"access_token": token.Token, "token_type": "Bearer", "expires_in": token.ExpiresIn, "scope": "s"}), nil
	case json.Unmarshal(b.server, &answer) != nil:
		b.fault = "the vector's answer cannot be read"
	}
	return answer.response(), nil
}

// settle waits until all that is in flight has been answered.
func (b *sourceBed) settle() {
	cache := b.client.core.cache
	for {
		cache.mu.Lock()
		var under *flight
		for _, e := range cache.entries {
			if e.flight != nil {
				under = e.flight
			}
		}
		cache.mu.Unlock()
		if under == nil {
			return
		}
		<-under.done
	}
}

func (b *sourceBed) ask(ctx context.Context, step sourceStep) (string, error) {
	request := Request{Scope: step.Token.Scope, Audience: step.Token.Audience, Resource: step.Token.Resource}
	var token *Token
	var err error
	if step.Rejected != "" {
		rejected := &Token{value: func() string { return step.Rejected }}
		token, err = b.client.Replace(ctx, rejected, request)
	} else {
		token, err = b.client.Token(ctx, request)
	}
	if errors.Is(err, ErrNotReplaced) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return token.AccessToken(), nil
}

// check runs a step; empty if it went as it says.
func (b *sourceBed) check(ctx context.Context, step sourceStep) string {
	switch {
	case step.Advance != nil:
		b.clock.advance(seconds(*step.Advance))
		return ""
	case step.Step != nil:
		b.clock.step(seconds(*step.Step))
		return ""
	}
	b.mu.Lock()
	b.server = step.Server
	b.mu.Unlock()
	type result struct {
		token string
		err   error
	}
	results := make([]result, max(step.Callers, 1))
	var callers sync.WaitGroup
	for i := range results {
		callers.Go(func() { results[i].token, results[i].err = b.ask(ctx, step) })
	}
	callers.Wait()
	b.settle()
	var wanted []string
	var one string
	if json.Unmarshal(step.Returns, &one) == nil {
		wanted = []string{one} // null is the empty text: no other token
	} else {
		json.Unmarshal(step.Returns, &wanted)
	}
	// Where two tokens are named, callers may get the live one until the other has come.
	for _, r := range results {
		if kindOf(r.err) != step.Raises {
			return fmt.Sprintf("%v, wanted %q", r.err, step.Raises)
		}
		if step.Raises == "" && !slices.Contains(wanted, r.token) {
			return fmt.Sprintf("%q, wanted %q", r.token, wanted)
		}
		if got := retryAfterOf(r.err); step.RetryAfter != nil && !equalPointers(got, step.RetryAfter) {
			return fmt.Sprintf("retry after %v, wanted %v", show(got), show(step.RetryAfter))
		}
		if got := resetsInOf(r.err, b.clock.now()); step.ResetsIn != nil && !equalPointers(got, step.ResetsIn) {
			return fmt.Sprintf("resets in %v, wanted %v", show(got), show(step.ResetsIn))
		}
	}
	if b.fault != "" {
		return b.fault
	}
	if b.requests != step.Requests {
		return fmt.Sprintf("%d requests, wanted %d", b.requests, step.Requests)
	}
	return ""
}

func TestTheTokenSourceDoesWhatTheVectorsSay(t *testing.T) {
	var file struct {
		Now   int64 `json:"now"`
		Cases []struct {
			Name  string       `json:"name"`
			Steps []sourceStep `json:"steps"`
		} `json:"cases"`
	}
	readVectors(t, "token_source.json", &file)
	ran := 0
	for _, c := range file.Cases {
		ran++
		t.Run(c.Name, func(t *testing.T) {
			bed := &sourceBed{clock: newFakeClock(file.Now)}
			var err error
			bed.client, err = NewClient("https://auth.example", WithSecret("id", "secret"), WithTransport(roundTrip(bed.roundTrip)), withClock(bed.clock))
			if err != nil {
				t.Fatal(err)
			}
			for i, step := range c.Steps {
				if fault := bed.check(t.Context(), step); fault != "" {
					t.Fatalf("step %d: %s", i+1, fault)
				}
			}
		})
	}
	countCases(t, "token_source.json", ran)
}
