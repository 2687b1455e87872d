package sealwright

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// pollWait is how long the server may hold a poll, and pollSpare how long its answer may take beyond that.
	pollWait  = 25 * time.Second
	pollSpare = 5 * time.Second
	// pollLeast and pollMost bound the interval where no long poll is to be had, and after one that was answered early: with
	// the second that a replica may lag, a token is refused within 16 s of its end.
	pollLeast, pollMost = 12 * time.Second, 15 * time.Second
	// pollSpread is by which share any other wait differs at most, so that many verifiers do not poll at once.
	pollSpread = 0.2
	// pollSoon follows an answer with news. It bounds the polls of a verifier while many tokens are revoked.
	pollSoon = 100 * time.Millisecond
	// pollRetry is the wait after a failure, which is doubled up to pollMost.
	pollRetry = time.Second
	// holdRefused is how long the verifier polls without waiting after long polls were refused.
	holdRefused = 5 * time.Minute
	// keptAfterEnd is how long an entry is kept after its token has expired.
	keptAfterEnd = 2 * time.Minute
	// probeFrom is after how many failed long polls in a row one is made that does not wait, and cutsToHold after how
	// many they are refused as if the server had refused them.
	probeFrom, cutsToHold = 2, 4
	// maxRetryWait bounds what a Retry-After brings about: however long a page tells to wait, what is revoked meanwhile must be
	// known soon after the page is gone.
	maxRetryWait = time.Minute
	// forgetEvery is how often expired entries are looked for at most, by the time of day.
	forgetEvery = time.Minute
	// longestLife is that of the longest possible token. Entries of a list that does not say it are kept so long.
	longestLife = 24 * time.Hour
)

// standing is what the feed says of a token.
type standing int

const (
	alive standing = iota
	dead
	unknown
)

// feed is what is revoked, as far as the server has said, and when to ask it again. It knows nothing of HTTP or
// goroutines. Its silence is measured by the clock that only moves forward.
type feed struct {
	clock  clock
	random func() float64
	stale  staleness

	mu sync.RWMutex
	// version is the server's word for the list applied last, as JSON; nil before the first.
	version json.RawMessage
	entries entries
	// heardAt is when the server answered last; it has no meaning before heard.
	heard   bool
	heardAt time.Duration
	// Entries of tokens that expired up to forgotten may have been dropped.
	forgotten time.Time
	// forgotAt is when expired entries were looked for last.
	forgotAt time.Time
	// wantWhole is whether a whole list is needed to know what was forgotten too early.
	wantWhole bool
	etag      string
	listOnly  bool
	// Long polls are not tried before holdAt.
	holdAt time.Duration
	// cuts counts the long polls that failed since one was answered, and probe asks whether a poll that does not wait
	// is answered: something on the way may cut what is held.
	cuts     int
	probe    bool
	failures int
	next     time.Duration
}

// staleness says what a silent feed means.
type staleness struct {
	highRisk, all time.Duration
	accept        bool
}

// entries are what is revoked. The times of the maps are when an entry's tokens have all expired.
type entries struct {
	tokens map[string]int64
	agents map[string]killed
	orgs   map[string]killed
	keys   map[string]int64
}

// killed is an agent or organization whose tokens with a lower epoch are dead.
type killed struct {
	epoch, exp int64
}

func newEntries() entries {
	return entries{map[string]int64{}, map[string]killed{}, map[string]killed{}, map[string]int64{}}
}

// poll is one request to the feed.
type poll struct {
	// since is empty for the list without deltas, in JSON otherwise.
	since json.RawMessage
	wait  time.Duration
	etag  string
	// enforced is the version that this verifier enforces, in JSON; nil before the first.
	enforced json.RawMessage
}

func newFeed(clock clock, random func() float64, stale staleness) *feed {
	return &feed{clock: clock, random: random, stale: stale, entries: newEntries(), next: clock.elapsed()}
}

// due gives the next poll, and how long to wait before it.
func (f *feed) due() (poll, time.Duration) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	now := f.clock.elapsed()
	p := poll{since: json.RawMessage("0"), enforced: f.version}
	if f.version != nil && !f.wantWhole {
		p.since = f.version
		if now >= f.holdAt && !f.probe {
			p.wait = pollWait
		}
		if f.listOnly {
			p.etag = f.etag
		}
	}
	return p, max(f.next-now, 0)
}

// judge says whether a token with good claims is alive.
func (f *feed) judge(c *Claims) standing {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.entries.kill(c) {
		return dead
	}
	// The time of day was set back: the entry of this token may have been dropped as expired.
	if f.version == nil || !f.forgotten.Before(c.Expiry) {
		return unknown
	}
	if f.stale.accept {
		return alive
	}
	silence := f.clock.elapsed() - f.heardAt
	if !f.heard || silence >= f.stale.all || c.HighRisk && silence >= f.stale.highRisk {
		return unknown
	}
	return alive
}

func (e *entries) kill(c *Claims) bool {
	if _, found := e.tokens[c.TokenID]; found {
		return true
	}
	if _, found := e.keys[c.keyID]; found {
		return true
	}
	// Another agent's entry has another hash, and no entry the epoch 0.
	return c.Epoch < e.agents[c.agentHash].epoch || c.OrgID != "" && c.OrgEpoch < e.orgs[c.OrgID].epoch
}

// answered applies an answer, and reports whether it says anything about the list, and anything new. took is how long the
// server held the poll.
func (f *feed) answered(p poll, status int, header http.Header, body []byte, took time.Duration) (good, news bool) {
	retryAfter := min(readRetryAfter(header, f.clock.now()), maxRetryWait)
	var told *list
	if status == http.StatusOK {
		// Outside of the lock: a long list takes a second, and tokens are judged meanwhile.
		told, _ = readList(body, f.clock.now())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch status {
	case http.StatusNotModified:
		// It says nothing about the whole list.
		if f.version == nil || f.wantWhole {
			f.fail(p, retryAfter)
			return false, false
		}
	case http.StatusOK:
		if told == nil || !told.whole() && !bytes.Equal(told.since, f.version) {
			f.fail(p, retryAfter)
			return false, false
		}
		news = !bytes.Equal(told.version, f.version)
		f.apply(told, header.Get("ETag"))
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestURITooLong, http.StatusNotImplemented:
		// Before the first list is known no poll waits, so what is refused may be `since`.
		if p.wait > 0 {
			f.holdAt = f.clock.elapsed() + holdRefused
			f.next = f.clock.elapsed()
			return false, false
		}
		f.fail(p, retryAfter)
		return false, false
	default:
		f.fail(p, retryAfter)
		return false, false
	}
	f.heard, f.heardAt, f.failures = true, f.clock.elapsed(), 0
	f.next = f.heardAt
	switch {
	case p.wait > 0:
		f.cuts = 0
	case f.probe && f.cuts >= cutsToHold:
		f.cuts, f.holdAt = 0, f.heardAt+holdRefused
	}
	f.probe = false
	switch {
	case f.listOnly || f.heardAt < f.holdAt:
		f.next += f.pause()
	case news || p.wait == 0:
		f.next += pollSoon
	case took >= p.wait-time.Second:
	case retryAfter > 0:
		f.next += f.spread(retryAfter)
	default:
		f.next += f.pause()
	}
	return true, news
}

// failed counts a poll that got no answer.
func (f *feed) failed(p poll) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(p, 0)
}

func (f *feed) fail(p poll, retryAfter time.Duration) {
	// In an outage polls that do not wait fail too, and prove nothing of those that do.
	if p.wait > 0 {
		f.cuts++
		f.probe = f.cuts >= probeFrom
	}
	wait := min(pollRetry<<min(f.failures, 4), pollMost)
	f.failures++
	if retryAfter > 0 {
		wait = retryAfter
	}
	f.next = f.clock.elapsed() + f.spread(wait)
}

// pause is the time from one poll to the next where none is held.
func (f *feed) pause() time.Duration {
	return pollLeast + time.Duration(float64(pollMost-pollLeast)*f.random())
}

func (f *feed) spread(wait time.Duration) time.Duration {
	return time.Duration(float64(wait) * (1 + pollSpread*(2*f.random()-1)))
}

// apply takes what a list says. A list without deltas replaces the entries; otherwise what was revoked stays so.
func (f *feed) apply(told *list, etag string) {
	if told.plain {
		f.entries = newEntries()
	}
	f.entries.add(told.entries)
	f.version, f.listOnly, f.etag = told.version, told.plain, etag
	now := f.clock.now()
	if told.whole() || now.Sub(f.forgotAt).Abs() >= forgetEvery {
		horizon := now.Add(-keptAfterEnd)
		f.entries.forget(horizon.Unix())
		// A whole list has every entry again.
		if told.whole() || horizon.After(f.forgotten) {
			f.forgotten = horizon
		}
		f.forgotAt = now
	}
	f.wantWhole = f.wantWhole && !told.whole()
}

func (e *entries) add(more entries) {
	for id, exp := range more.tokens {
		e.tokens[id] = max(e.tokens[id], exp)
	}
	for id, exp := range more.keys {
		e.keys[id] = max(e.keys[id], exp)
	}
	raise := func(all, more map[string]killed) {
		for id, entry := range more {
			old := all[id]
			all[id] = killed{max(old.epoch, entry.epoch), max(old.exp, entry.exp)}
		}
	}
	raise(e.agents, more.agents)
	raise(e.orgs, more.orgs)
}

// forget drops the entries whose tokens had expired at the horizon, in unix seconds.
func (e *entries) forget(horizon int64) {
	for _, ends := range []map[string]int64{e.tokens, e.keys} {
		for id, exp := range ends {
			if exp <= horizon {
				delete(ends, id)
			}
		}
	}
	for _, all := range []map[string]killed{e.agents, e.orgs} {
		for id, entry := range all {
			if entry.exp <= horizon {
				delete(all, id)
			}
		}
	}
}

// hurry makes a whole list the next poll, and due at once, if the entry of this token may have been forgotten since the
// time of day was set back.
func (f *feed) hurry(c *Claims) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wantWhole || f.version == nil || f.forgotten.Before(c.Expiry) {
		return false
	}
	f.wantWhole, f.next = true, f.clock.elapsed()
	return true
}

// enforced is the version applied last, as JSON.
func (f *feed) enforced() json.RawMessage {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.version
}
