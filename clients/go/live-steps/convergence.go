package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"sealwright.example/sealwright"
)

// convergence is what a server says of the verifiers.
type convergence struct {
	State     string
	Version   int64
	Verifiers struct{ Total, Converged, Behind, Silent, Unauthenticated int }
	Slowest   []struct{ Verifier string }
	P50Ms     int64
	P100Ms    int64
}

// observer looks at what the servers say, beside what the verifiers do.
type observer struct {
	*run
	services, operator *sealwright.Client
}

func (r *run) newObserver() (*observer, error) {
	client := func(prefix string) (*sealwright.Client, error) {
		return sealwright.NewClient(r.url, sealwright.WithSecret(os.Getenv(prefix+"CLIENT_ID"), os.Getenv(prefix+"CLIENT_SECRET")))
	}
	services, err := client("SERVICES_")
	if err != nil {
		return nil, err
	}
	admin, err := client("ADMIN_")
	return &observer{r, services, admin}, err
}

// send makes a request with a token of the client, if there is one.
func (o *observer) send(ctx context.Context, method, path string, client *sealwright.Client, asked sealwright.Request, header http.Header) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, o.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if client != nil {
		token, err := client.Token(ctx, asked)
		if err != nil {
			return 0, nil, err
		}
		token.SetAuthHeader(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

var adminScopes = sealwright.Request{Scope: "audit:read admin:orgs"}

// look is what the replica whose turn it is says; version 0 is the present one.
func (o *observer) look(ctx context.Context, version int64) (*convergence, error) {
	path := "/api/v1/revocations/convergence"
	if version != 0 {
		path += "?version=" + strconv.FormatInt(version, 10)
	}
	status, body, err := o.send(ctx, http.MethodGet, path, o.operator, adminScopes, nil)
	if err != nil {
		return nil, err
	}
	var found convergence
	return &found, errors.Join(expect("status", status, http.StatusOK), json.Unmarshal(body, &found))
}

func (o *observer) lookUntil(ctx context.Context, state string, version int64, patience time.Duration) (*convergence, error) {
	for late := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		found, err := o.look(ctx, version)
		if err != nil || found.State == state {
			return found, err
		}
		if time.Now().After(late) {
			return nil, fmt.Errorf("not %s: %+v", state, *found)
		}
	}
}

func (o *observer) forget(ctx context.Context, verifier string) error {
	status, _, err := o.send(ctx, http.MethodDelete, "/api/v1/revocations/verifiers/"+url.PathEscape(verifier), o.operator, adminScopes, nil)
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = fmt.Errorf("forgetting a verifier: status %d", status)
	}
	return err
}

// forgetOthers forgets the verifiers of another language's figures, which have ended, once they are silent.
func (o *observer) forgetOthers(ctx context.Context) error {
	for late := time.Now().Add(2 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		found, err := o.look(ctx, 0)
		if err != nil || found.Verifiers.Total == 0 {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("verifiers are left: %+v", *found)
		}
		for _, one := range found.Slowest {
			if err := o.forget(ctx, one.Verifier); err != nil {
				return err
			}
		}
	}
}

// report is one report, as of a verifier that comes again in 5 s, and ends before that. Without a client nobody proves it.
func (o *observer) report(ctx context.Context, name string, version int64, client *sealwright.Client) error {
	header := http.Header{"Sealwright-Verifier": {fmt.Sprintf("%s; version=%d", name, version)}}
	status, _, err := o.send(ctx, http.MethodGet, "/api/v1/token/revoked?since=0&wait=5", client, sealwright.Request{}, header)
	return errors.Join(err, expect("status", status, http.StatusOK))
}

// briefToken is a token that is about to expire, and when it does.
func (o *observer) briefToken(ctx context.Context) (*sealwright.Token, time.Time, error) {
	ends := time.Now().Add(20 * time.Second).UTC().Format(time.RFC3339)
	output, err := o.admin("agent", "create", "--json", "--name", "brief", "--scope", "db:read", "--expires-at", ends)
	if err != nil {
		return nil, time.Time{}, err
	}
	var made struct{ AgentID, ClientSecret string }
	if err := json.Unmarshal(output, &made); err != nil {
		return nil, time.Time{}, err
	}
	client, err := sealwright.NewClient(o.url, sealwright.WithSecret(made.AgentID, made.ClientSecret))
	if err != nil {
		return nil, time.Time{}, err
	}
	token, err := client.Token(ctx, o.read())
	if err != nil {
		return nil, time.Time{}, err
	}
	return token, time.Unix(int64(payload(token)["exp"].(float64)), 0), nil
}

// measureConvergence suspends an agent, and compares what the servers say of the verifiers with what these do.
func (r *run) measureConvergence(ctx context.Context) (string, error) {
	o, err := r.newObserver()
	if err != nil {
		return "", err
	}
	if err := o.forgetOthers(ctx); err != nil {
		return "", err
	}
	count, err := strconv.Atoi(os.Getenv("LIVE_VERIFIERS"))
	if err != nil {
		return "", fmt.Errorf("LIVE_VERIFIERS: %w", err)
	}
	client, err := r.newClient(r.url)
	if err != nil {
		return "", err
	}
	token, err := client.Token(ctx, r.read())
	if err != nil {
		return "", err
	}
	verifiers := make([]*sealwright.Verifier, count)
	for i := range verifiers {
		options := []sealwright.VerifierOption{sealwright.WithReporter(o.services, "live")}
		// Half of them poll, so that they converge at different times.
		if i%2 == 0 {
			options = append(options, sealwright.WithVerifierTransport(refusesWait{}))
		}
		if verifiers[i], err = sealwright.NewVerifier(r.url, r.audience, options...); err != nil {
			return "", err
		}
		defer verifiers[i].Close()
		if _, err := verifiers[i].Verify(ctx, token.AccessToken()); err != nil {
			return "", fmt.Errorf("verifier %d: %w", i, err)
		}
	}
	// The first of them are complete before the others have reported.
	var found *convergence
	for late := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if found, err = o.lookUntil(ctx, "complete", 0, time.Minute); err != nil {
			return "", err
		}
		if found.Verifiers.Total == count {
			break
		}
		if time.Now().After(late) {
			return "", expect("verifiers", found.Verifiers.Total, count)
		}
	}
	if err := errors.Join(o.report(ctx, "live/crashed", found.Version, o.services), o.report(ctx, "live/eager", found.Version+1_000_000_000, o.services)); err != nil {
		return "", err
	}
	brief, ends, err := o.briefToken(ctx)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Until(ends.Add(-2 * time.Second)))
	if _, err := r.admin("token", "revoke", "--jti", payload(brief)["jti"].(string)); err != nil {
		return "", err
	}
	began := time.Now()
	output, err := r.admin("agent", "suspend", r.id, "--json")
	var suspended struct{ RevocationVersion int64 }
	if err := errors.Join(err, json.NewDecoder(bytes.NewReader(output)).Decode(&suspended)); err != nil {
		return "", err
	}
	version, looks := suspended.RevocationVersion, 0
	for ; ; time.Sleep(100 * time.Millisecond) {
		if found, err = o.look(ctx, version); err != nil {
			return "", err
		}
		looks++
		refusing := 0
		for _, verifier := range verifiers {
			if _, err := verifier.Verify(ctx, token.AccessToken()); err != nil {
				if _, fault := expectError[*sealwright.InvalidToken]("the token", err); fault != nil {
					return "", fault
				}
				refusing++
			}
		}
		switch {
		case found.State != "pending" && found.State != "partial", found.Verifiers.Converged > refusing, found.Verifiers.Total != count+1,
			found.State == "partial" && refusing != count:
			return "", fmt.Errorf("%d verifiers refuse, and the server says %+v", refusing, *found)
		case time.Since(began) > time.Minute:
			return "", fmt.Errorf("it does not end: %+v", *found)
		}
		if found.State == "partial" {
			break
		}
	}
	took := time.Since(began)
	if time.Now().Before(ends) {
		return "", errors.New("the brief token has not expired in between")
	}
	// Nobody speaks for the crashed one without a token of its agent.
	if err := o.report(ctx, "live/crashed", version, nil); err != nil {
		return "", err
	}
	time.Sleep(5 * time.Second)
	if found, err = o.look(ctx, version); err != nil {
		return "", err
	}
	if err := errors.Join(expect("state", found.State, "partial"), expect("unauthenticated", found.Verifiers.Unauthenticated > 0, true)); err != nil {
		return "", err
	}
	if err := o.forget(ctx, os.Getenv("SERVICES_CLIENT_ID")+"/live/crashed"); err != nil {
		return "", err
	}
	if found, err = o.lookUntil(ctx, "complete", version, 10*time.Second); err != nil {
		return "", err
	}
	if _, err := r.admin("agent", "reactivate", r.id); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d verifiers, every second by polling: half enforce it after %d ms and all after %d ms; partial after %.1f s while one has crashed, "+
		"complete once it is forgotten; none of %d looks was ahead of the verifiers", count, found.P50Ms, found.P100Ms, took.Seconds(), looks), nil
}
