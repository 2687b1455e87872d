# What README.md tells a new user to type: an agent of one's own, and how it calls a service.

# recipe: agent
target/release/sealwright scope add db:read --description "Read the database"
target/release/sealwright agent create --name reporter --scope db:read --audience https://api.example
# end of recipe

# recipe: call
TOKEN=$(curl -s -u "$REPORTER_ID:$REPORTER_SECRET" -d grant_type=client_credentials http://127.0.0.1:3000/api/v1/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -s -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/rows
# end of recipe
