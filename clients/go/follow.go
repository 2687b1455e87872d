package sealwright

import (
	"context"
	"os"
	"time"
)

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
	answer, err := v.remote.poll(polling, p, v.name, v.bearer(polling))
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

// bearer is a token for the issuer itself, with which a report counts. Without one the poll is as good.
func (v *verifierCore) bearer(ctx context.Context) *Token {
	if v.reporter == nil {
		return nil
	}
	token, err := v.reporter.Token(ctx, Request{Audience: v.issuer})
	if err != nil {
		v.log.DebugContext(ctx, "no token for the report", "error", err)
		return nil
	}
	return token
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
