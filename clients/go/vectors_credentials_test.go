package sealwright

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTheClientProvesItselfAsTheVectorsSay(t *testing.T) {
	var file struct {
		Cases []struct {
			Name        string            `json:"name"`
			Given       map[string]string `json:"given"`
			Environment map[string]string `json:"environment"`
			Refused     bool              `json:"refused"`
			Steps       []struct {
				Files map[string]*string `json:"files"`
				Sends map[string]string  `json:"sends"`
			} `json:"steps"`
		} `json:"cases"`
	}
	readVectors(t, "credentials.json", &file)
	ran := 0
	for _, c := range file.Cases {
		ran++
		t.Run(c.Name, func(t *testing.T) {
			server, folder := newTokenServer(t), t.TempDir()
			placed := func(value string) string { return strings.Replace(value, "file:", folder+"/", 1) }
			for _, name := range []string{"SEALWRIGHT_CLIENT_ID", "SEALWRIGHT_CLIENT_SECRET", "SEALWRIGHT_CLIENT_SECRET_FILE", "SEALWRIGHT_IDENTITY_TOKEN_FILE"} {
				t.Setenv(name, placed(c.Environment[name]))
			}
			// An option takes both the id and what proves it. What this library lacks the id for, it refuses.
			id := c.Given["client_id"]
			if id == "" {
				id = c.Environment["SEALWRIGHT_CLIENT_ID"]
			}
			var options []ClientOption
			if secret := c.Given["client_secret"]; secret != "" {
				options = append(options, WithSecret(id, secret))
			}
			if path := c.Given["assertion_file"]; path != "" {
				options = append(options, WithAssertionFile(id, placed(path)))
			}
			if len(options) == 0 && c.Given["client_id"] != "" {
				t.Setenv("SEALWRIGHT_CLIENT_ID", id)
			}
			client, err := NewClient(server.URL, options...)
			if c.Refused {
				if err == nil {
					t.Error("a client was made")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for number, step := range c.Steps {
				for name, text := range step.Files {
					path := filepath.Join(folder, name)
					if text == nil {
						err = os.Remove(path)
					} else {
						err = os.WriteFile(path, []byte(*text), 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				scope, before := fmt.Sprintf("step:%d", number), len(server.forms)
				_, err := client.Token(t.Context(), Request{Scope: scope})
				if step.Sends == nil {
					if err == nil || len(server.forms) != before {
						t.Errorf("step %d: %v, and %d requests", number, err, len(server.forms)-before)
					}
					continue
				}
				if err != nil {
					t.Fatalf("step %d: %v", number, err)
				}
				wanted := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
				for name, value := range step.Sends {
					wanted.Set(name, value)
				}
				if got := server.forms[before]; !reflect.DeepEqual(got, wanted) {
					t.Errorf("step %d: sent %v, wanted %v", number, got, wanted)
				}
			}
		})
	}
	countCases(t, "credentials.json", ran)
}
