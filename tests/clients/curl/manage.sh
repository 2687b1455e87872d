# docs/managing.md: agents, scopes and keys, managed over HTTP.
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
# recipe: manager
sealwright agent create --name Manager --scope "agents:read agents:write audit:read admin:orgs" --json >manager.json
# end of recipe

# recipe: token
# A text member of the JSON in a file.
member() { sed 's/.*"'"$2"'":"\([^"]*\)".*/\1/' "$1"; }
MANAGER_ID=$(member manager.json agentId)
MANAGER_SECRET=$(member manager.json clientSecret)
# Leaves the header field of a token in the file `auth`.
get_auth() {
    answer=$(printf 'data-urlencode = "%s"\n' grant_type=client_credentials "client_id=$MANAGER_ID" \
        "client_secret=$MANAGER_SECRET" | curl -sS --fail-with-body -K - "$B/api/v1/token") || return 1
    printf 'Authorization: Bearer %s\n' "$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')" >auth
}
api() { curl -sS -H @auth -H 'Content-Type: application/json' "$@"; }
# end of recipe
get_auth

scopes() {
    # recipe: scopes
    api "$B/api/v1/scopes" -d '{"scope": "statements:read", "description": "Read statements"}'
    api "$B/api/v1/scopes" -d '{"scope": "statements:send", "description": "Send statements to customers"}'
    # end of recipe
}
expect "the scopes" "$(scopes)" '"highRiskBy":"name"'

# recipe: key-of-request
KEY=$(openssl rand -hex 16)
# end of recipe
create() {
    # recipe: create
    api -H "Idempotency-Key: $KEY" "$B/api/v1/agents" -d '{
        "name": "Statements worker",
        "owner": "billing@example.com",
        "labels": {"env": "prod", "team": "billing"},
        "scopes": ["statements:read"],
        "expiresAt": "2199-12-31T00:00:00Z"
    }' >made.json
    # end of recipe
}
create
cp made.json first.json
create
cmp made.json first.json || fail "a request that was sent again made something else"
expect "a new agent" "$(cat made.json)" '"clientSecret":"'
# recipe: made
AGENT=$(member made.json agentId)
SECRET=$(member made.json clientSecret)
CREDENTIAL=$(member made.json credentialId)
# end of recipe
live() {
    curl -sS "$B/api/v1/token" -d grant_type=client_credentials --data-urlencode "client_id=$AGENT" \
        --data-urlencode "client_secret=$SECRET"
}
expect "its token" "$(live)" '"access_token":"'

answer() {
    # recipe: faults
    api "$B/api/v1/agents" -d '{"name": "", "scopes": ["statements:read", "no such"], "colour": "red"}'
    # end of recipe
}
told=$(answer)
for field in /name /scopes/1 /colour; do expect "the faults" "$told" "\"field\":\"$field\""; done

show() {
    # recipe: show
    api -D head "$B/api/v1/agents/$AGENT"
    ETAG=$(tr -d '\r' <head | sed -n 's/^[Ee][Tt][Aa][Gg]: //p')
    # end of recipe
}
show >shown
expect "the agent" "$(cat shown)" '"owner":"billing@example.com"'
expect "its tag" "$ETAG" '"'

change() {
    # recipe: change
    api -X PATCH -H "If-Match: $ETAG" "$B/api/v1/agents/$AGENT?revokeTokens=true" \
        -d '{"scopes": ["statements:read", "statements:send"], "labels": {"team": null}}'
    # end of recipe
}
expect "the change" "$(change)" '"scopes":["statements:read","statements:send"]'
expect "the same of an old version" "$(change)" '"code":"VERSION_MISMATCH"'

answer() {
    # recipe: stop
    api -X POST "$B/api/v1/agents/$AGENT/suspend" -d '{"reason": "leaked: INC-7"}'
    # end of recipe
}
expect "suspended" "$(answer)" '"status":"suspended"'
expect "no token" "$(live)" '"error":"unauthorized_client"'

answer() {
    # recipe: start
    api -X POST "$B/api/v1/agents/$AGENT/reactivate" -d '{"reason": "secret replaced"}'
    # end of recipe
}
expect "reactivated" "$(answer)" '"status":"active"'
expect "a token" "$(live)" '"access_token":"'

answer() {
    # recipe: kill
    api -X POST "$B/api/v1/agents/$AGENT/revoke-tokens"
    # end of recipe
}
expect "killed" "$(answer)" '"revocationVersion":'

# recipe: rotate
api -X POST "$B/api/v1/agents/$AGENT/credentials/rotate" -d '{"overlapSeconds": 3600, "label": "from October on"}' >rotated.json
# end of recipe
expect "one more secret" "$(cat rotated.json)" '"clientSecret":"'
expect "the old secret" "$(live)" '"access_token":"'
OLD_SECRET=$SECRET
SECRET=$(member rotated.json clientSecret)
expect "the new secret" "$(live)" '"access_token":"'

answer() {
    # recipe: credentials
    api "$B/api/v1/agents/$AGENT/credentials"
    # end of recipe
}
expect "the new one's label" "$(answer)" '"label":"from October on"'

# recipe: end
api -X DELETE "$B/api/v1/agents/$AGENT/credentials/$CREDENTIAL?revokeTokens=true"
# end of recipe
SECRET=$OLD_SECRET
expect "the old secret is dead" "$(live)" '"error":"invalid_client"'
case "$(answer)" in *"$CREDENTIAL"*) fail "an ended secret is listed" ;; esac

answer() {
    # recipe: find
    api "$B/api/v1/agents?owner=billing@example.com&label=env:prod"
    # end of recipe
}
expect "found by owner and label" "$(answer)" "$AGENT"

answer() {
    # recipe: dormant
    api "$B/api/v1/agents?neverUsed=true"
    api "$B/api/v1/agents?usedBefore=2026-01-01T00:00:00Z"
    # end of recipe
}
sealwright agent create --name Sleeper --client-id sleeper --scope db:read >/dev/null
expect "an agent that was never used" "$(answer)" '"agentId":"sleeper"'

answer() {
    # recipe: bulk-plan
    api "$B/api/v1/agents/bulk?dryRun=true" -d '{"action": "suspend", "filter": {"labels": {"env": "prod"}}}'
    # end of recipe
}
expect "who would be stopped" "$(answer)" '"matched":1,"changed":1'

answer() {
    # recipe: bulk
    api "$B/api/v1/agents/bulk" -d '{"action": "suspend", "filter": {"labels": {"env": "prod"}}, "reason": "leaked: INC-8"}'
    # end of recipe
}
expect "stopped together" "$(answer)" "$AGENT"
expect "stopped" "$(api "$B/api/v1/agents/$AGENT")" '"status":"suspended"'

answer() {
    # recipe: audit
    api "$B/api/v1/audit?agentId=$AGENT&kind=agent.*"
    # end of recipe
}
expect "who did it, and why" "$(answer)" '"reason":"leaked: INC-8"'

answer() {
    # recipe: usage
    api "$B/api/v1/agents/$AGENT/usage"
    # end of recipe
}
expect "its usage" "$(answer)" '"issued":4'

answer() {
    # recipe: scope
    api -X PATCH "$B/api/v1/scopes/statements:send" -d '{"description": "Send statements"}'
    api -X DELETE "$B/api/v1/scopes/statements:send"
    # end of recipe
}
expect "the scope" "$(answer)" '"code":"SCOPE_IN_USE"'

answer() {
    # recipe: key
    api -X POST "$B/api/v1/keys/rotate" -d '{"reason": "every quarter"}'
    # end of recipe
}
expect "the key" "$(answer)" '"state":"announced"'

# What a program does that keeps agents as a file says.
# recipe: wanted
cat >wanted.json <<'END'
{"name": "Monthly report", "owner": "finance@example.com", "labels": {"managed-by": "terraform"}, "scopes": ["statements:read"], "ttl": 600}
END
WANTED=$B/api/v1/agents/monthly-report
# end of recipe

# recipe: put
api -X PUT -H 'If-None-Match: *' "$WANTED" -d @wanted.json >report.json
# end of recipe
expect "made" "$(cat report.json)" '"clientSecret":"'
expect "made once" "$(api -X PUT -H 'If-None-Match: *' "$WANTED" -d @wanted.json)" '"code":"VERSION_MISMATCH"'

# recipe: drift
tag() { api -o /dev/null -D - "$1" | tr -d '\r' | sed -n 's/^[Ee][Tt][Aa][Gg]: //p'; }
BEFORE=$(tag "$WANTED")
# end of recipe
expect "nothing drifted" "$(tag "$WANTED")" "$BEFORE"
sealwright agent update monthly-report --ttl 900 --reason "by hand" >/dev/null
[ "$(tag "$WANTED")" != "$BEFORE" ] || fail "a change by hand did not move the tag"

answer() {
    # recipe: plan
    api -X PUT "$WANTED?dryRun=true" -d @wanted.json
    # end of recipe
}
expect "the plan" "$(answer)" '"ttl":600'
expect "nothing was done" "$(api "$WANTED")" '"ttl":900'

answer() {
    # recipe: apply
    api -X PUT -H "If-Match: $(tag "$WANTED")" "$WANTED" -d @wanted.json
    # end of recipe
}
expect "applied" "$(answer)" '"ttl":600'
AFTER=$(tag "$WANTED")
answer >/dev/null
expect "the same again changes nothing" "$(tag "$WANTED")" "$AFTER"

answer() {
    # recipe: destroy
    api -X DELETE "$WANTED" -d '{"reason": "not needed any more"}'
    # end of recipe
}
expect "gone" "$(answer)" '"status":"decommissioned"'
echo "-: agents made, found, changed, stopped and started, their secrets, scopes and keys, each by one request; a file kept as it says: plan, apply, drift"
