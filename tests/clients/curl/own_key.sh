# docs/own-keys.md: an agent without a secret, which signs with a key of its own.
B=$ISSUER
cd "$TMPDIR"
sealwright() { "$SEALWRIGHT" "$@"; }
member() { sed 's/.*"'"$2"'":"\([^"]*\)".*/\1/' "$1"; }
fail() {
    echo "$*" >&2
    exit 1
}

# expect NAME RESPONSE TEXT: the response must contain the text.
expect() {
    case "$2" in
        *"$3"*) ;;
        *) fail "$1: saw $2, wanted $3" ;;
    esac
}

umask 077
# recipe: key
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out agent.key
openssl pkey -in agent.key -pubout -out agent.pub
# end of recipe

# recipe: agent
sealwright agent create --client-id importer --name Importer --scope db:read --json >made.json
sealwright credential create importer --public-key agent.pub --label "first key"
sealwright credential revoke importer --credential "$(sed 's/.*"credentialId":"\([^"]*\)".*/\1/' made.json)"
# end of recipe
secret=$(member made.json clientSecret)
listed=$(sealwright credential list importer --json)
expect "its key" "$listed" '"kind":"publicKey","label":"first key"'
case "$listed" in *'"kind":"secret"'*) fail "a secret is left: $listed" ;; esac

# recipe: token
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# sign KEY ID: an assertion that the agent with this id signs. It is good for a minute, and for one token.
sign() {
    now=$(date +%s)
    header=$(printf '{"alg":"RS256","typ":"JWT"}' | base64url)
    claims=$(printf '{"iss":"%s","sub":"%s","aud":"%s","iat":%s,"exp":%s,"jti":"%s"}' \
        "$2" "$2" "$ISSUER" "$now" $((now + 60)) "$(openssl rand -hex 16)" | base64url)
    signature=$(printf %s "$header.$claims" | openssl dgst -sha256 -sign "$1" -binary | base64url)
    printf %s "$header.$claims.$signature"
}

# ask ASSERTION: what the server answers to it.
ask() {
    printf 'data-urlencode = "%s"\n' grant_type=client_credentials scope=db:read "client_assertion=$1" \
        client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer |
        curl -sS -K - "$ISSUER/api/v1/token"
}

ask "$(sign agent.key importer)"
# end of recipe
# The token has no end of line, and the last line says what was seen.
echo
assertion=$(sign agent.key importer)
expect "a token" "$(ask "$assertion")" '"access_token":"'
expect "the same assertion again" "$(ask "$assertion")" '"error":"invalid_client"'
expect "the secret that was ended" "$(curl -sS "$B/api/v1/token" -d grant_type=client_credentials \
    -d client_id=importer -d "client_secret=$secret")" '"error":"invalid_client"'
expect "another agent's id" "$(ask "$(sign agent.key "$CLIENT_ID")")" '"error":"invalid_client"'

rotate() {
    # recipe: rotate
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out new.key
    openssl pkey -in new.key -pubout -out new.pub
    sealwright credential rotate importer --public-key new.pub --overlap 3600
    # end of recipe
}
expect "the new key" "$(rotate)" "old keys end"
expect "the old key" "$(ask "$(sign agent.key importer)")" '"access_token":"'
expect "the new key" "$(ask "$(sign new.key importer)")" '"access_token":"'

manager=$(sealwright agent create --json --name Manager --scope "agents:write admin:orgs")
printf '%s' "$manager" >manager.json
TOKEN=$(curl -sS "$B/api/v1/token" -d grant_type=client_credentials --data-urlencode "client_id=$(member manager.json agentId)" \
    --data-urlencode "client_secret=$(member manager.json clientSecret)" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
printf 'Authorization: Bearer %s\n' "$TOKEN" >auth
http() {
    # recipe: http
    curl -sS -H @auth -H 'Content-Type: application/json' "$B/api/v1/agents/importer/credentials" -d '{
        "kind": "publicKey",
        "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "2026-11"}]}
    }'
    # end of recipe
}
expect "a key over HTTP, beside two live ones" "$(http)" '"code":"TOO_MANY_CREDENTIALS"'
sealwright credential rotate importer --public-key new.pub >/dev/null
expect "a key over HTTP" "$(http)" '"hint":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"'
expect "the key that ended" "$(ask "$(sign agent.key importer)")" '"error":"invalid_client"'
echo "-: an agent without a secret: its key made by OpenSSL, registered by a command and over HTTP, replaced with an overlap; an assertion is good once"
