# docs/recipes/migrate-from-orum.md

# recipe: import
cat >agents.jsonl <<'END'
{"clientId":"9d2f7c31-58f4-4a8e-8f0c-6b1d1a7f2e90","name":"payouts","secret":"example-of-payouts","scopes":["payments:read"],"ttl":3600}
END
sealwright scope add payments:read --description "Read payments"
sealwright agent import agents.jsonl
# end of recipe

token() {
    # recipe: token
    curl -s "$BASE/oauth/token" -H 'Content-Type: application/json' \
        -d '{"client_id":"9d2f7c31-58f4-4a8e-8f0c-6b1d1a7f2e90","client_secret":"example-of-payouts"}'
    # end of recipe
}

answer=$(token)
expect "the token" "$answer" '"token_type":"Bearer"'
expect "the token" "$answer" '"expires_in":3600'
token=$(printf '%s' "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
expect "introspection" "$(introspect "$token")" '"client_id":"9d2f7c31-58f4-4a8e-8f0c-6b1d1a7f2e90"'
sealwright agent revoke-tokens 9d2f7c31-58f4-4a8e-8f0c-6b1d1a7f2e90 >/dev/null
expect "introspection after it" "$(introspect "$token")" '{"active":false}'
wrong='{"client_id":"9d2f7c31-58f4-4a8e-8f0c-6b1d1a7f2e90","client_secret":"wrong"}'
wrong=$(curl -s "$BASE/oauth/token" -H 'Content-Type: application/json' -d "$wrong")
expect "a wrong secret" "$wrong" '"error_code":"unauthorized"'
expect "a wrong secret" "$wrong" '"message":"Client authentication failed. Invalid client_id or client_secret."'
missing=$(curl -s "$BASE/oauth/token" -H 'Content-Type: application/json' -d '{}')
expect "no credentials" "$missing" '"error_code":"missing_client_id","message":"client_id is required"'
echo "commands: imported with id and secret; token of an hour by JSON; inactive after \`revoke-tokens\`; a wrong secret is \`unauthorized\`"
