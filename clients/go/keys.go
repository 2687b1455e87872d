package sealwright

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysRetry is the least time between two fetches for keys that are not known, and after a failed one.
	keysRetry = 30 * time.Second
	// keysLag is how long after the keys were found to lack one they are fetched once more: a replica may learn of a new key
	// a second late.
	keysLag = 1200 * time.Millisecond
	// keysFresh is the age from which on a use fetches the keys again, beside the caller.
	keysFresh = 10 * time.Minute
	// minModulus and maxModulus are the shortest and the longest RSA key that count, in bits, and maxExponent the greatest
	// exponent.
	minModulus, maxModulus = 2048, 16384
	maxExponent            = 1<<31 - 1
)

// keySet holds the issuer's keys. It keeps them through an outage, and fetches them again for a key that it does
// not know, at most once in 30 s, and then a second time if it was not there.
type keySet struct {
	clock clock
	fetch func(ctx context.Context) ([]byte, error)
	lag   time.Duration

	mu     sync.RWMutex
	keys   map[string]*rsa.PublicKey
	raw    json.RawMessage
	flight *keysFlight
	// triedAt is when a fetch began last, and err how it ended; they have no meaning before tried.
	tried   bool
	triedAt time.Duration
	err     error
	// missAt is when a fetch for an unknown key began last; it has no meaning before missed.
	missed bool
	missAt time.Duration
	// goodAt is when the keys were fetched last.
	goodAt time.Duration
}

type keysFlight struct{ done chan struct{} }

var errNoKeys = errors.New("the answer is no key set")

// find gives a key. Without any keys, or if those that there are could not be renewed, an unknown key is no verdict.
func (k *keySet) find(ctx context.Context, keyID string) (*rsa.PublicKey, error) {
	k.mu.Lock()
	now := k.clock.elapsed()
	key := k.keys[keyID]
	if key != nil {
		if k.flight == nil && k.isOld(now) {
			k.start(ctx, "")
		}
		k.mu.Unlock()
		return key, nil
	}
	switch {
	case k.flight != nil:
	case k.keys == nil:
		if !k.tried || now-k.triedAt >= pollRetry {
			k.start(ctx, keyID)
		}
	case !k.missed || now-k.missAt >= keysRetry:
		k.missed, k.missAt = true, now
		k.start(ctx, keyID)
	}
	under := k.flight
	k.mu.Unlock()
	if under != nil {
		select {
		case <-under.done:
		case <-ctx.Done():
			return nil, &Unavailable{Err: ctx.Err()}
		}
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.keys[keyID] != nil:
		return k.keys[keyID], nil
	case k.err != nil:
		return nil, &Unavailable{Err: k.err}
	}
	return nil, &InvalidToken{Key}
}

// has is whether a key is still one of the issuer's.
func (k *keySet) has(ctx context.Context, keyID string) bool {
	k.mu.RLock()
	found := k.keys[keyID] != nil
	old := k.flight == nil && k.isOld(k.clock.elapsed())
	k.mu.RUnlock()
	if old {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.flight == nil && k.isOld(k.clock.elapsed()) {
			k.start(ctx, "")
		}
	}
	return found
}

// isOld is whether the keys are to be fetched again, beside their users. The caller holds mu.
func (k *keySet) isOld(now time.Duration) bool {
	return now-k.goodAt >= keysFresh && now-k.triedAt >= keysRetry
}

// start fetches beside the callers, so that none of them can cancel it for the others, and once more if keyID is still
// unknown then. The caller holds mu.
func (k *keySet) start(ctx context.Context, keyID string) {
	under := &keysFlight{make(chan struct{})}
	k.flight, k.tried, k.triedAt = under, true, k.clock.elapsed()
	go func() {
		ctx := context.WithoutCancel(ctx)
		if k.load(ctx) && keyID != "" && k.lacks(keyID) {
			time.Sleep(k.lag)
			k.mu.Lock()
			now := k.clock.elapsed()
			k.triedAt, k.missed, k.missAt = now, true, now
			k.mu.Unlock()
			k.load(ctx)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.flight = nil
		close(under.done)
	}()
}

// load fetches once, and reports whether the answer had keys.
func (k *keySet) load(ctx context.Context) bool {
	raw, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		err = k.set(raw)
	}
	k.err = err
	return err == nil
}

func (k *keySet) lacks(keyID string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[keyID] == nil
}

// set replaces the keys, if these are any. The caller holds mu.
func (k *keySet) set(raw []byte) error {
	// A map, since a struct would take a member of any letter case.
	var set map[string]json.RawMessage
	var published []json.RawMessage
	if json.Unmarshal(raw, &set) != nil || json.Unmarshal(set["keys"], &published) != nil {
		return errNoKeys
	}
	keys := map[string]*rsa.PublicKey{}
	for _, one := range published {
		// A key that this release does not know must not hide the others, and of two with one id the first counts.
		if id, key := readKey(one); key != nil && keys[id] == nil {
			keys[id] = key
		}
	}
	if len(keys) == 0 {
		return errNoKeys
	}
	k.keys, k.raw, k.goodAt = keys, raw, k.clock.elapsed()
	return nil
}

// readKey reads a JWK with which the issuer may sign; nil if it is none.
func readKey(raw json.RawMessage) (id string, key *rsa.PublicKey) {
	var jwk map[string]json.RawMessage
	if json.Unmarshal(raw, &jwk) != nil {
		return "", nil
	}
	is := func(name, wanted string) bool { return jwk[name] == nil || text(jwk[name]) == wanted }
	id = text(jwk["kid"])
	n, e := text(jwk["n"]), text(jwk["e"])
	if id == "" || jwk["kty"] == nil || !is("kty", "RSA") || !is("use", "sig") || !is("alg", string(jose.RS256)) || !isBase64url(n) || !isBase64url(e) {
		return "", nil
	}
	// The public members alone, whatever else is published.
	public, err := json.Marshal(map[string]string{"kty": "RSA", "n": n, "e": e})
	var read jose.JSONWebKey
	if err != nil || read.UnmarshalJSON(public) != nil {
		return "", nil
	}
	key, isRSA := read.Key.(*rsa.PublicKey)
	if !isRSA || key.N.BitLen() < minModulus || key.N.BitLen() > maxModulus || key.E < 3 || key.E > maxExponent || key.E%2 == 0 {
		return "", nil
	}
	return id, key
}

// restore takes keys from the disk.
func (k *keySet) restore(raw []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(raw) > 0 && k.set(raw) == nil {
		// They are as old as they are, so the first use fetches them again.
		k.goodAt -= keysFresh
	}
}

func (k *keySet) snapshot() json.RawMessage {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.raw
}
