# docs/audit.md: an auditor's questions, each answered by the command and over HTTP.
B=$ISSUER
cd "$TMPDIR"
sealwright() { "$SEALWRIGHT" "$@"; }
member() { sed 's/.*"'"$1"'":"\([^"]*\)".*/\1/'; }
fail() {
    echo "$*" >&2
    exit 1
}

# expect TEXT: runs the answers of the function `answer`. The command prints the text as a column, and HTTP in quotes.
questions=0
expect() {
    questions=$((questions + 1))
    answer >told 2>&1 || fail "question $questions failed: $(cat told)"
    [ "$(grep -c "	$1	" told)" -ge 1 ] && grep -q "\"kind\":\"$1\"" told || fail "question $questions: no $1 in $(cat told)"
}

# What is asked about: an agent with a token that is dead, two secrets and a suspension.
FROM=$(date -u +%Y-%m-%dT%H:%M:%SZ)
AGENT=$CLIENT_ID
issued=$(curl -sS "$B/api/v1/token" -d grant_type=client_credentials --data-urlencode "client_id=$AGENT" \
    --data-urlencode "client_secret=$CLIENT_SECRET" | member access_token)
JTI=$(printf '%s' "$issued" | cut -d. -f2 | tr '_-' '/+' | sed 's/$/==/' | base64 -d 2>/dev/null | member jti)
REQUEST=$(curl -sS -i "$B/oauth/revoke" --data-urlencode "client_id=$AGENT" --data-urlencode "client_secret=$CLIENT_SECRET" \
    -d "token=$issued" | tr -d '\r' | sed -n 's/^[Xx]-[Rr]equest-[Ii][Dd]: //p')
sealwright agent rotate-secret "$AGENT" >secret
sealwright agent update "$AGENT" --scope db:read --reason "needs no files" >/dev/null 2>&1
sealwright agent suspend "$AGENT" --reason "leaked" >/dev/null
ACTOR=$(sealwright audit list --json --agent "$AGENT" --kind agent.suspended | member actor)
TO=$(date -u -d "@$(($(date +%s) + 60))" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+60S +%Y-%m-%dT%H:%M:%SZ)

auditor=$(sealwright agent create --json --name Auditor --scope audit:read)
# recipe: token
# Leaves the header field of a token in the file `auth`.
get_auth() {
    answer=$(printf 'data-urlencode = "%s"\n' grant_type=client_credentials "client_id=$AUDITOR_ID" \
        "client_secret=$AUDITOR_SECRET" scope=audit:read | curl -sS --fail-with-body -K - "$B/api/v1/token") || return 1
    printf 'Authorization: Bearer %s\n' "$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')" >auth
}
# end of recipe
AUDITOR_ID=$(printf '%s' "$auditor" | member agentId)
AUDITOR_SECRET=$(printf '%s' "$auditor" | member clientSecret)
umask 077
get_auth

answer() {
    # recipe: tokens
    sealwright audit list --agent "$AGENT" --kind token.issued
    curl -sS -H @auth "$B/api/v1/audit?agentId=$AGENT&kind=token.issued"
    # end of recipe
}
expect token.issued

answer() {
    # recipe: token-life
    sealwright audit list --jti "$JTI" --order asc
    curl -sS -H @auth "$B/api/v1/audit?jti=$JTI&order=asc"
    # end of recipe
}
expect token.revoked

answer() {
    # recipe: request
    sealwright audit list --request "$REQUEST"
    curl -sS -H @auth "$B/api/v1/audit?requestId=$REQUEST"
    # end of recipe
}
expect token.revoked

answer() {
    # recipe: maker
    sealwright audit list --agent "$AGENT" --kind agent.created
    curl -sS -H @auth "$B/api/v1/audit?agentId=$AGENT&kind=agent.created"
    # end of recipe
}
expect agent.created

answer() {
    # recipe: rights
    sealwright audit list --agent "$AGENT" --kind agent.updated
    curl -sS -H @auth "$B/api/v1/audit?agentId=$AGENT&kind=agent.updated"
    # end of recipe
}
expect agent.updated
grep -q '"reason":"needs no files"' told && grep -q '"from":' told || fail "rights: $(cat told)"

answer() {
    # recipe: stopped
    sealwright audit list --kind agent.suspended --kind agent.decommissioned --kind agent.tokens_revoked
    curl -sS -H @auth "$B/api/v1/audit?kind=agent.suspended&kind=agent.decommissioned&kind=agent.tokens_revoked"
    # end of recipe
}
expect agent.suspended
grep -q '"reason":"leaked"' told || fail "stopped: $(cat told)"

answer() {
    # recipe: secrets
    sealwright audit list --agent "$AGENT" --kind 'credential.*'
    curl -sS -H @auth "$B/api/v1/audit?agentId=$AGENT&kind=credential.*"
    # end of recipe
}
expect credential.rotated

answer() {
    # recipe: operator
    sealwright audit list --actor "$ACTOR" --from "$FROM" --to "$TO"
    curl -sS -H @auth -G "$B/api/v1/audit" --data-urlencode "actor=$ACTOR" -d "from=$FROM" -d "to=$TO"
    # end of recipe
}
expect agent.suspended

answer() {
    # recipe: keys
    sealwright audit list --kind 'key.*' --kind 'store_key.*'
    curl -sS -H @auth "$B/api/v1/audit?kind=key.*&kind=store_key.*"
    # end of recipe
}
expect store_key.created

answer() {
    # recipe: everything
    sealwright audit export --from "$FROM" --order asc >events.ndjson
    curl -sS -H @auth -H 'Accept: application/x-ndjson' "$B/api/v1/audit?from=$FROM&order=asc" >over-http.ndjson
    # end of recipe
}
questions=$((questions + 1))
answer || fail "the exports failed"
for file in events.ndjson over-http.ndjson; do
    # recipe: complete
    tail -n 1 "$file" | grep -q '^{"complete":true,'
    # end of recipe
    grep -q "$JTI" "$file" || fail "the token is not in $file"
done
# What one export has, the next one has too, and the event of the first one.
sed '$d' events.ndjson >first
sed '$d' over-http.ndjson | head -n "$(wc -l <first)" | cmp -s - first || fail "two exports differ"
sealwright audit list --kind audit.exported | grep -q "agent:$AUDITOR_ID" || fail "the export is not recorded"
[ "$questions" = 10 ] || fail "$questions questions"
echo "-: an auditor's ten questions, each answered by the command and over HTTP; two exports, both complete and alike"
