package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sealwright.example/sealwright"
)

const nobody = "http://127.0.0.1:9"

// run is what the steps share.
type run struct {
	url, url2, audience, id, secret, bin string

	log      *slog.Logger
	client   *sealwright.Client
	verifier *sealwright.Verifier
	service  *service
	// chain and replica are the tokens of the steps of these names.
	chain, replica *sealwright.Token
}

func newRun() (*run, error) {
	r := &run{
		url: os.Getenv("SEALWRIGHT_URL"), url2: os.Getenv("SEALWRIGHT_URL_2"), audience: os.Getenv("SEALWRIGHT_AUDIENCE"),
		id: os.Getenv("SEALWRIGHT_CLIENT_ID"), secret: os.Getenv("SEALWRIGHT_CLIENT_SECRET"), bin: os.Getenv("SEALWRIGHT_BIN"),
		log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	var err error
	if r.client, err = r.newClient(r.url); err != nil {
		return nil, err
	}
	r.verifier, err = sealwright.NewVerifier(r.url, r.audience, sealwright.WithVerifierLogger(r.log))
	return r, err
}

func (r *run) close() {
	r.verifier.Close()
	if r.service != nil {
		r.service.stop()
	}
}

// newClient finds the credentials by the chain.
func (r *run) newClient(url string) (*sealwright.Client, error) {
	return sealwright.NewClient(url, sealwright.WithLogger(r.log))
}

// recipe: agent
// newAPIClient makes an HTTP client that sends a token with each request. Make one for each service.
func newAPIClient() (*http.Client, error) {
	// SEALWRIGHT_CLIENT_ID and SEALWRIGHT_CLIENT_SECRET (or …_SECRET_FILE) are in the environment.
	client, err := sealwright.NewClient(os.Getenv("SEALWRIGHT_URL"))
	if err != nil {
		return nil, err
	}
	return client.HTTPClient(sealwright.Request{Scope: "db:read", Audience: os.Getenv("SEALWRIGHT_AUDIENCE")}), nil
}

// end of recipe

func (r *run) read() sealwright.Request {
	return sealwright.Request{Scope: "db:read", Audience: r.audience}
}

func (r *run) steps() []step {
	return []step{
		{"chain", r.checkChain},
		{"one-request", r.checkOneRequest},
		{"verify", r.checkVerify},
		{"replica", r.checkReplica},
		{"door", r.checkDoor},
		{"agent", r.checkAgent},
		{"readme", r.checkReadme},
		{"revoke-one", r.checkRevokeOne},
		{"renew-once", r.checkRenewOnce},
		{"suspend", r.checkSuspend},
		{"reactivate", r.checkReactivate},
		{"suspend-org", r.checkSuspendOrg},
		{"rotated-key", r.checkRotatedKey},
		{"wrong-secret", r.checkWrongSecret},
		{"scope-denied", r.checkScopeDenied},
		{"quota", r.checkQuota},
		{"outage", r.checkOutage},
		{"shows-nothing", r.checkShowsNothing},
	}
}

func (r *run) checkChain(ctx context.Context) (string, error) {
	before := time.Now()
	token, err := r.client.Token(ctx, r.read())
	if err != nil {
		return "", err
	}
	r.chain = token
	again, err := r.client.Token(ctx, r.read())
	if err != nil {
		return "", err
	}
	if err := errors.Join(
		expect("the second token", again.AccessToken() == token.AccessToken(), true),
		expect("scope", token.Scope, "db:read"),
	); err != nil {
		return "", err
	}
	return fmt.Sprintf("a token for %s in %v, and the same again", token.Scope, time.Since(before).Round(time.Millisecond)), nil
}

func (r *run) checkOneRequest(ctx context.Context) (string, error) {
	before, err := r.issued()
	if err != nil {
		return "", err
	}
	const callers = 1_000
	tokens, faults := make([]string, callers), make([]error, callers)
	scopes, audiences := []string{"db:write", "db:read db:write"}, []string{"https://one.example", "https://two.example"}
	var asking sync.WaitGroup
	for i := range callers {
		asking.Go(func() {
			token, err := r.client.Token(ctx, sealwright.Request{Scope: scopes[i%2], Audience: audiences[i/2%2]})
			if faults[i] = err; err == nil {
				tokens[i] = token.AccessToken()
			}
		})
	}
	asking.Wait()
	distinct := map[string]bool{}
	for _, token := range tokens {
		distinct[token] = true
	}
	after, err := r.issued()
	if err := errors.Join(append(faults, err, expect("tokens", len(distinct), 4), expect("issued", after-before, 4))...); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d callers, %d tokens, %d issued", callers, len(distinct), after-before), nil
}

func (r *run) checkVerify(ctx context.Context) (string, error) {
	claims, err := r.verifier.Verify(ctx, r.chain.AccessToken())
	if err != nil {
		return "", err
	}
	if err := errors.Join(
		expect("client_id", claims.ClientID, r.id),
		expect("scope", strings.Join(claims.Scopes, " "), "db:read"),
		expect("jti", claims.TokenID, payload(r.chain)["jti"].(string)),
	); err != nil {
		return "", err
	}
	token := r.chain.AccessToken()
	_, err = r.verifier.Verify(ctx, token[:len(token)-10]+strings.Repeat("A", 10))
	forged, fault := expectError[*sealwright.InvalidToken]("a forged signature", err)
	if fault != nil {
		return "", fault
	}
	elsewhere, err := r.client.Token(ctx, sealwright.Request{Scope: "db:read", Audience: "https://other.example"})
	if err != nil {
		return "", err
	}
	_, err = r.verifier.Verify(ctx, elsewhere.AccessToken())
	foreign, fault := expectError[*sealwright.InvalidToken]("another audience", err)
	if err := errors.Join(fault, expect("forged", forged.Reason, sealwright.Signature)); err != nil {
		return "", err
	}
	return fmt.Sprintf("accepted; a forged one is refused as %s, one for another service as %s", forged.Reason, foreign.Reason), nil
}

func (r *run) checkReplica(ctx context.Context) (string, error) {
	client, err := r.newClient(r.url2)
	if err != nil {
		return "", err
	}
	if r.replica, err = client.Token(ctx, r.read()); err != nil {
		return "", err
	}
	if _, err := r.verifier.Verify(ctx, r.replica.AccessToken()); err != nil {
		return "", err
	}
	return "a token of the other replica is accepted", nil
}

func (r *run) checkDoor(ctx context.Context) (string, error) {
	var err error
	if r.service, err = r.startService(ctx, r.url); err != nil {
		return "", err
	}
	good := r.chain.AccessToken()
	for _, c := range []struct{ path, token, wanted string }{
		{"/read", good, "200"},
		{"/write", good, `403 Bearer error="insufficient_scope" scope="db:write"`},
		{"/read", "", "401 Bearer"},
		{"/read", "garbage", `401 Bearer error="invalid_token"`},
	} {
		response, err := r.service.get(ctx, c.path, c.token)
		if err != nil {
			return "", err
		}
		saw := fmt.Sprint(response.StatusCode)
		if challenge := response.Header.Get("WWW-Authenticate"); challenge != "" {
			saw += " Bearer"
			for _, part := range []string{`error="insufficient_scope"`, `error="invalid_token"`, `scope="db:write"`} {
				if strings.HasPrefix(challenge, "Bearer") && strings.Contains(challenge, part) {
					saw += " " + part
				}
			}
			if c.token == "" && strings.Contains(challenge, "error") {
				saw += " with an error"
			}
		}
		if err := expect(c.path, saw, c.wanted); err != nil {
			return "", err
		}
	}
	return "200, 403 insufficient_scope, 401 without an error, 401 invalid_token", nil
}

func (r *run) checkAgent(ctx context.Context) (string, error) {
	agent := exec.CommandContext(ctx, filepath.Join(os.Getenv("EXAMPLES"), "agent"))
	agent.Env = append(os.Environ(), "SCOPES=db:read,db:write", "CALLERS=50")
	agent.Stderr = os.Stderr
	output, err := agent.Output()
	if err != nil {
		return "", err
	}
	os.Stderr.Write(output)
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	last := lines[len(lines)-1]
	return last, expect("the last line", last, "tokens=100 distinct=2")
}

func (r *run) checkReadme(ctx context.Context) (string, error) {
	program := filepath.Join(os.Getenv("EXAMPLES"), "readme")
	served, err := start(ctx, exec.Command(program, "service"), nil, "/rows")
	if err != nil {
		return "", err
	}
	defer served.stop()
	agent := exec.CommandContext(ctx, program)
	agent.Env = append(os.Environ(), "ROWS="+served.url+"/rows")
	agent.Stderr = os.Stderr
	output, err := agent.Output()
	if err != nil {
		return "", err
	}
	refused, err := served.get(ctx, "/rows", "garbage")
	if err != nil {
		return "", err
	}
	return "its three blocks run, built by " + runtime.Version() + ": an agent, its errors and a service",
		errors.Join(expect("the answer", string(output), "rows for "+r.id), expect("status", refused.StatusCode, http.StatusUnauthorized))
}

func (r *run) checkRevokeOne(ctx context.Context) (string, error) {
	if _, err := r.admin("token", "revoke", "--jti", payload(r.chain)["jti"].(string)); err != nil {
		return "", err
	}
	took, err := r.untilRefused(ctx, r.chain)
	if err != nil {
		return "", err
	}
	if _, err := r.verifier.Verify(ctx, r.replica.AccessToken()); err != nil {
		return "", fmt.Errorf("the other token: %w", err)
	}
	return fmt.Sprintf("refused after %v (%s); the agent's other token is accepted", took.Round(time.Millisecond), r.feedKind(ctx)), nil
}

func (r *run) checkRenewOnce(ctx context.Context) (string, error) {
	api := r.client.HTTPClient(r.read())
	// The service learns of the revocation by its own poll.
	if err := r.untilService(ctx, r.chain, http.StatusUnauthorized); err != nil {
		return "", err
	}
	before, err := r.issued()
	if err != nil {
		return "", err
	}
	response, err := api.Get(r.service.url + "/read")
	if err != nil {
		return "", err
	}
	response.Body.Close()
	after, err := r.issued()
	if err := errors.Join(err, expect("status", response.StatusCode, http.StatusOK), expect("new tokens", after-before, 1)); err != nil {
		return "", err
	}
	var calls atomic.Int32
	stubborn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer stubborn.Close()
	other := r.client.HTTPClient(sealwright.Request{Scope: "db:write", Audience: "https://stubborn.example"})
	response, err = other.Get(stubborn.URL)
	if err != nil {
		return "", err
	}
	response.Body.Close()
	if err := errors.Join(expect("status", response.StatusCode, http.StatusUnauthorized), expect("calls", int(calls.Load()), 2)); err != nil {
		return "", err
	}
	return "200 with one new token; a service that refuses all of them saw 2 calls", nil
}

func (r *run) checkSuspend(ctx context.Context) (string, error) {
	if _, err := r.admin("agent", "suspend", r.id); err != nil {
		return "", err
	}
	took, err := r.untilRefused(ctx, r.replica)
	if err != nil {
		return "", err
	}
	if err := r.untilService(ctx, r.replica, http.StatusUnauthorized); err != nil {
		return "", err
	}
	client, err := r.newClient(r.url)
	if err != nil {
		return "", err
	}
	_, err = client.Token(ctx, r.read())
	if _, err := expectError[*sealwright.AgentSuspended]("a token", err); err != nil {
		return "", err
	}
	return fmt.Sprintf("refused after %v (%s), 401 by the service, AgentSuspended", took.Round(time.Millisecond), r.feedKind(ctx)), nil
}

func (r *run) checkSuspendOrg(ctx context.Context) (string, error) {
	org := fmt.Sprintf("org-%08x", rand.Uint32())
	if _, err := r.admin("org", "create", "--id", org, "--name", org); err != nil {
		return "", err
	}
	output, err := r.admin("agent", "create", "--json", "--org", org, "--name", "member", "--plan", "unlimited", "--scope", "db:read")
	if err != nil {
		return "", err
	}
	var made struct {
		ID     string `json:"agentId"`
		Secret string `json:"clientSecret"`
	}
	if err := json.Unmarshal(output, &made); err != nil {
		return "", err
	}
	member := func() (*sealwright.Client, error) {
		return sealwright.NewClient(r.url, sealwright.WithLogger(r.log), sealwright.WithSecret(made.ID, made.Secret))
	}
	client, err := member()
	if err != nil {
		return "", err
	}
	token, err := client.Token(ctx, r.read())
	if err != nil {
		return "", err
	}
	claims, err := r.verifier.Verify(ctx, token.AccessToken())
	if err != nil {
		return "", err
	}
	if err := expect("the organization", claims.OrgID, org); err != nil {
		return "", err
	}
	if _, err := r.admin("org", "suspend", org); err != nil {
		return "", err
	}
	took, err := r.untilRefused(ctx, token)
	if err != nil {
		return "", err
	}
	if client, err = member(); err != nil {
		return "", err
	}
	_, err = client.Token(ctx, r.read())
	if _, err := expectError[*sealwright.AgentSuspended]("a token", err); err != nil {
		return "", err
	}
	if client, err = r.newClient(r.url); err != nil {
		return "", err
	}
	if token, err = client.Token(ctx, r.read()); err != nil {
		return "", err
	}
	if _, err := r.verifier.Verify(ctx, token.AccessToken()); err != nil {
		return "", err
	}
	return fmt.Sprintf("refused after %v (%s), AgentSuspended, another organization's token is still accepted", took.Round(time.Millisecond), r.feedKind(ctx)), nil
}

func (r *run) checkReactivate(ctx context.Context) (string, error) {
	if _, err := r.admin("agent", "reactivate", r.id); err != nil {
		return "", err
	}
	client, err := r.newClient(r.url)
	if err != nil {
		return "", err
	}
	token, err := client.Token(ctx, r.read())
	if err != nil {
		return "", err
	}
	if _, err := r.verifier.Verify(ctx, token.AccessToken()); err != nil {
		return "", err
	}
	_, err = r.verifier.Verify(ctx, r.replica.AccessToken())
	if _, err := expectError[*sealwright.InvalidToken]("the old token", err); err != nil {
		return "", err
	}
	api, err := newAPIClient()
	if err != nil {
		return "", err
	}
	response, err := api.Get(r.service.url + "/read")
	if err != nil {
		return "", err
	}
	response.Body.Close()
	return "a new token is accepted, the old one stays refused", expect("the service", response.StatusCode, http.StatusOK)
}

func (r *run) checkRotatedKey(ctx context.Context) (string, error) {
	if _, err := r.admin("key", "rotate", "--now"); err != nil {
		return "", err
	}
	// A server learns of a rotation within a second.
	for late := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		client, err := r.newClient(r.url)
		if err != nil {
			return "", err
		}
		token, err := client.Token(ctx, r.read())
		if err != nil {
			return "", err
		}
		if header(token)["kid"] == header(r.replica)["kid"] {
			if time.Now().After(late) {
				return "", errors.New("the new key does not sign")
			}
			continue
		}
		began := time.Now()
		if _, err := r.verifier.Verify(ctx, token.AccessToken()); err != nil {
			return "", err
		}
		return fmt.Sprintf("a token of the new key is accepted, %v after it was met", time.Since(began).Round(time.Millisecond)), nil
	}
}

func (r *run) checkWrongSecret(ctx context.Context) (string, error) {
	client, err := sealwright.NewClient(r.url, sealwright.WithSecret(r.id, "sw_wrong"+strings.Repeat("x", 56)), sealwright.WithLogger(r.log))
	if err != nil {
		return "", err
	}
	_, err = client.Token(ctx, r.read())
	invalid, fault := expectError[*sealwright.InvalidClient]("a wrong secret", err)
	if fault != nil {
		return "", fault
	}
	return invalid.Message, nil
}

func (r *run) checkScopeDenied(ctx context.Context) (string, error) {
	_, err := r.client.Token(ctx, sealwright.Request{Scope: "files:read", Audience: r.audience})
	denied, fault := expectError[*sealwright.ScopeDenied]("files:read", err)
	if fault != nil {
		return "", fault
	}
	return denied.Message, nil
}

func (r *run) checkQuota(ctx context.Context) (string, error) {
	counting := &counter{}
	client, err := sealwright.NewClient(r.url, sealwright.WithTransport(counting), sealwright.WithLogger(r.log),
		sealwright.WithSecret(os.Getenv("QUOTA_CLIENT_ID"), os.Getenv("QUOTA_CLIENT_SECRET")))
	if err != nil {
		return "", err
	}
	ask := func(audience string) error {
		_, err := client.Token(ctx, sealwright.Request{Scope: "db:read", Audience: audience})
		return err
	}
	if err := errors.Join(ask("https://one.example"), ask("https://two.example")); err != nil {
		return "", err
	}
	quota, fault := expectError[*sealwright.QuotaReached]("the third token", ask("https://three.example"))
	if fault != nil {
		return "", fault
	}
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	if apart := quota.ResetsAt.Sub(month).Abs(); apart > 5*time.Second {
		return "", fmt.Errorf("resets at %v, wanted %v", quota.ResetsAt.UTC(), month)
	}
	if _, fault := expectError[*sealwright.QuotaReached]("the fourth token", ask("https://four.example")); fault != nil {
		return "", fault
	}
	return "resets at " + month.Format(time.RFC3339) + ", 3 requests in all", expect("requests", int(counting.requests.Load()), 3)
}

func (r *run) checkOutage(ctx context.Context) (string, error) {
	client, err := r.newClient(nobody)
	if err != nil {
		return "", err
	}
	_, err = client.Token(ctx, r.read())
	if _, fault := expectError[*sealwright.Unavailable]("a token", err); fault != nil {
		return "", fault
	}
	verifier, err := sealwright.NewVerifier(nobody, r.audience, sealwright.WithVerifierLogger(r.log))
	if err != nil {
		return "", err
	}
	defer verifier.Close()
	_, err = verifier.Verify(ctx, r.replica.AccessToken())
	if _, fault := expectError[*sealwright.Unavailable]("verifying", err); fault != nil {
		return "", fault
	}
	service, err := r.startService(ctx, nobody)
	if err != nil {
		return "", err
	}
	defer service.stop()
	response, err := service.get(ctx, "/read", r.replica.AccessToken())
	if err != nil {
		return "", err
	}
	return "Unavailable, and 503 with Retry-After: " + response.Header.Get("Retry-After"), errors.Join(
		expect("status", response.StatusCode, http.StatusServiceUnavailable),
		expect("Retry-After", response.Header.Get("Retry-After") != "", true))
}

func (r *run) checkShowsNothing(ctx context.Context) (string, error) {
	var shown bytes.Buffer
	things := []any{r.client, *r.client, r.verifier, *r.verifier, r.chain, *r.chain, r.replica, r.client.HTTPClient(r.read()), r.client.Transport(r.read(), nil)}
	for _, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&shown, verb+"\n", thing)
		}
		encoded, _ := json.Marshal(thing)
		shown.Write(encoded)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(handler).Info("shown", "thing", thing)
		}
	}
	for _, hidden := range []string{r.secret, r.chain.AccessToken(), r.replica.AccessToken(), "eyJ"} {
		if strings.Contains(shown.String(), hidden) {
			return "", errors.New("a secret or token is shown")
		}
	}
	return fmt.Sprintf("%d things in %d bytes", len(things), shown.Len()), nil
}

// untilRefused waits until the verifier refuses a token as for a 401.
func (r *run) untilRefused(ctx context.Context, token *sealwright.Token) (time.Duration, error) {
	began := time.Now()
	bound := 2 * time.Second
	if r.feedKind(ctx) != "long poll" {
		bound = 16 * time.Second
	}
	for {
		_, err := r.verifier.Verify(ctx, token.AccessToken())
		took := time.Since(began)
		if err != nil {
			invalid, fault := expectError[*sealwright.InvalidToken]("the token", err)
			if fault == nil {
				fault = expect("reason", invalid.Reason, sealwright.Revoked)
			}
			return took, fault
		}
		if took > bound {
			return took, fmt.Errorf("still accepted after %v", took)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// untilService waits until the service answers this status.
func (r *run) untilService(ctx context.Context, token *sealwright.Token, status int) error {
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := r.service.get(ctx, "/read", token.AccessToken())
		if err != nil || response.StatusCode == status {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("the service answers %d", response.StatusCode)
		}
	}
}

// feedKind is whether the server has the long poll.
func (r *run) feedKind(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/api/v1/token/revoked?since=0", nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if bytes.Contains(body, []byte(`"revoked_tokens"`)) {
		return "long poll"
	}
	return "polling"
}

// issued is how many tokens the agent was issued this month.
func (r *run) issued() (int, error) {
	output, err := r.admin("agent", "show", r.id, "--json")
	if err != nil {
		return 0, err
	}
	var agent struct {
		Usage struct{ Issued int }
	}
	return agent.Usage.Issued, errors.Join(json.Unmarshal(output, &agent), nil)
}

// admin runs a command of the operator.
func (r *run) admin(arguments ...string) ([]byte, error) {
	command := exec.Command(r.bin, arguments...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", arguments, err)
	}
	return output, nil
}

// service is examples/service as a process of its own.
type service struct {
	url     string
	process *exec.Cmd
}

func (r *run) startService(ctx context.Context, issuer string) (*service, error) {
	return start(ctx, exec.Command(filepath.Join(os.Getenv("EXAMPLES"), "service")), []string{"SEALWRIGHT_URL=" + issuer}, "/read")
}

// start starts a service, and waits until it answers at the path.
func start(ctx context.Context, process *exec.Cmd, environment []string, path string) (*service, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	process.Env = append(append(os.Environ(), "LISTEN="+port), environment...)
	process.Stdout, process.Stderr = os.Stderr, os.Stderr
	if err := process.Start(); err != nil {
		return nil, err
	}
	s := &service{"http://" + port, process}
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := s.get(ctx, path, ""); err == nil {
			return s, nil
		} else if time.Now().After(late) {
			s.stop()
			return nil, err
		}
	}
}

func (s *service) stop() {
	s.process.Process.Kill()
	s.process.Wait()
}

func (s *service) get(ctx context.Context, path, token string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	io.Copy(io.Discard, response.Body)
	return response, response.Body.Close()
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// counter counts requests.
type counter struct{ requests atomic.Int32 }

func (c *counter) RoundTrip(request *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return http.DefaultTransport.RoundTrip(request)
}

// header and payload are the parts of a token, unverified.
func header(token *sealwright.Token) map[string]any  { return part(token, 0) }
func payload(token *sealwright.Token) map[string]any { return part(token, 1) }

func part(token *sealwright.Token, i int) map[string]any {
	decoded, err := base64.RawURLEncoding.DecodeString(strings.Split(token.AccessToken(), ".")[i])
	members := map[string]any{}
	if err != nil || json.Unmarshal(decoded, &members) != nil {
		panic("a token that cannot be read")
	}
	return members
}
