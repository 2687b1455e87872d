package sealwright

import (
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	monthIssuer = "https://auth.example"
	tokenLife   = 2 * time.Hour
)

// world is a server, an agent and a service on a clock that a test moves through a month.
type world struct {
	t      *testing.T
	random *mathrand.Rand
	// clock is the service's and the agent's; ahead is by how much its time of day is wrong.
	clock *fakeClock
	ahead time.Duration

	awayUntil time.Duration
	keyIDs    []string
	signs     int
	version   int
	// log has what was revoked, in order.
	log    []revocation
	issued int
}

type revocation struct {
	version int
	entry   map[string]any
	exp     int64
}

// truth is the server's time of day.
func (w *world) truth() time.Time { return w.clock.now().Add(-w.ahead) }

func (w *world) away() bool { return w.clock.elapsed() < w.awayUntil }

func (w *world) serve(r *http.Request) (*http.Response, error) {
	if w.away() {
		w.clock.advance(time.Duration(w.random.IntN(3_000)) * time.Millisecond)
		return nil, errors.New("connection refused")
	}
	switch r.URL.Path {
	case metadataPath:
		return respondJSON(map[string]string{"issuer": monthIssuer, "jwks_uri": monthIssuer + "/keys", "sealwright_revocation_list": monthIssuer + "/list"}), nil
	case "/keys":
		var set jose.JSONWebKeySet
		for i, id := range w.keyIDs {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: testKeys()[i%3].Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
		}
		return respondJSON(set), nil
	case "/list":
		return w.list(r.URL.Query()), nil
	case tokenPath:
		return respondJSON(map[string]any{"access_token": w.sign("reporter", ""), "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "scope": "db:read"}), nil
	}
	return respond(http.StatusNotFound, nil, ""), nil
}

func (w *world) list(query url.Values) *http.Response {
	if query.Has("wait") {
		// News may come at any time of the wait.
		held := time.Duration(w.random.IntN(int(pollWait)))
		if w.random.IntN(3) == 0 {
			w.clock.advance(held)
			w.revokeSomething()
		} else {
			w.clock.advance(pollWait)
		}
	}
	since, err := strconv.Atoi(query.Get("since"))
	var told any = since
	// A server forgets versions.
	if err != nil || since == 0 || since < w.version-50 {
		since, told = 0, nil
	}
	body := map[string]any{"since": told, "version": w.version, "revoked_orgs": []any{}, "revoked_keys": []any{}}
	tokens, agents := []any{}, []any{}
	for _, r := range w.log {
		if r.version <= since || r.exp <= w.truth().Unix() {
			continue
		}
		if _, isToken := r.entry["jti"]; isToken {
			tokens = append(tokens, r.entry)
		} else {
			agents = append(agents, r.entry)
		}
	}
	body["revoked_tokens"], body["revoked_agents"] = tokens, agents
	return respondJSON(body)
}

func (w *world) revokeSomething() {
	w.version++
	exp := w.truth().Add(longestLife).Unix()
	entry := map[string]any{"jti": fmt.Sprint("dead-", w.version), "exp": exp}
	if w.version%2 == 0 {
		entry = map[string]any{"agent": hashAgent(fmt.Sprint("dead-", w.version)), "epoch": 8, "exp": exp}
	}
	w.log = append(w.log, revocation{w.version, entry, exp})
	for len(w.log) > 0 && w.log[0].exp <= w.truth().Unix() {
		w.log = w.log[1:]
	}
}

// sign makes a token of an agent; jti is a fresh one if it is empty.
func (w *world) sign(agent, jti string) string {
	w.issued++
	if jti == "" {
		jti = fmt.Sprint("t-", w.issued)
	}
	key := jose.JSONWebKey{Key: testKeys()[w.signs%3], KeyID: w.keyIDs[w.signs]}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType(accessToken))
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.truth().Unix()
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": monthIssuer, "sub": agent, "client_id": agent, "aud": testAudience, "scope": "db:read", "jti": jti, "epoch": 7,
		"iat": now, "exp": now + int64(tokenLife.Seconds()),
	}).Serialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func TestAMonthWithOutagesRotationsAndClockSteps(t *testing.T) {
	w := &world{t: t, random: mathrand.New(mathrand.NewPCG(22, 7)), clock: newFakeClock(1_800_000_000), keyIDs: []string{"k-0"}, version: 1}
	server := roundTrip(w.serve)
	client := newTestClient(t, monthIssuer, WithTransport(server), withClock(w.clock))
	v, err := newVerifierCore(monthIssuer, testAudience, WithVerifierTransport(server), withVerifierClock(w.clock))
	if err != nil {
		t.Fatal(err)
	}
	close(v.done)
	began := w.clock.elapsed()
	var outages, steps, rotations, refusals, largest int
	nextRotation, nextStep := began+48*time.Hour, began+30*time.Hour
	heard := began
	// What is held after a week, when every entry has been forgotten at least once, and at the end.
	var after, atEnd uint64
	days := 30
	if testing.Short() {
		days = 10
	}
	for w.clock.elapsed()-began < time.Duration(days)*24*time.Hour {
		if after == 0 && w.clock.elapsed()-began > 7*24*time.Hour {
			after = heldMemory()
		}
		p, wait := v.feed.due()
		if wait > 0 {
			w.clock.advance(wait)
			continue
		}
		v.turn(t.Context(), p)
		if v.feed.heardAt > heard {
			heard = v.feed.heardAt
		}
		now := w.clock.elapsed()
		switch {
		case !w.away() && w.random.IntN(400) == 0:
			outages++
			w.awayUntil = now + time.Duration(w.random.IntN(40*60))*time.Second
		case now >= nextRotation && !w.away():
			// The next key is in the set for half the time before it signs.
			rotations++
			if len(w.keyIDs) == w.signs+1 {
				w.keyIDs = append(w.keyIDs, fmt.Sprint("k-", len(w.keyIDs)))
			} else {
				w.signs++
			}
			nextRotation = now + 24*time.Hour
		case now >= nextStep:
			// A wrong time of day for a while: up to four minutes, which no token of this world is near its ends for.
			steps++
			by := time.Duration(w.random.IntN(480)-240) * time.Second
			w.clock.step(by - w.ahead)
			w.ahead = by
			nextStep = now + time.Duration(1+w.random.IntN(20))*time.Hour
		}
		token, err := client.Token(t.Context(), Request{Scope: "db:read"})
		settle(client)
		if err != nil {
			// Half an hour is what is left of a token when its renewal begins.
			if !w.away() && w.clock.elapsed()-w.awayUntil > retryWait {
				t.Fatalf("no token without an outage: %v", err)
			}
			continue
		}
		if age := tokenAge(w, token); age < 5*time.Minute || age > tokenLife-5*time.Minute {
			continue
		}
		_, err = v.verify(t.Context(), token.AccessToken())
		settleKeys(v)
		silent := w.clock.elapsed() - heard
		if got := verdictOf(err); got != "accept" && (got != "unavailable" || silent < defaultStaleAll) {
			t.Fatalf("a good token is %v, %v after the last answer", err, silent)
		}
		if w.version > 2 && w.random.IntN(200) == 0 && !w.away() {
			refusals++
			v.turn(t.Context(), poll{since: json.RawMessage(string(v.feed.enforced()))})
			last := w.log[len(w.log)-1]
			jti, _ := last.entry["jti"].(string)
			_, err = v.verify(t.Context(), w.sign(fmt.Sprint("dead-", last.version), jti))
			settleKeys(v)
			if got := verdictOf(err); got != "revoked" && got != "not_yet_valid" {
				t.Fatalf("a dead token is %v", err)
			}
		}
		largest = max(largest, len(v.feed.entries.tokens)+len(v.feed.entries.agents))
	}
	atEnd = heldMemory()
	// A day has some 1,400 revocations, whose number differs a little, and seen tokens are kept up to a number of them.
	if atEnd > after+after/4+1<<20 {
		t.Errorf("%d bytes after a week, %d after a month", after, atEnd)
	}
	// In a day there are 3,456 waits of 25 s at most, of which a third has news.
	if largest == 0 || largest > 2_000 {
		t.Errorf("%d entries", largest)
	}
	if kept := len(v.seen.new) + len(v.seen.old); kept > 2*maxSeen {
		t.Errorf("%d seen tokens", kept)
	}
	if len(client.core.cache.entries) != 1 || outages < days || steps < days || rotations < days/2 || refusals < days {
		t.Errorf("%d outages, %d steps, %d rotations, %d refusals", outages, steps, rotations, refusals)
	}
	t.Logf("%d outages, %d clock steps, %d rotations, %d tokens, %d revocations, at most %d entries at once, %d KiB after a week and %d KiB at the end",
		outages, steps, rotations, w.issued, w.version, largest, after>>10, atEnd>>10)
}

// heldMemory is what the whole test holds, in bytes.
func heldMemory() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func tokenAge(w *world, token *Token) time.Duration {
	parsed, err := jwt.ParseSigned(token.AccessToken(), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		w.t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		w.t.Fatal(err)
	}
	return w.truth().Sub(claims.IssuedAt.Time())
}

// settle waits until the client has no request under way.
func settle(client *Client) { (&sourceBed{client: client}).settle() }
