package sealwright

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	random "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// Defaults of WithStaleAfter.
	defaultStaleHighRisk = time.Minute
	defaultStaleAll      = 15 * time.Minute
	// firstListWait is how long a Verify waits for the end of the first poll at most.
	firstListWait = 5 * time.Second
	// saveEvery is how often the cache file is written at most while nothing is new.
	saveEvery = 5 * time.Second
)

// Verifier checks the tokens of one issuer for one audience without asking the issuer for each. It is safe for
// concurrent use. Make one for the process, and Close it in the end.
type Verifier struct{ core *verifierCore }

// verifierCore is behind a pointer, so that a Verifier shows nothing however it is printed.
type verifierCore struct {
	issuer   string
	audience string
	typ      string
	leeway   time.Duration
	stale    staleness
	name     string
	path     string
	reporter *Client
	log      *slog.Logger
	clock    clock

	remote *remote
	keys   *keySet
	feed   *feed
	seen   *seenTokens

	// first is closed once the first poll has ended, or a list was read from the disk.
	first chan struct{}
	// kick ends a poll that waits, since the whole list is needed.
	kick chan struct{}
	stop context.CancelFunc
	done chan struct{}
	// savedAt is when the cache file was written last. Only follow uses it.
	savedAt time.Duration
}

// A VerifierOption changes how NewVerifier makes a Verifier.
type VerifierOption func(*verifierCore) error

// WithCacheFile keeps the revocation list and the keys in a file, so that a service that is started anew while the server is
// away goes on verifying. Whoever can write the file decides what is revoked.
func WithCacheFile(path string) VerifierOption {
	return func(v *verifierCore) error {
		v.path = path
		return nil
	}
}

// WithStaleAfter sets after which silence of the revocation list high-risk tokens, and all, can no longer be
// verified. The defaults are one minute and 15 minutes.
func WithStaleAfter(highRisk, all time.Duration) VerifierOption {
	return func(v *verifierCore) error {
		if highRisk <= 0 || all <= 0 {
			return errors.New("sealwright: WithStaleAfter needs positive times")
		}
		v.stale.highRisk, v.stale.all = highRisk, all
		return nil
	}
}

// WithAcceptWhenStale verifies tokens by the last list known, however old it is. A token that was revoked
// meanwhile is accepted then.
func WithAcceptWhenStale() VerifierOption {
	return func(v *verifierCore) error {
		v.stale.accept = true
		return nil
	}
}

// WithType is for a server that is set to another type of token than at+jwt (token.typ), such as JWT.
func WithType(typ string) VerifierOption {
	return func(v *verifierCore) error {
		v.typ = strings.ToLower(typ)
		return nil
	}
}

// WithLeeway lets the clocks of server and service differ. The default is 0.
func WithLeeway(leeway time.Duration) VerifierOption {
	return func(v *verifierCore) error {
		if leeway < 0 {
			return errors.New("sealwright: WithLeeway needs a time that is not negative")
		}
		v.leeway = leeway
		return nil
	}
}

// WithReporter tells the server with each poll, by a token of the client, which revocations this verifier already
// enforces. The name is shown to operators, before an instance that this process chooses.
func WithReporter(client *Client, name string) VerifierOption {
	return func(v *verifierCore) error {
		v.reporter = client
		return setName(v, name)
	}
}

// WithName is the name under which the server counts this verifier's polls.
func WithName(name string) VerifierOption {
	return func(v *verifierCore) error { return setName(v, name) }
}

func setName(v *verifierCore, name string) error {
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !isNameChar(c) }) {
		return fmt.Errorf("sealwright: the name %q of a verifier is not of letters, digits and ._-", name)
	}
	v.name = name
	return nil
}

func isNameChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)
}

// WithVerifierTransport sends the verifier's requests through a RoundTripper, for example one with its own
// certificates. Redirects are never followed: they could take a reporter's token elsewhere.
func WithVerifierTransport(transport http.RoundTripper) VerifierOption {
	return func(v *verifierCore) error {
		v.remote.http.Transport = transport
		return nil
	}
}

// WithVerifierLogger logs polls and failures at the level of debug, and a feed that fell silent as a warning.
func WithVerifierLogger(log *slog.Logger) VerifierOption {
	return func(v *verifierCore) error {
		v.log = log
		return nil
	}
}

// withVerifierClock is for tests.
func withVerifierClock(clock clock) VerifierOption {
	return func(v *verifierCore) error {
		v.clock = clock
		return nil
	}
}

// NewVerifier makes a verifier, and follows the issuer's revocation list until Close. It waits for nothing: the first Verify
// waits for the keys and the list.
func NewVerifier(issuer, audience string, options ...VerifierOption) (*Verifier, error) {
	v, err := newVerifierCore(issuer, audience, options...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	go v.follow(ctx)
	return &Verifier{v}, nil
}

// newVerifierCore makes a verifier that does not follow the list.
func newVerifierCore(issuer, audience string, options ...VerifierOption) (*verifierCore, error) {
	if _, err := parseBaseURL(issuer); err != nil {
		return nil, err
	}
	if audience == "" {
		return nil, errors.New("sealwright: a verifier needs the audience of its service")
	}
	v := &verifierCore{
		issuer: issuer, audience: audience, typ: accessToken,
		stale:  staleness{highRisk: defaultStaleHighRisk, all: defaultStaleAll},
		name:   programName(),
		log:    slog.New(slog.DiscardHandler),
		clock:  newSystemClock(),
		remote: &remote{issuer: issuer, http: &http.Client{CheckRedirect: refuseRedirect}},
		seen:   newSeenTokens(),
		first:  make(chan struct{}), kick: make(chan struct{}, 1), stop: func() {}, done: make(chan struct{}),
	}
	for _, option := range options {
		if err := option(v); err != nil {
			return nil, err
		}
	}
	v.name += "/" + instance()
	v.keys = &keySet{clock: v.clock, fetch: v.remote.keys, lag: keysLag}
	v.feed = newFeed(v.clock, random.Float64, v.stale)
	v.load()
	return v, nil
}

// programName is the name of the program, of the characters that a verifier's name may have.
func programName() string {
	name := strings.Map(func(c rune) rune {
		if isNameChar(c) {
			return c
		}
		return '-'
	}, filepath.Base(os.Args[0]))
	return strings.TrimSuffix(name, ".exe")
}

func instance() string {
	var bytes [6]byte
	rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

// Close ends the polls. A verifier that is closed goes on with the list that it has, until that is stale.
func (v *Verifier) Close() {
	v.core.stop()
	<-v.core.done
}

// Verify checks a token: its form, signature, issuer, audience and times, and that it is not revoked. A token that is not
// good is an *InvalidToken. If the keys or the list cannot be had, it is *Unavailable, which is no verdict.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	return v.core.verify(ctx, token)
}

func (v *verifierCore) verify(ctx context.Context, token string) (*Claims, error) {
	claims, err := v.check(ctx, token)
	if err != nil {
		return nil, err
	}
	switch v.feed.judge(claims) {
	case dead:
		return nil, &InvalidToken{Revoked}
	case alive:
		return claims.clone(), nil
	}
	v.wake(claims)
	v.waitForList(ctx)
	switch v.feed.judge(claims) {
	case dead:
		return nil, &InvalidToken{Revoked}
	case alive:
		return claims.clone(), nil
	}
	return nil, &Unavailable{Err: errors.New("the revocation list is not known, or too old")}
}

// check judges everything but revocation.
func (v *verifierCore) check(ctx context.Context, token string) (*Claims, error) {
	now := v.clock.now()
	if len(token) <= maxToken {
		if s := v.seen.find(token); s != nil && v.keys.has(ctx, s.claims.keyID) {
			return &s.claims, judgeTimes(&s.claims, s.notBefore, now, v.leeway)
		}
	}
	u, err := readHeader(token, v.typ)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.find(ctx, u.keyID)
	if err != nil {
		return nil, err
	}
	raw, err := u.verify(key)
	if err != nil {
		return nil, err
	}
	if err := raw.judge(v.issuer, v.audience, now, v.leeway); err != nil {
		return nil, err
	}
	v.seen.keep(token, raw)
	return &raw.claims, nil
}

// waitForList waits until the first poll has ended, a short time at most.
func (v *verifierCore) waitForList(ctx context.Context) {
	select {
	case <-v.first:
		return
	default:
	}
	timer := time.NewTimer(firstListWait)
	defer timer.Stop()
	select {
	case <-v.first:
	case <-v.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// String tells whose tokens the verifier checks.
func (v Verifier) String() string {
	if v.core == nil {
		return "sealwright.Verifier{}"
	}
	return fmt.Sprintf("sealwright.Verifier{issuer %q, audience %q}", v.core.issuer, v.core.audience)
}

// Format prints String for every verb, %#v included.
func (v Verifier) Format(f fmt.State, _ rune) { io.WriteString(f, v.String()) }

// LogValue is what log/slog shows.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }
