package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// recipe: own-key
// OwnKey is a source of tokens for an agent that signs with a key of its own. Put oauth2.ReuseTokenSource around it.
type OwnKey struct {
	Issuer, TokenURL, ID string
	Key                  ed25519.PrivateKey
}

// Token asks for a token. Each one costs an assertion of its own.
func (s OwnKey) Token() (*oauth2.Token, error) {
	now := time.Now().Unix()
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"iss": s.ID, "sub": s.ID, "aud": s.Issuer, "iat": now, "exp": now + 60, "jti": rand.Text(),
	})
	if err != nil {
		return nil, err
	}
	signed := encode([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + encode(claims)
	config := clientcredentials.Config{
		ClientID:  s.ID,
		TokenURL:  s.TokenURL,
		AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {signed + "." + encode(ed25519.Sign(s.Key, []byte(signed)))},
		},
	}
	return config.Token(context.Background())
}

// end of recipe

func checkOwnKey(ctx context.Context) {
	public, private, err := ed25519.GenerateKey(nil)
	must(err)
	der, err := x509.MarshalPKIXPublicKey(public)
	must(err)
	file := filepath.Join(os.Getenv("TMPDIR"), "public-key")
	must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	must(exec.Command(os.Getenv("SEALWRIGHT"), "credential", "create", id, "--public-key", file).Run())

	source := oauth2.ReuseTokenSource(nil, OwnKey{issuer, endpoint(ctx, "token_endpoint"), id, private})
	token, err := source.Token()
	must(err)
	kept, err := source.Token()
	must(err)
	expect("the token is kept", kept.AccessToken, token.AccessToken)
	expect("a token by an assertion", introspect(ctx, token.AccessToken) != "inactive", true)
	_, other, err := ed25519.GenerateKey(nil)
	must(err)
	_, err = OwnKey{issuer, endpoint(ctx, "token_endpoint"), id, other}.Token()
	expect("a wrong key", err.Error(), `oauth2: "invalid_client" "Client authentication failed. Invalid client_id or client_secret."`)
}
