# docs/recipes/migrate-from-keycloak.md

# The members of a realm's export that the page reads, and some that it does not.
cat >realm.json <<'END'
{
  "realm": "acme", "enabled": true, "accessTokenLifespan": 300,
  "clientScopes": [
    {"name": "invoices:read", "description": "Read invoices", "protocol": "openid-connect",
     "attributes": {"include.in.token.scope": "true"},
     "protocolMappers": [{"name": "aud", "protocolMapper": "oidc-audience-mapper",
       "config": {"included.custom.audience": "https://billing.example", "access.token.claim": "true"}}]},
    {"name": "invoices:write", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}},
    {"name": "hidden", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "false"}},
    {"name": "profile", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}},
    {"name": "basic", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "false"}},
    {"name": "role_list", "protocol": "saml", "attributes": {}}
  ],
  "clients": [
    {"clientId": "invoices-worker", "name": "Invoices worker", "enabled": true, "publicClient": false,
     "serviceAccountsEnabled": true, "clientAuthenticatorType": "client-secret", "secret": "example-of-invoices-worker",
     "attributes": {"access.token.lifespan": "1800"},
     "defaultClientScopes": ["basic", "profile", "invoices:read", "hidden"], "optionalClientScopes": ["invoices:write"]},
    {"clientId": "month-end", "enabled": false, "publicClient": false, "serviceAccountsEnabled": true,
     "clientAuthenticatorType": "client-secret", "secret": "example-of-month-end", "attributes": {},
     "protocolMappers": [{"protocolMapper": "oidc-audience-mapper", "config": {"included.client.audience": "ledger"}}],
     "defaultClientScopes": ["basic", "invoices:write"]},
    {"clientId": "shop", "enabled": true, "publicClient": true, "serviceAccountsEnabled": false, "attributes": {},
     "defaultClientScopes": ["profile"]},
    {"clientId": "signed", "enabled": true, "publicClient": false, "serviceAccountsEnabled": true,
     "clientAuthenticatorType": "client-jwt", "attributes": {}, "defaultClientScopes": ["invoices:read"]}
  ]
}
END

# recipe: scopes
jq -r '["acr", "address", "basic", "email", "microprofile-jwt", "offline_access", "phone", "profile", "roles", "service_account", "web-origins"] as $builtin
    | .clientScopes[] | select(.protocol == "openid-connect" and .attributes["include.in.token.scope"] != "false")
    | .name as $name | select($builtin | index($name) | not)
    | [$name, .description // $name] | @tsv' realm.json |
    while IFS=$(printf '\t') read -r scope description; do
        sealwright scope add "$scope" --description "$description"
    done
# end of recipe

# recipe: import
sealwright --json scope list >catalogue.json
jq -c --slurpfile catalogue catalogue.json '
    [$catalogue[][].name] as $known
    | INDEX(.clientScopes[]; .name) as $scope
    | .accessTokenLifespan as $lifespan
    | .clients[]
    | select(.serviceAccountsEnabled and (.publicClient | not) and .clientAuthenticatorType == "client-secret")
    | [.defaultClientScopes[]?, .optionalClientScopes[]?] as $all
    | { clientId, name: (.name // .clientId), secret,
        status: (if .enabled then "active" else "suspended" end),
        scopes: [$all[] | select(. as $one | $known | index($one))],
        audiences: ([(.protocolMappers[]?, ($all[] | $scope[.].protocolMappers[]?))
            | select(.protocolMapper == "oidc-audience-mapper").config
            | .["included.custom.audience"] // .["included.client.audience"] | values] | unique),
        ttl: ([86400, (.attributes["access.token.lifespan"] // $lifespan | tonumber)] | min | [., 300] | max) }
    ' realm.json >agents.jsonl
sealwright agent import agents.jsonl
# end of recipe

expect "the agents" "$(jq -c '[.clientId, .status, .scopes, .audiences, .ttl]' agents.jsonl)" \
    '["invoices-worker","active",["invoices:read","invoices:write"],["https://billing.example"],1800]
["month-end","suspended",["invoices:write"],["ledger"],300]'

token() {
    # recipe: token
    curl -s "$BASE/api/v1/token" -d grant_type=client_credentials -d scope=invoices:read \
        -d client_id=invoices-worker -d client_secret=example-of-invoices-worker
    # end of recipe
}

answer=$(token)
expect "the token" "$answer" '"scope":"invoices:read"'
expect "the token" "$answer" '"expires_in":1800'
token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
told=$(introspect "$token")
expect "introspection" "$told" '"client_id":"invoices-worker"'
expect "introspection" "$told" 'https://billing.example'
stopped=$(curl -s "$BASE/api/v1/token" -u month-end:example-of-month-end -d grant_type=client_credentials)
expect "a client that was disabled" "$stopped" '"error":"unauthorized_client"'
sealwright agent revoke-tokens invoices-worker >/dev/null
expect "introspection after it" "$(introspect "$token")" '{"active":false}'
wrong=$(curl -s "$BASE/api/v1/token" -u invoices-worker:wrong -d grant_type=client_credentials)
expect "a wrong secret" "$wrong" '"error":"invalid_client"'
echo "commands: service accounts of a realm imported with ids, secrets, scopes and audiences; a disabled one is suspended; inactive after \`revoke-tokens\`"
