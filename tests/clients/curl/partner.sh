# docs/no-secrets.md: agents that prove themselves by tokens of a cluster and of GitHub Actions. The platforms are made
# here: their keys by OpenSSL, and what kubectl tells of a cluster by a function.
B=$ISSUER
cd "$TMPDIR"
sealwright() { "$SEALWRIGHT" "$@"; }
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
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out platform.key 2>/dev/null
# The modulus stands behind 33 bytes of the public key of this size.
modulus=$(openssl pkey -in platform.key -pubout -outform DER | tail -c +34 | head -c 256 | base64url)
printf '{"keys":[{"use":"sig","kty":"RSA","kid":"k1","alg":"RS256","n":"%s","e":"AQAB"}]}' "$modulus" >platform.jwks

# sign CLAIMS: a token of the platform.
sign() {
    header=$(printf '{"alg":"RS256","kid":"k1"}' | base64url)
    claims=$(printf %s "$1" | base64url)
    signature=$(printf %s "$header.$claims" | openssl dgst -sha256 -sign platform.key -binary | base64url)
    printf %s "$header.$claims.$signature"
}

account=14a1c3c5-6a0e-4b53-9df5-1a7be1a3a2f7
cluster=https://kubernetes.default.svc.cluster.local
now=$(date +%s)

# of_account ACCOUNT: a token of the service account "reports" with this id.
of_account() {
    sign '{"aud":["'"$ISSUER"'"],"exp":'$((now + 3600))',"iat":'"$now"',"iss":"'$cluster'","jti":"1","kubernetes.io":{"namespace":"prod","serviceaccount":{"name":"reports","uid":"'"$1"'"}},"nbf":'"$now"',"sub":"system:serviceaccount:prod:reports"}'
}

# of_owner ID: a token of a job in a repository of the owner with this id.
of_owner() {
    sign '{"sub":"repo:acme/app:ref:refs/heads/main","aud":"'"$ISSUER"'","repository":"acme/app","repository_owner":"acme","repository_owner_id":"'"$1"'","repository_id":"74","iss":"https://token.actions.githubusercontent.com","nbf":'"$now"',"exp":'$((now + 300))',"iat":'"$now"'}'
}

kubectl() {
    case "$*" in
        "get --raw /openid/v1/jwks") cat platform.jwks ;;
        "get --raw /.well-known/openid-configuration") printf '{"issuer":"%s","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks"}' $cluster ;;
        "get serviceaccount reports -n prod -o jsonpath={.metadata.uid}") printf %s $account ;;
        *) fail "kubectl $*" ;;
    esac
}

# recipe: cluster
kubectl get --raw /openid/v1/jwks >cluster-jwks.json
CLUSTER=$(kubectl get --raw /.well-known/openid-configuration | sed 's/.*"issuer":"\([^"]*\)".*/\1/')
sealwright partner create --name "Cluster 1" --preset kubernetes --issuer "$CLUSTER" --jwks cluster-jwks.json --json >cluster.json
# end of recipe

# recipe: account
PARTNER=$(sed 's/.*"partnerId":"\([^"]*\)".*/\1/' cluster.json)
ACCOUNT=$(kubectl get serviceaccount reports -n prod -o 'jsonpath={.metadata.uid}')
sealwright agent create --client-id reports --name Reports --scope db:read --json >made.json
sealwright credential create reports --partner "$PARTNER" --subject system:serviceaccount:prod:reports \
    --claim "/kubernetes.io/serviceaccount/uid=$ACCOUNT"
sealwright credential revoke reports --credential "$(sed 's/.*"credentialId":"\([^"]*\)".*/\1/' made.json)"
# end of recipe
listed=$(sealwright credential list reports --json)
expect "its credential" "$listed" '"kind":"federated"'
case "$listed" in *'"kind":"secret"'*) fail "a secret is left: $listed" ;; esac

TOKEN_FILE=token
of_account $account >$TOKEN_FILE
token() {
    # recipe: pod
    curl -sS "$B/api/v1/token" -d grant_type=client_credentials -d client_id=reports \
        --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
        --data-urlencode "client_assertion@$TOKEN_FILE"
    # end of recipe
}
expect "a token for a service account" "$(token)" '"access_token":"'
expect "the same file again" "$(token)" '"access_token":"'
of_account another >$TOKEN_FILE
expect "an account that was made anew" "$(token)" '"error":"invalid_client"'

# recipe: test
sealwright partner test "$PARTNER" --agent reports --assertion "$TOKEN_FILE"
# end of recipe
expect "the reason" "$(sealwright partner test "$PARTNER" --agent reports --assertion "$TOKEN_FILE" --json)" '"failedCheck":"claim"'

# recipe: github
sealwright partner create --name "GitHub Actions" --preset github --json >github.json
# end of recipe

# recipe: workflow
PARTNER=$(sed 's/.*"partnerId":"\([^"]*\)".*/\1/' github.json)
sealwright agent create --client-id deploy --name Deploy --scope db:read --json >made.json
sealwright credential create deploy --partner "$PARTNER" --subject 'repo:acme/app:*' --claim /repository_owner_id=65
sealwright credential revoke deploy --credential "$(sed 's/.*"credentialId":"\([^"]*\)".*/\1/' made.json)"
# end of recipe
# No key of GitHub signs here.
sealwright partner update "$PARTNER" --jwks platform.jwks >/dev/null
ID_TOKEN=$(of_owner 65)
job() {
    curl -sS "$B/api/v1/token" -d grant_type=client_credentials -d client_id=deploy \
        --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
        --data-urlencode "client_assertion=$ID_TOKEN"
}
expect "a token for a job" "$(job)" '"access_token":"'
ID_TOKEN=$(of_owner 66)
expect "a job of another owner of the same name" "$(job)" '"error":"invalid_client"'
ID_TOKEN=$(of_owner 65)

# recipe: stop
sealwright partner suspend "$PARTNER" --revoke-tokens
# end of recipe
expect "a job after the partner was stopped" "$(job)" '"error":"invalid_client"'
echo "-: agents without a secret: a service account of a cluster and a job of GitHub Actions get tokens by their platforms' own; other ids and a stopped partner get none"
