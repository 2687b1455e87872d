package sealwright

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
)

type keysStep struct {
	Publish json.RawMessage `json:"publish"`
	Then    json.RawMessage `json:"then"`
	Verify  []string        `json:"verify"`
	Verdict string          `json:"verdict"`
	Fetches int             `json:"fetches"`
	Advance *float64        `json:"advance"`
	Step    *float64        `json:"step"`
}

func TestTheKeysAreFetchedAsTheVectorsSay(t *testing.T) {
	var file struct {
		Now      int64                      `json:"now"`
		Issuer   string                     `json:"issuer"`
		Audience string                     `json:"audience"`
		JWKS     map[string]json.RawMessage `json:"jwks"`
		Tokens   map[string]string          `json:"tokens"`
		Cases    []struct {
			Name  string     `json:"name"`
			Steps []keysStep `json:"steps"`
		} `json:"cases"`
	}
	readVectors(t, "keys.json", &file)
	ran := 0
	for _, c := range file.Cases {
		ran++
		t.Run(c.Name, func(t *testing.T) {
			var published, then json.RawMessage
			fetches := 0
			server := roundTrip(func(r *http.Request) (*http.Response, error) {
				switch r.URL.Path {
				case metadataPath:
					return respondJSON(map[string]string{"issuer": file.Issuer, "jwks_uri": file.Issuer + "/keys", "sealwright_revocation_list": file.Issuer + "/list"}), nil
				case "/list":
					return respond(http.StatusOK, nil, `{"since":null,"version":1,"revoked_tokens":[],"revoked_agents":[],"revoked_orgs":[],"revoked_keys":[]}`), nil
				}
				fetches++
				now := published
				if then != nil {
					published, then = then, nil
				}
				switch string(now) {
				case `"unreachable"`:
					return nil, errors.New("connection refused")
				case `"page"`:
					return respond(http.StatusOK, nil, "<html></html>"), nil
				}
				var names []string
				if err := json.Unmarshal(now, &names); err != nil {
					t.Error(err)
				}
				set := []json.RawMessage{}
				for _, name := range names {
					set = append(set, file.JWKS[name])
				}
				return respondJSON(map[string]any{"keys": set}), nil
			})
			clock := newFakeClock(file.Now)
			v, err := newVerifierCore(file.Issuer, file.Audience, WithVerifierTransport(server), withVerifierClock(clock), WithAcceptWhenStale())
			if err != nil {
				t.Fatal(err)
			}
			v.keys.lag = 0
			close(v.done)
			p, _ := v.feed.due()
			v.turn(t.Context(), p)
			for i, step := range c.Steps {
				switch {
				case step.Publish != nil:
					published, then = step.Publish, step.Then
				case step.Advance != nil:
					clock.advance(seconds(*step.Advance))
				case step.Step != nil:
					clock.step(seconds(*step.Step))
				case step.Verify != nil:
					for _, name := range step.Verify {
						if _, err := v.verify(t.Context(), file.Tokens[name]); verdictOf(err) != step.Verdict {
							t.Fatalf("step %d: %s is %v, wanted %s", i+1, name, err, step.Verdict)
						}
					}
					settleKeys(v)
					if fetches != step.Fetches {
						t.Fatalf("step %d: %d fetches, wanted %d", i+1, fetches, step.Fetches)
					}
				default:
					t.Fatal("a step that this test does not know")
				}
			}
		})
	}
	countCases(t, "keys.json", ran)
}

// settleKeys waits until the verifier fetches no keys.
func settleKeys(v *verifierCore) {
	v.keys.mu.RLock()
	under := v.keys.flight
	v.keys.mu.RUnlock()
	if under != nil {
		<-under.done
	}
}
