package sealwright

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxDocument and maxList are more than the metadata, the keys and the revocation list ever have, in bytes.
	maxDocument = 1 << 20
	maxList     = 256 << 20
	// fetchTimeout bounds the fetch of the metadata or the keys.
	fetchTimeout = 10 * time.Second
	// metadataPath is of RFC 8414 §3.
	metadataPath = "/.well-known/oauth-authorization-server"
	// listPath is where the revocation list is if the metadata does not say.
	listPath = "/api/v1/token/revoked"
)

// remote asks the issuer for its documents.
type remote struct {
	issuer string
	http   *http.Client

	mu    sync.Mutex
	found *metadata
}

type metadata struct {
	Issuer string `json:"issuer"`
	Keys   string `json:"jwks_uri"`
	List   string `json:"sealwright_revocation_list"`
}

// discover fetches the metadata once (RFC 8414). What names another issuer is refused.
func (r *remote) discover(ctx context.Context) (*metadata, error) {
	r.mu.Lock()
	found := r.found
	r.mu.Unlock()
	if found != nil {
		return found, nil
	}
	address, err := metadataURL(r.issuer)
	if err != nil {
		return nil, err
	}
	body, err := r.document(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("the metadata: %w", err)
	}
	var told metadata
	if err := json.Unmarshal(body, &told); err != nil || told.Keys == "" {
		return nil, errors.New("the metadata: the answer is no metadata")
	}
	if told.Issuer != r.issuer {
		return nil, fmt.Errorf("the metadata is that of the issuer %q, not of %q", told.Issuer, r.issuer)
	}
	if told.List == "" {
		told.List = strings.TrimRight(r.issuer, "/") + listPath
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = &told
	return &told, nil
}

// metadataURL puts the well-known path between host and path (RFC 8414 §3.1).
func metadataURL(issuer string) (string, error) {
	parsed, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("the issuer %q is no URL", issuer)
	}
	parsed.Path = metadataPath + strings.TrimRight(parsed.Path, "/")
	parsed.RawPath = ""
	return parsed.String(), nil
}

// keys fetches the key set.
func (r *remote) keys(ctx context.Context) ([]byte, error) {
	found, err := r.discover(ctx)
	if err != nil {
		return nil, err
	}
	body, err := r.document(ctx, found.Keys)
	if err != nil {
		return nil, fmt.Errorf("the keys: %w", err)
	}
	return body, nil
}

func (r *remote) document(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := r.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	return readAll(response.Body, maxDocument)
}

// reply is what the feed answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// poll asks the feed. bearer may be nil.
func (r *remote) poll(ctx context.Context, p poll, name string, bearer *Token) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.wait+max(pollSpare, fetchTimeout-p.wait))
	defer cancel()
	found, err := r.discover(ctx)
	if err != nil {
		return nil, err
	}
	query := url.Values{"since": {versionText(p.since)}}
	if p.wait > 0 {
		query.Set("wait", strconv.Itoa(int(p.wait/time.Second)))
	}
	separator := "?"
	if strings.Contains(found.List, "?") {
		separator = "&"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, found.List+separator+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if p.etag != "" {
		request.Header.Set("If-None-Match", p.etag)
	}
	if p.enforced != nil {
		request.Header.Set("Sealwright-Verifier", name+"; version="+versionText(p.enforced))
	}
	if bearer != nil {
		bearer.SetAuthHeader(request)
	}
	response, err := r.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := readAll(response.Body, maxList)
	if err != nil {
		return nil, err
	}
	return &reply{response.StatusCode, response.Header, body}, nil
}

// readAll refuses what is longer than max instead of cutting it.
func readAll(from io.Reader, max int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, max+1))
	if err == nil && int64(len(body)) > max {
		err = fmt.Errorf("the answer is longer than %d bytes", max)
	}
	return body, err
}
