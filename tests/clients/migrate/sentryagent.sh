# docs/recipes/migrate-from-sentryagent.md

# recipe: import
cat >agents.jsonl <<'END'
{"clientId":"a1b2c3d4-e5f6-4890-abcd-ef1234567890","name":"screener-001@example.com","secretHash":"$2b$10$DjskAbYUTsgNmXoKxNI7/uAWvkj8X1KTpSXiSCrKCOaoTUrXo8J3W","scopes":["agents:read","tokens:read"],"ttl":3600,"status":"active"}
END
sealwright agent import agents.jsonl
# end of recipe

token() {
    # recipe: token
    curl -s "$BASE/api/v1/token" -d grant_type=client_credentials -d scope=agents:read \
        -d client_id=a1b2c3d4-e5f6-4890-abcd-ef1234567890 -d client_secret=sk_live_example-of-screener-001
    # end of recipe
}

answer=$(token)
expect "the token" "$answer" '"token_type":"Bearer","expires_in":3600,"scope":"agents:read"}'
token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
expect "the agents" "$(curl -s -H "Authorization: Bearer $token" "$BASE/api/v1/agents?limit=1")" '"agentId":'
expect "introspection" "$(introspect "$token")" '"client_id":"a1b2c3d4-e5f6-4890-abcd-ef1234567890"'
expect "revocation" "$(curl -s -H "Authorization: Bearer $token" -d "token=$token" "$BASE/api/v1/token/revoke")" "{}"
expect "introspection after it" "$(introspect "$token")" '{"active":false}'
expect "a wrong secret" "$(token() { curl -s "$BASE/api/v1/token" -d grant_type=client_credentials \
    -d client_id=a1b2c3d4-e5f6-4890-abcd-ef1234567890 -d client_secret=sk_live_wrong; }; token)" \
    '{"error":"invalid_client","error_description":"Client authentication failed. Invalid client_id or client_secret."}'
echo "commands: imported with id and bcrypt hash; token of an hour, API call; inactive after revocation; a wrong secret is \`invalid_client\`"
