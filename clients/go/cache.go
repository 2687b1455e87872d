package sealwright

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// renewFrom is the share of its life after which a use renews a token, and renewSpread by how much it
	// differs at most, so that many processes do not ask at once.
	renewFrom   = 0.75
	renewSpread = 0.05
	// spare is how long before its end a token is handed out no more.
	spare = 5 * time.Second
	// retryWait is how long after a failed try none is made, and the least time between two forced renewals.
	retryWait = 30 * time.Second
	// maxIdle is how many entries there may be before those without a live token are dropped.
	maxIdle = 1_000
)

// askFunc makes one request for a token.
type askFunc func(ctx context.Context, request Request, now time.Time) (*granted, error)

// cache keeps a token for each request. It knows when to ask, and nothing of HTTP. Lifetimes are
// measured by the clock that only moves forward.
type cache struct {
	clock clock
	// random is in [0, 1).
	random func() float64

	mu      sync.Mutex
	entries map[Request]*entry
	// The quota is the agent's, so it holds for every entry.
	quota      error
	quotaUntil time.Duration
}

// entry is what is known of one request. Times are of clock.elapsed.
type entry struct {
	token   *Token
	renewAt time.Duration
	endsAt  time.Duration
	flight  *flight
	// err is the last failure; no try is made before retryAt.
	err     error
	retryAt time.Duration
	// No renewal is forced before forceAt.
	forceAt time.Duration
}

// flight is a request that is under way. Its result may be read once done is closed.
type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

func newCache(clock clock, random func() float64) *cache {
	return &cache{clock: clock, random: random, entries: map[Request]*entry{}}
}

// token gives a live token at once if there is one, and else waits for one.
func (c *cache) token(ctx context.Context, request Request, ask askFunc) (*Token, error) {
	c.mu.Lock()
	now := c.clock.elapsed()
	e := c.entries[request]
	if e != nil && e.token != nil && now < e.renewAt && now < e.endsAt {
		token := e.token
		c.mu.Unlock()
		return token, nil
	}
	if e == nil {
		e = c.add(request, now)
	}
	live := e.token != nil && now < e.endsAt
	failure := c.failure(e, now)
	if e.flight == nil && failure == nil {
		c.start(ctx, request, e, ask)
	}
	token, under := e.token, e.flight
	c.mu.Unlock()
	switch {
	case live:
		return token, nil
	case under != nil:
		return under.wait(ctx)
	}
	return nil, failure
}

// replace gives another token in place of a rejected one.
func (c *cache) replace(ctx context.Context, rejected *Token, request Request, ask askFunc) (*Token, error) {
	c.mu.Lock()
	now := c.clock.elapsed()
	e := c.entries[request]
	if e == nil {
		e = c.add(request, now)
	}
	if e.token != nil && now < e.endsAt && (rejected == nil || e.token.value() != rejected.value()) {
		defer c.mu.Unlock()
		return e.token, nil
	}
	if e.flight == nil {
		if now < e.forceAt || c.failure(e, now) != nil {
			defer c.mu.Unlock()
			return nil, ErrNotReplaced
		}
		e.forceAt = now + retryWait
		c.start(ctx, request, e, ask)
	}
	under := e.flight
	c.mu.Unlock()
	token, err := under.wait(ctx)
	if err == nil || ctx.Err() != nil {
		return token, err
	}
	if !isVerdict(err) {
		return nil, ErrNotReplaced
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.token != nil && rejected != nil && e.token.value() == rejected.value() {
		e.token = nil
	}
	return nil, err
}

// isVerdict is whether the server has said that this agent gets no token, so that the old one is dead too.
func isVerdict(err error) bool {
	var suspended *AgentSuspended
	var invalid *InvalidClient
	return errors.As(err, &suspended) || errors.As(err, &invalid)
}

// failure is why no try may be made now; nil if one may.
func (c *cache) failure(e *entry, now time.Duration) error {
	if c.quota != nil && now < c.quotaUntil {
		return c.quota
	}
	if e.err != nil && now < e.retryAt {
		return e.err
	}
	return nil
}

// start asks for a token beside the callers, so that none of them can cancel it for the others. It keeps the values
// of the ctx that caused it. The caller holds mu.
func (c *cache) start(ctx context.Context, request Request, e *entry, ask askFunc) {
	under := &flight{done: make(chan struct{})}
	e.flight = under
	asked, now := c.clock.elapsed(), c.clock.now()
	go func() {
		got, err := ask(context.WithoutCancel(ctx), request, now)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.keepFailure(e, err)
		} else {
			c.keep(e, got, asked, now)
			under.token = e.token
		}
		under.err = err
		e.flight = nil
		close(under.done)
	}()
}

// keep counts the life of a token from the moment before it was asked for.
func (c *cache) keep(e *entry, got *granted, asked time.Duration, now time.Time) {
	value := got.value
	e.token = &Token{Expiry: now.Add(got.lifetime), Scope: got.scope, value: func() string { return value }}
	share := renewFrom + renewSpread*(2*c.random()-1)
	e.renewAt = asked + time.Duration(share*float64(got.lifetime))
	e.endsAt = asked + got.lifetime - spare
	e.err, e.retryAt = nil, 0
	c.quota = nil
}

func (c *cache) keepFailure(e *entry, err error) {
	now := c.clock.elapsed()
	wait := retryWait
	var limited *RateLimited
	var unavailable *Unavailable
	var quota *QuotaReached
	switch {
	case errors.As(err, &limited) && limited.RetryAfter > 0:
		wait = limited.RetryAfter
	case errors.As(err, &unavailable) && unavailable.RetryAfter > 0:
		wait = unavailable.RetryAfter
	case errors.As(err, &quota):
		if !quota.ResetsAt.IsZero() {
			wait = max(quota.ResetsAt.Sub(c.clock.now()), minRetryAfter)
		}
		c.quota, c.quotaUntil = err, now+wait
	}
	e.err, e.retryAt = err, now+wait
}

// add makes an entry. Those that have nothing to tell are dropped where there are many, so that an agent with ever
// new audiences does not grow for ever. The caller holds mu.
func (c *cache) add(request Request, now time.Duration) *entry {
	if len(c.entries) >= maxIdle {
		for other, e := range c.entries {
			if e.flight == nil && now >= e.endsAt && now >= e.retryAt && now >= e.forceAt {
				delete(c.entries, other)
			}
		}
	}
	e := &entry{}
	c.entries[request] = e
	return e
}

func (f *flight) wait(ctx context.Context) (*Token, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
