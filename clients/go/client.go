package sealwright

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// tokenPath answers with codes that tell every refusal apart.
	tokenPath = "/oauth/token"
	// maxTokenAnswer is more than any answer of the token endpoint has, in bytes.
	maxTokenAnswer = 256 << 10
	// defaultTimeout bounds one request for a token.
	defaultTimeout = 10 * time.Second
)

// Request says which token is wanted. Requests that differ anywhere have different tokens.
type Request struct {
	// Scope is what the token must allow, separated by spaces. Empty means every scope of the agent.
	Scope string
	// Audience is the service that the token is for. Most services refuse a token without theirs.
	Audience string
	// Resource is the service as an absolute URI (RFC 8707), for servers of MCP; in place of Audience.
	Resource string
}

// Client gets the tokens of one agent. It keeps one for each Request and is safe for concurrent use. Make one for
// the process.
type Client struct{ core *clientCore }

// clientCore is behind a pointer, so that a Client shows nothing however it is printed.
type clientCore struct {
	endpoint   string
	credential credential
	http       *http.Client
	timeout    time.Duration
	log        *slog.Logger
	cache      *cache
}

// A ClientOption changes how NewClient makes a Client.
type ClientOption func(*clientCore) error

// WithSecret gives the client id and secret explicitly.
func WithSecret(clientID, secret string) ClientOption {
	return func(c *clientCore) error {
		if clientID == "" || secret == "" {
			return errors.New("sealwright: WithSecret needs a client id and a secret")
		}
		c.credential = clientSecret{clientID, func() (string, error) { return secret, nil }}
		return nil
	}
}

// WithSecretFile gives the client id, and a file that holds the secret. The file is read anew for each request, so that a
// rotated secret needs no restart.
func WithSecretFile(clientID, path string) ClientOption {
	return func(c *clientCore) error {
		if clientID == "" || path == "" {
			return errors.New("sealwright: WithSecretFile needs a client id and a path")
		}
		c.credential = clientSecret{clientID, secretFile(path)}
		return nil
	}
}

// WithAssertionFile gives the client id, and a file that holds an assertion (RFC 7523) in place of a secret: signed with the
// agent's own key, which makes it good for one token, or a token of its platform. The file is read anew for each request.
func WithAssertionFile(clientID, path string) ClientOption {
	return func(c *clientCore) error {
		if clientID == "" || path == "" {
			return errors.New("sealwright: WithAssertionFile needs a client id and a path")
		}
		c.credential = clientAssertion{clientID, assertionFile(path)}
		return nil
	}
}

// WithTransport sends the requests for tokens through a RoundTripper, for example one with its own
// certificates. Redirects are never followed: they could take the secret elsewhere.
func WithTransport(transport http.RoundTripper) ClientOption {
	return func(c *clientCore) error {
		c.http.Transport = transport
		return nil
	}
}

// WithTimeout bounds one request for a token. The default is 10 s.
func WithTimeout(timeout time.Duration) ClientOption {
	return func(c *clientCore) error {
		if timeout <= 0 {
			return errors.New("sealwright: WithTimeout needs a positive time")
		}
		c.timeout = timeout
		return nil
	}
}

// WithLogger logs renewals and failures at the level of debug, without tokens and secrets.
func WithLogger(log *slog.Logger) ClientOption {
	return func(c *clientCore) error {
		c.log = log
		return nil
	}
}

// withClock is for tests.
func withClock(clock clock) ClientOption {
	return func(c *clientCore) error {
		c.cache.clock = clock
		return nil
	}
}

// NewClient makes a client of the server at baseURL. It sends nothing. Without WithSecret, WithSecretFile or
// WithAssertionFile it takes SEALWRIGHT_CLIENT_ID with SEALWRIGHT_CLIENT_SECRET, or with a file that is read anew for each
// request: SEALWRIGHT_CLIENT_SECRET_FILE, or else SEALWRIGHT_IDENTITY_TOKEN_FILE, which holds an assertion.
func NewClient(baseURL string, options ...ClientOption) (*Client, error) {
	base, err := parseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	core := &clientCore{
		endpoint: base + tokenPath,
		http:     &http.Client{CheckRedirect: refuseRedirect},
		timeout:  defaultTimeout,
		log:      slog.New(slog.DiscardHandler),
		cache:    newCache(newSystemClock(), rand.Float64),
	}
	for _, option := range options {
		if err := option(core); err != nil {
			return nil, err
		}
	}
	if core.credential == nil {
		if core.credential, err = fromEnvironment(os.Getenv); err != nil {
			return nil, err
		}
	}
	return &Client{core}, nil
}

// parseBaseURL gives the address without a slash at its end.
func parseBaseURL(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return "", fmt.Errorf("sealwright: %q is no http or https URL", redactURL(parsed))
	}
	if parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return "", fmt.Errorf("sealwright: %q must have no user, query or fragment", redactURL(parsed))
	}
	return strings.TrimRight(text, "/"), nil
}

// redactURL is what may be shown of an address that could hold a password.
func redactURL(u *url.URL) string {
	if u == nil {
		return redacted
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Token gives a token that is live, from memory where it can. It is renewed beside its callers from three
// quarters of its life on, and handed out until 5 s before its end if the server cannot be asked. However many callers need
// the same one, there is one request; a caller whose ctx ends leaves it to the others.
func (c *Client) Token(ctx context.Context, request Request) (*Token, error) {
	return c.core.cache.token(ctx, request, c.core.ask)
}

// ErrNotReplaced says that there is no other token than the rejected one, so that the 401 is the caller's.
var ErrNotReplaced = errors.New("sealwright: the rejected token was not replaced")

// Replace gives another token in place of one that a service has answered with 401 invalid_token. It asks the server
// once in 30 s at most, so that a service that refuses every token makes no loop; otherwise it is
// ErrNotReplaced. HTTPClient and Transport call it by themselves.
func (c *Client) Replace(ctx context.Context, rejected *Token, request Request) (*Token, error) {
	return c.core.cache.replace(ctx, rejected, request, c.core.ask)
}

// String tells where the client gets its tokens.
func (c Client) String() string {
	if c.core == nil {
		return "sealwright.Client{}"
	}
	return fmt.Sprintf("sealwright.Client{%s}", c.core.endpoint)
}

// Format prints String for every verb, %#v included.
func (c Client) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// LogValue is what log/slog shows.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ask makes one request for a token.
func (c *clientCore) ask(ctx context.Context, request Request, now time.Time) (*granted, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	got, err := c.send(ctx, request, now)
	if err != nil {
		c.log.DebugContext(ctx, "no token", "scope", request.Scope, "audience", request.Audience, "error", err)
		return nil, err
	}
	c.log.DebugContext(ctx, "token", "scope", got.scope, "audience", request.Audience, "lifetime", got.lifetime)
	return got, nil
}

func (c *clientCore) send(ctx context.Context, wanted Request, now time.Time) (*granted, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"scope": wanted.Scope, "audience": wanted.Audience, "resource": wanted.Resource} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if err := c.credential.prove(form); err != nil {
		return nil, &Unavailable{Err: err}
	}
	proof := form.Get("client_secret") + form.Get("client_assertion")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &Unavailable{Err: err}
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, &Unavailable{Err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return nil, &Unavailable{Answer: Answer{Status: response.StatusCode}, Err: err}
	}
	if response.StatusCode != http.StatusOK {
		return nil, readRefusal(response.StatusCode, response.Header, body, now, proof)
	}
	return readGrant(body)
}
