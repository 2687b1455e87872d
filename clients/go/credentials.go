package sealwright

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// A credential proves in a token request who the client is.
type credential interface {
	// prove adds the proof to the form of a request.
	prove(form url.Values) error
}

// clientSecret is an id with its secret, which is behind a function so that nothing that prints a value
// can show it.
type clientSecret struct {
	id     string
	secret func() (string, error)
}

func (c clientSecret) prove(form url.Values) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	form.Set("client_id", c.id)
	form.Set("client_secret", secret)
	return nil
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clientAssertion is an id with its assertion (RFC 7523 §2.2), which is behind a function as a secret is.
type clientAssertion struct {
	id        string
	assertion func() (string, error)
}

func (c clientAssertion) prove(form url.Values) error {
	assertion, err := c.assertion()
	if err != nil {
		return err
	}
	form.Set("client_id", c.id)
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	return nil
}

// secretFile reads the file anew for each request, so that a rotated secret is found. One newline at its end
// does not count.
func secretFile(path string) func() (string, error) { return proofFile(path, "secret") }

// assertionFile reads the file anew for each request, since an assertion lives for minutes.
func assertionFile(path string) func() (string, error) { return proofFile(path, "assertion") }

func proofFile(path, what string) func() (string, error) {
	return func() (string, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("the client %s's file: %w", what, err)
		}
		proof := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if proof == "" {
			return "", fmt.Errorf("the client %s's file %s is empty", what, path)
		}
		return proof, nil
	}
}

// fromEnvironment is the part of the chain behind what the caller gave explicitly.
func fromEnvironment(getenv func(string) string) (credential, error) {
	id, secret, path := getenv("SEALWRIGHT_CLIENT_ID"), getenv("SEALWRIGHT_CLIENT_SECRET"), getenv("SEALWRIGHT_CLIENT_SECRET_FILE")
	assertion := getenv("SEALWRIGHT_IDENTITY_TOKEN_FILE")
	switch {
	case secret != "" && path != "":
		return nil, errors.New("sealwright: SEALWRIGHT_CLIENT_SECRET and SEALWRIGHT_CLIENT_SECRET_FILE are both set")
	case id != "" && secret != "":
		return clientSecret{id, func() (string, error) { return secret, nil }}, nil
	case id != "" && path != "":
		return clientSecret{id, secretFile(path)}, nil
	case id != "" && assertion != "":
		return clientAssertion{id, assertionFile(assertion)}, nil
	case id != "":
		return nil, errors.New("sealwright: SEALWRIGHT_CLIENT_ID is set, and none of SEALWRIGHT_CLIENT_SECRET, SEALWRIGHT_CLIENT_SECRET_FILE and SEALWRIGHT_IDENTITY_TOKEN_FILE")
	case assertion != "":
		return nil, errors.New("sealwright: SEALWRIGHT_IDENTITY_TOKEN_FILE is set, and SEALWRIGHT_CLIENT_ID is not")
	case secret != "" || path != "":
		return nil, errors.New("sealwright: a client secret is set in the environment, and SEALWRIGHT_CLIENT_ID is not")
	}
	return nil, errors.New("sealwright: no credentials: give WithSecret, WithSecretFile or WithAssertionFile, or set SEALWRIGHT_CLIENT_ID with SEALWRIGHT_CLIENT_SECRET, SEALWRIGHT_CLIENT_SECRET_FILE or SEALWRIGHT_IDENTITY_TOKEN_FILE")
}
