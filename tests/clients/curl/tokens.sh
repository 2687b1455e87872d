# docs/recipes/get-a-token.md: a shell script that calls a service with a token.
SCOPE=db:read AUDIENCE=$ISSUER

# recipe: tokens
# Leaves a token in $token: the one it has until 60 s before its end, then a new one.
get_token() {
    if [ "$(date +%s)" -lt "${renew_at:-0}" ]; then return; fi
    asked=$(date +%s)
    # By standard input: arguments are shown to everybody on the machine.
    answer=$(printf 'data-urlencode = "%s"\n' grant_type=client_credentials "client_id=$CLIENT_ID" \
        "client_secret=$CLIENT_SECRET" "scope=$SCOPE" "audience=$AUDIENCE" |
        curl -sS -m 10 --fail-with-body -K - "$ISSUER/api/v1/token") ||
        { echo "no token: $answer" >&2; return 1; }
    token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    lifetime=$(printf '%s' "$answer" | sed 's/.*"expires_in":\([0-9]*\).*/\1/')
    renew_at=$((asked + lifetime - 60))
}

# call FILE ARGUMENT…: curl with a token, the answer's body into FILE and its status into $status. On a 401 the token is
# dropped and a new one tried, once.
call() {
    file=$1
    shift
    for attempt in first second; do
        get_token || return 1
        status=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
            curl -sS -m 10 -K - -o "$file" -w '%{http_code}' "$@") || return 1
        if [ "$status" != 401 ]; then return; fi
        renew_at=0
    done
}
# end of recipe

fail() {
    echo "$*" >&2
    exit 1
}

# Each agent may read itself with a token for the issuer: a service whose answer is known.
myself=$ISSUER/api/v1/agents/$CLIENT_ID
call "$TMPDIR/answer" "$myself"
[ "$status" = 200 ] && grep -q "$CLIENT_ID" "$TMPDIR/answer" || fail "a good token: $status"
first=$token
call "$TMPDIR/answer" "$myself"
[ "$token" = "$first" ] || fail "the token was not kept"
now=$(date +%s)
[ "$renew_at" -le $((now + 540)) ] && [ "$renew_at" -gt $((now + 420)) ] || fail "renewed at $renew_at, it is $now"
renew_at=$now
call "$TMPDIR/answer" "$myself"
[ "$token" != "$first" ] || fail "the token was not renewed"

first=$token
"$SEALWRIGHT" agent revoke-tokens "$CLIENT_ID" >/dev/null 2>&1
call "$TMPDIR/answer" "$myself"
[ "$status" = 200 ] && [ "$token" != "$first" ] || fail "after a revocation: $status"

AUDIENCE=https://other.example renew_at=0
call "$TMPDIR/answer" "$myself"
[ "$status" = 401 ] || fail "another audience: $status"
AUDIENCE=$ISSUER renew_at=0 CLIENT_SECRET=sw_wrong
if said=$(get_token 2>&1); then fail "a wrong secret got a token"; fi
case "$said" in *invalid_client*) ;; *) fail "a wrong secret: $said" ;; esac
echo "-: one token for many calls; renewed 60 s before its end; a dead token is dropped and another asked for, once"
