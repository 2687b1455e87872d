package sealwright

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	// This package refuses a repeated member and tells apart names that differ in letter case.
	"github.com/go-jose/go-jose/v4/json"
)

const (
	// maxToken is the longest token that is looked at, in bytes.
	maxToken = 8 << 10
	// accessToken is the type of RFC 9068 §2.1.
	accessToken = "at+jwt"
	// maxWhole is the greatest number that every JSON library reads exactly.
	maxWhole = 1<<53 - 1
	// maxDepth bounds the nesting of a token's JSON to what every JSON library can read, on whatever stack.
	maxDepth = 64
)

// unverified is a token whose header is good, before its signature was checked.
type unverified struct {
	keyID string
	text  string
}

// readHeader checks the shape of a token and its header. typ is the type that is accepted, in lower case.
func readHeader(token, typ string) (*unverified, error) {
	if len(token) > maxToken || !isCompact(token) {
		return nil, &InvalidToken{Malformed}
	}
	encoded, _, _ := strings.Cut(token, ".")
	var header map[string]json.RawMessage
	if !decodePart(encoded, &header) {
		return nil, &InvalidToken{Malformed}
	}
	if text(header["alg"]) != string(jose.RS256) {
		return nil, &InvalidToken{Algorithm}
	}
	// RFC 7515 §4.1.9: "application/" may be left out, and letter case does not matter.
	if found := strings.TrimPrefix(lower(text(header["typ"])), "application/"); found != typ {
		return nil, &InvalidToken{Type}
	}
	_, critical := header["crit"]
	if _, detached := header["b64"]; critical || detached {
		return nil, &InvalidToken{Critical}
	}
	keyID := text(header["kid"])
	if keyID == "" {
		return nil, &InvalidToken{Key}
	}
	return &unverified{keyID, token}, nil
}

// isCompact is whether a text is three parts of base64url (RFC 7515 §3.1), without padding.
func isCompact(token string) bool {
	parts, length := 1, 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			if length == 0 || length%4 == 1 {
				return false
			}
			parts, length = parts+1, 0
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_':
			length++
		default:
			return false
		}
	}
	return parts == 3 && length > 0 && length%4 != 1
}

// isBase64url is whether a text is base64url without padding, and not empty.
func isBase64url(text string) bool {
	return isCompact("A0."+text+".A0") && !strings.Contains(text, ".")
}

// decodePart reads a part as a JSON object, without a repeated member at any depth, a lone surrogate or deep nesting.
func decodePart(encoded string, into *map[string]json.RawMessage) bool {
	part, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(part) || !bytes.HasPrefix(bytes.TrimLeft(part, " \t\r\n"), []byte("{")) {
		return false
	}
	if json.Unmarshal(part, into) != nil || hasLoneSurrogate(part) {
		return false
	}
	// What is inside a member was not read yet.
	for _, member := range *into {
		if !isStrict(member, 1) {
			return false
		}
	}
	return true
}

// isStrict is whether a value that is within depth others repeats no member and is not nested too deeply.
func isStrict(raw json.RawMessage, depth int) bool {
	var inside []json.RawMessage
	switch raw[0] {
	case '{':
		var members map[string]json.RawMessage
		if depth >= maxDepth || json.Unmarshal(raw, &members) != nil {
			return false
		}
		for _, member := range members {
			inside = append(inside, member)
		}
	case '[':
		if depth >= maxDepth || json.Unmarshal(raw, &inside) != nil {
			return false
		}
	}
	for _, one := range inside {
		if !isStrict(one, depth+1) {
			return false
		}
	}
	return true
}

// hasLoneSurrogate is whether valid JSON has an escape that is half a character. It is no text, and other languages read
// another character than Go.
func hasLoneSurrogate(valid []byte) bool {
	unit := func(at int) rune {
		if at+6 > len(valid) || valid[at] != '\\' || valid[at+1] != 'u' {
			return -1
		}
		value, err := strconv.ParseUint(string(valid[at+2:at+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(value)
	}
	for at := 0; at < len(valid); at++ {
		if valid[at] != '\\' {
			continue
		}
		if first := unit(at); utf16.IsSurrogate(first) {
			if utf16.DecodeRune(first, unit(at+6)) == utf8.RuneError {
				return true
			}
			at += 6
		}
		at++ // what is escaped
	}
	return false
}

// lower changes the letters of ASCII alone: others become letters of ASCII in some languages, and not in others.
func lower(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

// text is a member that is a text; empty if it is anything else.
func text(raw []byte) string {
	var value *string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return *value
}

// verify checks the signature and reads the claims, without a judgement of their values.
func (u *unverified) verify(key *rsa.PublicKey) (*rawClaims, error) {
	// The text that was signed is that of the token, and no member of its header but those of readHeader has a say.
	end := strings.LastIndexByte(u.text, '.')
	signature, err := base64.RawURLEncoding.DecodeString(u.text[end+1:])
	if err != nil {
		return nil, &InvalidToken{Malformed}
	}
	digest := sha256.Sum256([]byte(u.text[:end]))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) != nil {
		return nil, &InvalidToken{Signature}
	}
	_, encoded, _ := strings.Cut(u.text[:end], ".")
	var members map[string]json.RawMessage
	if !decodePart(encoded, &members) {
		return nil, &InvalidToken{Malformed}
	}
	claims, good := readClaims(members)
	if !good {
		return nil, &InvalidToken{BadClaims}
	}
	claims.claims.keyID = u.keyID
	return claims, nil
}

// rawClaims are claims of the right types.
type rawClaims struct {
	issuer    string
	notBefore time.Time
	claims    Claims
}

func readClaims(members map[string]json.RawMessage) (*rawClaims, bool) {
	r := &rawClaims{}
	c := &r.claims
	good := true
	required := func(name string, into *string) {
		*into = text(members[name])
		good = good && *into != ""
	}
	whole := func(name string, required bool) int64 {
		raw, found := members[name]
		if !found && !required {
			return 0
		}
		value, isWhole := readWhole(raw)
		good = good && isWhole
		return value
	}
	optional := func(name string) string {
		raw, found := members[name]
		good = good && (!found || len(raw) > 0 && raw[0] == '"')
		return text(raw)
	}
	// An empty issuer is one, and not this one.
	iss, found := members["iss"]
	good = found && iss[0] == '"'
	r.issuer = text(iss)
	required("sub", &c.Subject)
	required("client_id", &c.ClientID)
	required("jti", &c.TokenID)
	c.Epoch = whole("epoch", true)
	c.IssuedAt = time.Unix(whole("iat", true), 0)
	c.Expiry = time.Unix(whole("exp", true), 0)
	if _, found := members["nbf"]; found {
		r.notBefore = time.Unix(whole("nbf", true), 0)
	}
	c.Scopes = splitScope(optional("scope"))
	c.HighRisk = optional("risk") == "high"
	if _, found := members["org_id"]; found {
		required("org_id", &c.OrgID)
	}
	c.OrgEpoch = whole("org_epoch", false)
	var listed bool
	c.Audience, listed = readAudience(members["aud"])
	c.agentHash = hashAgent(c.ClientID)
	return r, good && listed
}

// readWhole reads a number without a fraction, however it is written: to JSON, 10, 10.0 and 1e1 are the same.
func readWhole(raw []byte) (int64, bool) {
	value, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		// strconv refuses a text and what is greater than a double can be.
		double, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || double != math.Trunc(double) || math.Abs(double) > maxWhole {
			return 0, false
		}
		value = int64(double)
	}
	return value, value >= 0 && value <= maxWhole
}

// readAudience reads one text or an array of texts (RFC 7519 §4.1.3).
func readAudience(raw json.RawMessage) ([]string, bool) {
	switch {
	case len(raw) == 0:
		return nil, false
	case raw[0] == '"':
		return []string{text(raw)}, true
	}
	var several []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &several) != nil {
		return nil, false
	}
	audience := make([]string, 0, len(several))
	for _, one := range several {
		if len(one) == 0 || one[0] != '"' {
			return nil, false
		}
		audience = append(audience, text(one))
	}
	return audience, true
}

// judge compares claims with what this service expects, in the order of the reasons.
func (r *rawClaims) judge(issuer, audience string, now time.Time, leeway time.Duration) error {
	if r.issuer != issuer {
		return &InvalidToken{Issuer}
	}
	for _, one := range r.claims.Audience {
		if one == audience {
			return judgeTimes(&r.claims, r.notBefore, now, leeway)
		}
	}
	return &InvalidToken{Audience}
}

// judgeTimes: a token is expired from the second exp on.
func judgeTimes(c *Claims, notBefore, now time.Time, leeway time.Duration) error {
	if !now.Before(c.Expiry.Add(leeway)) {
		return &InvalidToken{Expired}
	}
	if now.Add(leeway).Before(c.IssuedAt) || now.Add(leeway).Before(notBefore) {
		return &InvalidToken{NotYetValid}
	}
	return nil
}
