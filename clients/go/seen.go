package sealwright

import (
	"crypto/sha256"
	"sync"
)

// maxSeen is how many tokens a generation of seen ones holds. Two generations take about 10 MB.
const maxSeen = 8_192

// seenTokens are tokens whose signature and claims were good, by their hash, so that the next request with the same token is
// cheap. They are forgotten by generations, and their times and revocation are judged anew each time.
type seenTokens struct {
	mu       sync.RWMutex
	new, old map[[sha256.Size]byte]*rawClaims
}

func newSeenTokens() *seenTokens {
	return &seenTokens{new: map[[sha256.Size]byte]*rawClaims{}}
}

func (s *seenTokens) find(token string) *rawClaims {
	hash := sha256.Sum256([]byte(token))
	s.mu.RLock()
	found, isNew := s.new[hash]
	if !isNew {
		found = s.old[hash]
	}
	s.mu.RUnlock()
	if found != nil && !isNew {
		s.add(hash, found)
	}
	return found
}

func (s *seenTokens) keep(token string, claims *rawClaims) {
	s.add(sha256.Sum256([]byte(token)), claims)
}

func (s *seenTokens) add(hash [sha256.Size]byte, claims *rawClaims) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.new) >= maxSeen {
		s.new, s.old = map[[sha256.Size]byte]*rawClaims{}, s.new
	}
	s.new[hash] = claims
}
