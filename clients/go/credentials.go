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

// secretFile reads the file anew for each request, so that a rotated secret is found. One newline at its end
// does not count.
func secretFile(path string) func() (string, error) {
	return func() (string, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("the client secret's file: %w", err)
		}
		secret := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if secret == "" {
			return "", fmt.Errorf("the client secret's file %s is empty", path)
		}
		return secret, nil
	}
}

// fromEnvironment is the part of the chain behind what the caller gave explicitly.
func fromEnvironment(getenv func(string) string) (credential, error) {
	id, secret, path := getenv("SEALWRIGHT_CLIENT_ID"), getenv("SEALWRIGHT_CLIENT_SECRET"), getenv("SEALWRIGHT_CLIENT_SECRET_FILE")
	switch {
	case secret != "" && path != "":
		return nil, errors.New("sealwright: SEALWRIGHT_CLIENT_SECRET and SEALWRIGHT_CLIENT_SECRET_FILE are both set")
	case id != "" && secret != "":
		return clientSecret{id, func() (string, error) { return secret, nil }}, nil
	case id != "" && path != "":
		return clientSecret{id, secretFile(path)}, nil
	case id != "":
		return nil, errors.New("sealwright: SEALWRIGHT_CLIENT_ID is set, and neither SEALWRIGHT_CLIENT_SECRET nor SEALWRIGHT_CLIENT_SECRET_FILE")
	case secret != "" || path != "":
		return nil, errors.New("sealwright: a client secret is set in the environment, and SEALWRIGHT_CLIENT_ID is not")
	}
	return nil, errors.New("sealwright: no credentials: give WithSecret or WithSecretFile, or set SEALWRIGHT_CLIENT_ID with SEALWRIGHT_CLIENT_SECRET or SEALWRIGHT_CLIENT_SECRET_FILE")
}
