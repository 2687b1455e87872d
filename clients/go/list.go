package sealwright

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// list is an answer of the feed: a delta, a whole list, or the list without deltas.
type list struct {
	// since is the version that the entries come after, as JSON; nil for a whole list.
	since   json.RawMessage
	version json.RawMessage
	entries entries
	// plain marks a list without deltas, as servers before them have it, and as contract §4 says.
	plain bool
}

func (l *list) whole() bool { return l.since == nil }

var errNoList = errors.New("the answer is no revocation list")

// readList reads all of an answer or none of it. Members that it does not know are passed over.
func readList(body []byte, now time.Time) (*list, error) {
	var told struct {
		Since   json.RawMessage `json:"since"`
		Version json.RawMessage `json:"version"`
		Tokens  *[]struct {
			ID  string `json:"jti"`
			Exp *int64 `json:"exp"`
		} `json:"revoked_tokens"`
		Agents *[]struct {
			Agent string `json:"agent"`
			Epoch *int64 `json:"epoch"`
			Exp   *int64 `json:"exp"`
		} `json:"revoked_agents"`
		Orgs []struct {
			ID    string `json:"orgId"`
			Epoch *int64 `json:"epoch"`
			Exp   *int64 `json:"exp"`
		} `json:"revoked_orgs"`
		Keys []struct {
			ID  string `json:"kid"`
			Exp *int64 `json:"exp"`
		} `json:"revoked_keys"`
		IDs *[]string `json:"revoked_jtis"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return nil, errNoList
	}
	l := &list{version: told.Version, entries: newEntries(), plain: told.Tokens == nil && told.IDs != nil}
	if !isVersion(told.Version) || told.Agents == nil || told.Tokens == nil && told.IDs == nil {
		return nil, errNoList
	}
	if !l.plain && !bytes.Equal(told.Since, []byte("null")) {
		if !isVersion(told.Since) {
			return nil, errNoList
		}
		l.since = told.Since
	}
	// An entry whose end is not told is kept as long as a token can live.
	end := now.Add(longestLife).Unix()
	complete := true
	exp := func(told *int64) int64 {
		if told != nil {
			return *told
		}
		complete = complete && l.plain
		return end
	}
	if l.plain {
		for _, id := range *told.IDs {
			l.entries.tokens[id] = end
		}
	} else {
		for _, entry := range *told.Tokens {
			complete = complete && entry.ID != ""
			l.entries.tokens[entry.ID] = exp(entry.Exp)
		}
	}
	raise := func(all map[string]killed, id string, epoch, end *int64) {
		if epoch == nil || id == "" {
			complete = false
			return
		}
		all[id] = killed{max(all[id].epoch, *epoch), max(all[id].exp, exp(end))}
	}
	for _, entry := range *told.Agents {
		raise(l.entries.agents, entry.Agent, entry.Epoch, entry.Exp)
	}
	for _, entry := range told.Orgs {
		raise(l.entries.orgs, entry.ID, entry.Epoch, entry.Exp)
	}
	for _, entry := range told.Keys {
		complete = complete && entry.ID != ""
		l.entries.keys[entry.ID] = exp(entry.Exp)
	}
	if !complete {
		return nil, errNoList
	}
	return l, nil
}

// isVersion is whether it is a number or a text: a version may one day be more than a number.
func isVersion(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// versionText is a version as a query has it.
func versionText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
