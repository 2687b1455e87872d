package sealwright

import (
	"context"
	"errors"
	"os"
	"time"
)

// reportPatience is how long a poll waits for the token of its report.
const reportPatience = 2 * time.Second

// follow polls the revocation list until ctx ends.
func (v *verifierCore) follow(ctx context.Context) {
	defer close(v.done)
	for ctx.Err() == nil {
		p, wait := v.feed.due()
		if wait > 0 {
			v.sleep(ctx, wait)
			continue
		}
		v.turn(ctx, p)
	}
}

// turn polls once, and keeps on disk what is known.
func (v *verifierCore) turn(ctx context.Context, p poll) {
	news := v.pollOnce(ctx, p)
	if now := v.clock.elapsed(); v.path != "" && (news || now-v.savedAt >= saveEvery) {
		v.savedAt = now
		v.store()
	}
}

// sleep waits before a poll, or until the poll must be thought over.
func (v *verifierCore) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-v.kick:
	}
}

// pollOnce asks once, and reports whether the answer had news.
func (v *verifierCore) pollOnce(ctx context.Context, p poll) bool {
	polling, cancel := context.WithCancel(ctx)
	defer cancel()
	kicked := make(chan struct{})
	go func() {
		defer close(kicked)
		select {
		case <-v.kick:
			if p.wait > 0 {
				cancel()
			}
		case <-polling.Done():
		}
	}()
	began := v.clock.elapsed()
	bearer, reports := v.bearer(polling)
	asked := p
	if !reports {
		asked.enforced = nil
	}
	answer, err := v.remote.poll(polling, asked, v.name, bearer)
	cut := polling.Err() != nil
	cancel()
	<-kicked
	if cut {
		return false
	}
	defer v.asked()
	if err != nil {
		v.log.DebugContext(ctx, "the revocation list was not fetched", "error", err)
		v.feed.failed(p)
		return false
	}
	good, news := v.feed.answered(p, answer.status, answer.header, answer.body, v.clock.elapsed()-began)
	v.log.DebugContext(ctx, "the revocation list was fetched", "status", answer.status, "good", good, "news", news)
	return news
}

// bearer is a token for the issuer itself, with which a report counts. The poll does not wait for it for long, since
// what is revoked matters more than who knows of it. If there is none yet, this poll is to report nothing: the
// server would list a verifier of this name as unauthenticated for a day. An agent that gets none is listed so.
func (v *verifierCore) bearer(ctx context.Context) (token *Token, reports bool) {
	if v.reporter == nil {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	token, err := v.reporter.Token(ctx, Request{Audience: v.issuer})
	if err == nil {
		return token, true
	}
	v.log.WarnContext(ctx, "no token for the report", "error", err)
	var away *Unavailable
	var limited *RateLimited
	return nil, ctx.Err() == nil && !errors.As(err, &away) && !errors.As(err, &limited)
}

// asked says that the first poll has ended, however it did.
func (v *verifierCore) asked() {
	select {
	case <-v.first:
	default:
		close(v.first)
	}
}

// wake makes the next poll come now, if this token needs the whole list.
func (v *verifierCore) wake(c *Claims) {
	if !v.feed.hurry(c) {
		return
	}
	select {
	case v.kick <- struct{}{}:
	default:
	}
}

// load reads the cache file.
func (v *verifierCore) load() {
	if v.path == "" {
		return
	}
	content, err := os.ReadFile(v.path)
	if err != nil {
		v.log.Debug("no cache file", "error", err)
		return
	}
	v.keys.restore(v.feed.restore(v.issuer, content))
	if v.feed.enforced() != nil {
		v.asked()
	}
}

// store writes the cache file. A disk that is full must not end the polls.
func (v *verifierCore) store() {
	content, err := v.feed.save(v.issuer, v.keys.snapshot())
	if err == nil && content != nil {
		err = writeFile(v.path, content)
	}
	if err != nil {
		v.log.Warn("the cache file was not written", "error", err)
	}
}
