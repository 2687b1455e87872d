# docs/recipes/migrate-from-airisk.md

# recipe: import
cat >agents.jsonl <<'END'
{"clientId":"abc123","name":"dashboard","secret":"example-of-dashboard","scopes":["chat:read"],"ttl":3600,"redirectUris":["https://localhost/callback"],"userIds":["user_42"]}
END
sealwright scope add chat:read --description "Read chats"
sealwright agent import agents.jsonl
# end of recipe

authorize() {
    # recipe: authorize
    curl -s -o /dev/null -w '%{redirect_url}' \
        "$BASE/api/oauth2?client_id=abc123&redirect_uri=https%3A%2F%2Flocalhost%2Fcallback&userid=user_42"
    # end of recipe
}

token() {
    # recipe: token
    curl -s "$BASE/api/oauth2/Token" -d client_id=abc123 -d client_secret=example-of-dashboard \
        -d redirect_uri=https://localhost/callback -d userid=user_42 --data-urlencode "code=$CODE"
    # end of recipe
}

redirect=$(authorize)
expect "the redirect" "$redirect" "https://localhost/callback?code="
CODE=${redirect#*code=}
answer=$(token)
expect "the token" "$answer" '"expiration":"'
token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
told=$(introspect "$token")
expect "introspection" "$told" '"client_id":"abc123"'
expect "introspection" "$told" '"sub":"user_42"'
expect "the code used twice" "$(token)" "Invalid Code"
sealwright agent revoke-tokens abc123 >/dev/null
expect "introspection after it" "$(introspect "$token")" '{"active":false}'
redirect=$(authorize)
wrong=$(curl -s "$BASE/api/oauth2/Token" -d client_id=abc123 -d client_secret=wrong \
    -d redirect_uri=https://localhost/callback -d userid=user_42 --data-urlencode "code=${redirect#*code=}")
expect "a wrong secret" "$wrong" '"title":"Unauthorized"'
echo "commands: imported with its redirect URI and user; code and user token; inactive after \`revoke-tokens\`; a wrong secret is \`Unauthorized\`"
