# docs/recipes/migrate-from-auth0.md

# A stand-in for Auth0's Management API (v2): the members of its documents that the page reads, and
# some that it does not. It answers only who has its token.
cat >auth0.py <<'END'
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = "Zx3k_example-of-invoices-worker_0123456789abcdefghijklmnopqrstuv"
LISTS = {
    "/api/v2/clients": [
        {"client_id": "8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz", "name": "Invoices worker", "client_secret": SECRET,
         "app_type": "non_interactive", "grant_types": ["client_credentials"], "is_first_party": True,
         "jwt_configuration": {"alg": "RS256", "lifetime_in_seconds": 36000}},
        {"client_id": "b1Vt9GkE4yWoHs6RzJm2QxCn7uAdL0pF", "name": "All of billing", "client_secret": SECRET + "2",
         "app_type": "non_interactive", "grant_types": ["client_credentials"]},
        {"client_id": "n0Grants00000000000000000000000x", "name": "Unused", "client_secret": SECRET + "3",
         "app_type": "non_interactive", "grant_types": ["client_credentials"]},
    ],
    "/api/v2/client-grants": [
        {"id": "cgr_1", "client_id": "8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz", "audience": "https://billing.example",
         "scope": ["read:invoices", "create:invoices"], "subject_type": "client"},
        {"id": "cgr_2", "client_id": "b1Vt9GkE4yWoHs6RzJm2QxCn7uAdL0pF", "audience": "https://billing.example",
         "scope": [], "allow_all_scopes": True, "subject_type": "client"},
        {"id": "cgr_3", "client_id": "b1Vt9GkE4yWoHs6RzJm2QxCn7uAdL0pF", "audience": "https://ledger.example",
         "scope": ["read:entries"]},
        {"id": "cgr_4", "client_id": "8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz", "audience": "https://billing.example",
         "scope": ["read:profile"], "subject_type": "user"},
    ],
    "/api/v2/resource-servers": [
        {"id": "1", "identifier": "https://acme.eu.auth0.com/api/v2/", "name": "Auth0 Management API", "is_system": True,
         "token_lifetime": 86400, "scopes": [{"value": "read:client_grants", "description": "Read Client Grants"}]},
        {"id": "2", "identifier": "https://billing.example", "name": "Billing", "token_lifetime": 3600,
         "scopes": [{"value": "read:invoices", "description": "Read invoices"}, {"value": "create:invoices"}]},
        {"id": "3", "identifier": "https://ledger.example", "name": "Ledger", "token_lifetime": 86400,
         "scopes": [{"value": "read:entries", "description": "Read entries"}]},
    ],
}


class Tenant(BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        found = self.headers["Authorization"] == "Bearer example-token" and LISTS.get(path)
        body = json.dumps([] if "page=0" not in query.split("&") else found or {"statusCode": 401}).encode()
        self.send_response(200 if found else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


tenant = HTTPServer(("127.0.0.1", 0), Tenant)
print(f"http://127.0.0.1:{tenant.server_port}", flush=True)
tenant.serve_forever()
END
python3 auth0.py >tenant &
tenant_pid=$!
trap 'kill $tenant_pid' EXIT
for _ in $(seq 100); do [ -s tenant ] || sleep 0.1; done
AUTH0=$(cat tenant) AUTH0_TOKEN=example-token

# recipe: export
# The applications, what each may ask of which API, and the APIs, page by page.
list() {
    page=0
    while curl -sf -H "Authorization: Bearer $AUTH0_TOKEN" "$AUTH0/api/v2/$1&page=$page&per_page=100" >page.json &&
        [ "$(jq length page.json)" != 0 ]; do
        jq -c '.[]' page.json
        page=$((page + 1))
    done
}
list 'clients?app_type=non_interactive' >clients.jsonl
list 'client-grants?include_totals=false' >grants.jsonl
list 'resource-servers?include_totals=false' >apis.jsonl
# end of recipe

# recipe: scopes
jq -r 'select(.is_system | not) | .scopes[]? | [.value, .description // .value] | @tsv' apis.jsonl | sort -u -t "$(printf '\t')" -k 1,1 |
    while IFS=$(printf '\t') read -r scope description; do
        sealwright scope add "$scope" --description "$description"
    done
# end of recipe

# recipe: import
jq -c -n --slurpfile clients clients.jsonl --slurpfile grants grants.jsonl --slurpfile apis apis.jsonl '
    INDEX($apis[]; .identifier) as $api
    | $clients[]
    | .client_id as $id
    | [$grants[] | select(.client_id == $id and (.subject_type // "client") == "client")] as $mine
    | select($mine != [])
    | { clientId: $id, name, secret: .client_secret,
        scopes: ([$mine[] | if .allow_all_scopes then $api[.audience].scopes[].value else .scope[] end] | unique),
        audiences: ([$mine[].audience] | unique),
        ttl: ([86400, ($mine[] | $api[.audience].token_lifetime // 86400)] | min | [., 300] | max) }' >agents.jsonl
sealwright agent import agents.jsonl
# end of recipe

expect "the agents" "$(jq -c 'select(.name == "All of billing") | [.scopes, .audiences, .ttl]' agents.jsonl)" \
    '[["create:invoices","read:entries","read:invoices"],["https://billing.example","https://ledger.example"],3600]'
expect "the number of agents" "$(jq -s length agents.jsonl)" 2

token() {
    # recipe: token
    curl -s "$BASE/oauth/token" -H 'Content-Type: application/json' -d '{
        "grant_type": "client_credentials",
        "client_id": "8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz",
        "client_secret": "Zx3k_example-of-invoices-worker_0123456789abcdefghijklmnopqrstuv",
        "audience": "https://billing.example"
    }'
    # end of recipe
}

answer=$(token)
expect "the token" "$answer" '"scope":"create:invoices read:invoices"'
token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
told=$(introspect "$token")
expect "introspection" "$told" '"client_id":"8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz"'
expect "introspection" "$told" 'https://billing.example'
sealwright agent revoke-tokens 8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz >/dev/null
expect "introspection after it" "$(introspect "$token")" '{"active":false}'
wrong=$(curl -s "$BASE/oauth/token" -d grant_type=client_credentials -d client_id=8kQ2vYbS0h3mTgqXcJ7wLrN5aUeD1fPz -d client_secret=wrong)
expect "a wrong secret" "$wrong" '"error_description":"Client authentication failed.'
echo "commands: applications, grants and APIs exported over HTTP; imported with ids and secrets; token by JSON with \`audience\`; inactive after \`revoke-tokens\`"
