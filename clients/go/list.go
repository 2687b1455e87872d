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

// whole is a number without a fraction and not negative.
type whole int64

func (w *whole) UnmarshalJSON(raw []byte) error {
	value, isWhole := readWhole(raw)
	if !isWhole {
		return errNoList
	}
	*w = whole(value)
	return nil
}

var errNoList = errors.New("the answer is no revocation list")

// readList reads all of an answer or none of it. Members that it does not know are passed over.
func readList(body []byte, now time.Time) (*list, error) {
	var told struct {
		Since   json.RawMessage `json:"since"`
		Version json.RawMessage `json:"version"`
		Tokens  *[]struct {
			ID  *string `json:"jti"`
			Exp *whole  `json:"exp"`
		} `json:"revoked_tokens"`
		Agents *[]struct {
			Agent *string `json:"agent"`
			Epoch *whole  `json:"epoch"`
			Exp   *whole  `json:"exp"`
		} `json:"revoked_agents"`
		Orgs *[]struct {
			ID    *string `json:"orgId"`
			Epoch *whole  `json:"epoch"`
			Exp   *whole  `json:"exp"`
		} `json:"revoked_orgs"`
		Keys *[]struct {
			ID  *string `json:"kid"`
			Exp *whole  `json:"exp"`
		} `json:"revoked_keys"`
		IDs *[]string `json:"revoked_jtis"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return nil, errNoList
	}
	l := &list{version: told.Version, entries: newEntries(), plain: told.Tokens == nil && told.IDs != nil}
	if !isVersion(told.Version) || told.Agents == nil || !l.plain && (told.Tokens == nil || told.Orgs == nil || told.Keys == nil) {
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
	exp := func(told *whole) int64 {
		if told != nil {
			return int64(*told)
		}
		complete = complete && l.plain
		return end
	}
	keep := func(all map[string]int64, id *string, end *whole) {
		if complete = complete && id != nil; complete {
			all[*id] = exp(end)
		}
	}
	if l.plain {
		for _, id := range *told.IDs {
			l.entries.tokens[id] = end
		}
	} else {
		for _, entry := range *told.Tokens {
			keep(l.entries.tokens, entry.ID, entry.Exp)
		}
	}
	raise := func(all map[string]killed, id *string, epoch, end *whole) {
		if complete = complete && id != nil && epoch != nil; complete {
			all[*id] = killed{max(all[*id].epoch, int64(*epoch)), max(all[*id].exp, exp(end))}
		}
	}
	for _, entry := range *told.Agents {
		raise(l.entries.agents, entry.Agent, entry.Epoch, entry.Exp)
	}
	if !l.plain {
		for _, entry := range *told.Orgs {
			raise(l.entries.orgs, entry.ID, entry.Epoch, entry.Exp)
		}
		for _, entry := range *told.Keys {
			keep(l.entries.keys, entry.ID, entry.Exp)
		}
	}
	if !complete {
		return nil, errNoList
	}
	return l, nil
}

// isVersion is whether it is a number or a text: a version may one day be more than a number.
func isVersion(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '"' && len(raw) > 2 || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// versionText is a version as a query has it.
func versionText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
