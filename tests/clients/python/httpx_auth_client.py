"""httpx-auth: HTTP Basic. It adds the token to each request and keeps it."""

import httpx
from httpx_auth import InvalidGrantRequest, OAuth2ClientCredentials

from given import CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, did, done, metadata, revoke

token_endpoint = metadata()["token_endpoint"]
# Use the server itself as a service: each agent may read itself.
myself = f"{ISSUER}/api/v1/agents/{CLIENT_ID}"

auth = OAuth2ClientCredentials(token_endpoint, CLIENT_ID, CLIENT_SECRET, scope=SCOPE)
with httpx.Client(auth=auth) as client:
    answer = client.get(myself)
    assert answer.status_code == 200 and answer.json()["agentId"] == CLIENT_ID, answer.text
    token = answer.request.headers["Authorization"].removeprefix("Bearer ")
    assert accepted(token)
    did("token, API call")
    revoke(token)
    answer = client.get(myself)
    assert answer.request.headers["Authorization"] == f"Bearer {token}"
    assert answer.status_code == 401 and "invalid_token" in answer.headers["WWW-Authenticate"]
    did("401 after revocation")

try:
    httpx.get(myself, auth=OAuth2ClientCredentials(token_endpoint, CLIENT_ID, WRONG_SECRET))
    raise SystemExit("a wrong secret got a token")
except InvalidGrantRequest as error:
    assert str(error).startswith("invalid_client: "), error
did("a wrong secret is `InvalidGrantRequest: invalid_client`")

done("httpx-auth")
