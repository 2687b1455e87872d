package sealwright

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeClock moves when a test moves it.
type fakeClock struct {
	mu    sync.Mutex
	wall  time.Time
	moved time.Duration
}

func newFakeClock(unix int64) *fakeClock {
	return &fakeClock{wall: time.Unix(unix, 0), moved: 1_000 * time.Hour}
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *fakeClock) elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}

// advance lets time pass.
func (c *fakeClock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.moved = c.wall.Add(by), c.moved+by
}

// step sets the time of day.
func (c *fakeClock) step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(by)
}

// seconds are those of a vector.
func seconds(of float64) time.Duration { return time.Duration(of * float64(time.Second)) }

// roundTrip is a server within the process.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, headers map[string]string, body string) *http.Response {
	response := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for name, value := range headers {
		response.Header.Set(name, value)
	}
	return response
}

func respondJSON(body any) *http.Response {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return respond(http.StatusOK, map[string]string{"Content-Type": "application/json"}, string(encoded))
}

// readVectors reads a file of clients/vectors, and refuses members that this test does not know.
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// countCases fails if a case of a file was not run. It counts them in the file's own text.
func countCases(t *testing.T, name string, ran int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []json.RawMessage `json:"cases"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if ran != len(file.Cases) || ran == 0 {
		t.Fatalf("%d of %d cases of %s ran", ran, len(file.Cases), name)
	}
	t.Logf("%d cases of %s", ran, name)
}

// kindOf is the name by which the vectors call an error.
func kindOf(err error) string {
	var (
		invalidClient  *InvalidClient
		suspended      *AgentSuspended
		quota          *QuotaReached
		scope          *ScopeDenied
		limited        *RateLimited
		unavailable    *Unavailable
		invalidRequest *InvalidRequest
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &invalidClient):
		return "InvalidClient"
	case errors.As(err, &suspended):
		return "AgentSuspended"
	case errors.As(err, &quota):
		return "QuotaReached"
	case errors.As(err, &scope):
		return "ScopeDenied"
	case errors.As(err, &limited):
		return "RateLimited"
	case errors.As(err, &unavailable):
		return "Unavailable"
	case errors.As(err, &invalidRequest):
		return "InvalidRequest"
	}
	return err.Error()
}

// retryAfterOf and resetsInOf are in seconds; nil if nothing was said.
func retryAfterOf(err error) *float64 {
	var limited *RateLimited
	var unavailable *Unavailable
	switch {
	case errors.As(err, &limited) && limited.RetryAfter > 0:
		return pointer(limited.RetryAfter.Seconds())
	case errors.As(err, &unavailable) && unavailable.RetryAfter > 0:
		return pointer(unavailable.RetryAfter.Seconds())
	}
	return nil
}

func resetsInOf(err error, now time.Time) *float64 {
	var quota *QuotaReached
	if errors.As(err, &quota) && !quota.ResetsAt.IsZero() {
		return pointer(quota.ResetsAt.Sub(now).Seconds())
	}
	return nil
}

func pointer(value float64) *float64 { return &value }

func equalPointers(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
