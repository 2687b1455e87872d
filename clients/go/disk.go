package sealwright

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// diskFormat is the form of the cache file. A file of another form counts as none.
const diskFormat = 1

// saved is the content of the cache file.
type saved struct {
	Format int    `json:"format"`
	Issuer string `json:"issuer"`
	// HeardAt is when the server answered last, in unix milliseconds.
	HeardAt int64           `json:"heardAt"`
	Version json.RawMessage `json:"version"`
	// Forgotten is of feed.forgotten, in unix seconds.
	Forgotten int64               `json:"forgotten"`
	Tokens    map[string]int64    `json:"tokens"`
	Agents    map[string][2]int64 `json:"agents"`
	Orgs      map[string][2]int64 `json:"orgs"`
	Keys      map[string]int64    `json:"keys"`
	KeySet    json.RawMessage     `json:"keySet,omitempty"`
}

// save gives the content of the cache file; nil before the first list.
func (f *feed) save(issuer string, keySet json.RawMessage) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.version == nil || !f.heard {
		return nil, nil
	}
	heard := f.clock.now().Add(f.heardAt - f.clock.elapsed())
	return json.Marshal(saved{
		Format: diskFormat, Issuer: issuer, HeardAt: heard.UnixMilli(), Version: f.version, Forgotten: f.forgotten.Unix(),
		Tokens: f.entries.tokens, Agents: pairs(f.entries.agents), Orgs: pairs(f.entries.orgs), Keys: f.entries.keys, KeySet: keySet,
	})
}

// restore takes the content of a cache file. Whatever is no such content is passed over: a list that could be
// incomplete must not count as one. It gives the keys of the file.
func (f *feed) restore(issuer string, content []byte) json.RawMessage {
	var s saved
	if json.Unmarshal(content, &s) != nil || s.Format != diskFormat || s.Issuer != issuer || !isVersion(s.Version) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version, f.forgotten = s.Version, time.Unix(s.Forgotten, 0)
	f.entries.add(entries{s.Tokens, unpairs(s.Agents), unpairs(s.Orgs), s.Keys})
	// A file from the future says nothing about when the server answered.
	if silence := f.clock.now().Sub(time.UnixMilli(s.HeardAt)); silence >= 0 {
		f.heard, f.heardAt = true, f.clock.elapsed()-silence
	}
	return s.KeySet
}

func pairs(all map[string]killed) map[string][2]int64 {
	out := make(map[string][2]int64, len(all))
	for id, entry := range all {
		out[id] = [2]int64{entry.epoch, entry.exp}
	}
	return out
}

func unpairs(all map[string][2]int64) map[string]killed {
	out := make(map[string]killed, len(all))
	for id, pair := range all {
		out[id] = killed{pair[0], pair[1]}
	}
	return out
}

// writeFile replaces a file as a whole, so that a reader sees the old one or the new one.
func writeFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
