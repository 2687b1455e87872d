package sealwright

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// verdictOf is the word by which the vectors call what a verifier says.
func verdictOf(err error) string {
	var invalid *InvalidToken
	var unavailable *Unavailable
	switch {
	case err == nil:
		return "accept"
	case errors.As(err, &invalid):
		return string(invalid.Reason)
	case errors.As(err, &unavailable):
		return "unavailable"
	}
	return err.Error()
}

// vectorToken is a token, or texts to be repeated and joined.
type vectorToken string

func (v *vectorToken) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*v = vectorToken(text)
		return nil
	}
	var parts [][2]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	for _, part := range parts {
		var times int
		if err := errors.Join(json.Unmarshal(part[0], &text), json.Unmarshal(part[1], &times)); err != nil {
			return err
		}
		*v += vectorToken(strings.Repeat(text, times))
	}
	return nil
}

func TestEveryTokenIsJudgedAsTheVectorsSay(t *testing.T) {
	type said struct {
		ClientID string   `json:"client_id"`
		Subject  string   `json:"sub"`
		Scopes   []string `json:"scopes"`
		Audience []string `json:"aud"`
		TokenID  string   `json:"jti"`
		Epoch    int64    `json:"epoch"`
		HighRisk bool     `json:"high_risk"`
	}
	var file struct {
		Now      int64           `json:"now"`
		Issuer   string          `json:"issuer"`
		Audience string          `json:"audience"`
		JWKS     json.RawMessage `json:"jwks"`
		Cases    []struct {
			Name    string      `json:"name"`
			Token   vectorToken `json:"token"`
			At      int64       `json:"at"`
			Verdict string      `json:"verdict"`
			Claims  *said       `json:"claims"`
		} `json:"cases"`
	}
	readVectors(t, "tokens.json", &file)
	ran := 0
	for _, c := range file.Cases {
		ran++
		t.Run(c.Name, func(t *testing.T) {
			bed := newFeedBed(t, file.Now, file.Issuer, file.Audience, file.JWKS, "")
			if c.At != 0 {
				bed.clock.step(time.Duration(c.At-file.Now) * time.Second)
			}
			bed.poll(t, `{"since":null,"version":1,"revoked_tokens":[],"revoked_agents":[],"revoked_orgs":[],"revoked_keys":[]}`)
			// The second time the token may be a seen one.
			for range 2 {
				claims, err := bed.verifier.verify(t.Context(), string(c.Token))
				if verdictOf(err) != c.Verdict {
					t.Fatalf("%v, wanted %s", err, c.Verdict)
				}
				if err != nil {
					continue
				}
				got := said{claims.ClientID, claims.Subject, claims.Scopes, claims.Audience, claims.TokenID, claims.Epoch, claims.HighRisk}
				if fmt.Sprint(got) != fmt.Sprint(*c.Claims) {
					t.Fatalf("%+v, wanted %+v", got, *c.Claims)
				}
			}
		})
	}
	countCases(t, "tokens.json", ran)
}

// feedBed is a verifier that polls when a test says so, in front of a feed that answers as a step says.
type feedBed struct {
	clock    *fakeClock
	verifier *verifierCore
	options  []VerifierOption
	issuer   string
	audience string

	answer func() (*http.Response, error)
	asked  *http.Request
	// answeredAt is when the feed answered last.
	answeredAt time.Duration
}

func newFeedBed(t *testing.T, now int64, issuer, audience string, jwks json.RawMessage, path string, options ...VerifierOption) *feedBed {
	t.Helper()
	bed := &feedBed{clock: newFakeClock(now), issuer: issuer, audience: audience}
	server := roundTrip(func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case metadataPath:
			return respondJSON(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys", "sealwright_revocation_list": issuer + "/list"}), nil
		case "/keys":
			return respondJSON(jwks), nil
		}
		bed.asked = r
		return bed.answer()
	})
	bed.options = append(options, WithVerifierTransport(server), withVerifierClock(bed.clock), WithCacheFile(path))
	bed.answeredAt = bed.clock.elapsed()
	bed.restart(t)
	return bed
}

func (b *feedBed) restart(t *testing.T) {
	t.Helper()
	verifier, err := newVerifierCore(b.issuer, b.audience, b.options...)
	if err != nil {
		t.Fatal(err)
	}
	close(verifier.done)
	b.verifier = verifier
}

// turn sends the next poll when it is due, and gives how long the verifier waited before it.
func (b *feedBed) turn(t *testing.T) time.Duration {
	t.Helper()
	p, wait := b.verifier.feed.due()
	if wait > 0 {
		b.clock.advance(wait)
		if p, wait = b.verifier.feed.due(); wait > 0 {
			t.Fatalf("the poll is not due when it should be, but in %v", wait)
		}
	}
	waited := b.clock.elapsed() - b.answeredAt
	b.asked = nil
	b.verifier.turn(t.Context(), p)
	b.answeredAt = b.clock.elapsed()
	if b.asked == nil {
		t.Fatal("the verifier did not poll")
	}
	return waited
}

// poll sends the next poll, which gets this body.
func (b *feedBed) poll(t *testing.T, body string) {
	t.Helper()
	b.answer = func() (*http.Response, error) { return respond(http.StatusOK, nil, body), nil }
	b.turn(t)
}

type feedStep struct {
	Answer  json.RawMessage    `json:"answer"`
	Held    json.RawMessage    `json:"held"`
	Took    float64            `json:"took"`
	Asked   map[string]*string `json:"asked"`
	Waited  []float64          `json:"waited"`
	Advance *float64           `json:"advance"`
	Step    *float64           `json:"step"`
	Restart bool               `json:"restart"`
	Damage  string             `json:"damage"`
	Expect  map[string]string  `json:"expect"`
	Version json.RawMessage    `json:"version"`
}

func (b *feedBed) run(t *testing.T, step feedStep, tokens map[string]string, path string) {
	t.Helper()
	switch {
	case step.Advance != nil:
		b.clock.advance(seconds(*step.Advance))
	case step.Step != nil:
		b.clock.step(seconds(*step.Step))
	case step.Restart:
		b.restart(t)
	case step.Damage == "truncated":
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content[:len(content)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	case step.Expect != nil:
		for name, wanted := range step.Expect {
			if _, err := b.verifier.verify(t.Context(), tokens[name]); verdictOf(err) != wanted {
				t.Errorf("%s: %v, wanted %s", name, err, wanted)
			}
		}
		enforced := b.verifier.feed.enforced()
		if enforced == nil {
			enforced = json.RawMessage("null")
		}
		if string(enforced) != string(step.Version) {
			t.Errorf("version %s, wanted %s", enforced, step.Version)
		}
	case step.Answer != nil:
		b.runAnswer(t, step)
	default:
		t.Fatal("a step that this test does not know")
	}
}

func (b *feedBed) runAnswer(t *testing.T, step feedStep) {
	t.Helper()
	b.answer = func() (*http.Response, error) {
		b.clock.advance(seconds(step.Took))
		given := step.Answer
		if step.Held != nil && b.asked.URL.Query().Has("wait") {
			given = step.Held
		}
		var how string
		if json.Unmarshal(given, &how) == nil {
			return nil, errors.New(how)
		}
		var answer vectorAnswer
		if err := json.Unmarshal(given, &answer); err != nil {
			t.Fatal(err)
		}
		return answer.response(), nil
	}
	waited := b.turn(t)
	query := b.asked.URL.Query()
	for name, wanted := range step.Asked {
		if wanted == nil && query.Has(name) || wanted != nil && query.Get(name) != *wanted {
			t.Errorf("asked %s, wanted %s = %v", b.asked.URL.RawQuery, name, wanted)
		}
	}
	if len(step.Waited) == 2 && (waited < seconds(step.Waited[0]) || waited > seconds(step.Waited[1])) {
		t.Errorf("waited %v, wanted %v", waited, step.Waited)
	}
}

func TestTheFeedIsFollowedAsTheVectorsSay(t *testing.T) {
	var file struct {
		Now      int64             `json:"now"`
		Issuer   string            `json:"issuer"`
		Audience string            `json:"audience"`
		JWKS     json.RawMessage   `json:"jwks"`
		Tokens   map[string]string `json:"tokens"`
		Cases    []struct {
			Name     string `json:"name"`
			Cache    bool   `json:"cache"`
			Verifier struct {
				StaleAfter []float64 `json:"stale_after"`
				WhenStale  string    `json:"when_stale"`
			} `json:"verifier"`
			Steps []feedStep `json:"steps"`
		} `json:"cases"`
	}
	readVectors(t, "feed.json", &file)
	ran := 0
	for _, c := range file.Cases {
		ran++
		t.Run(c.Name, func(t *testing.T) {
			path := ""
			if c.Cache {
				path = filepath.Join(t.TempDir(), "feed.json")
			}
			var options []VerifierOption
			if stale := c.Verifier.StaleAfter; stale != nil {
				options = append(options, WithStaleAfter(seconds(stale[0]), seconds(stale[1])))
			}
			if c.Verifier.WhenStale == "accept" {
				options = append(options, WithAcceptWhenStale())
			}
			bed := newFeedBed(t, file.Now, file.Issuer, file.Audience, file.JWKS, path, options...)
			for i, step := range c.Steps {
				bed.run(t, step, file.Tokens, path)
				if t.Failed() {
					t.Fatalf("at step %d", i+1)
				}
			}
		})
	}
	countCases(t, "feed.json", ran)
}
