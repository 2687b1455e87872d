"""requests-oauth2client: finds every endpoint by the issuer, and sends the secret in the form."""

from requests_oauth2client import InvalidClient, OAuth2Client

from given import CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, did, done, refused


def discover(secret):
    # `testing` lets the library use plain http, here to loopback.
    return OAuth2Client.from_discovery_endpoint(
        issuer=ISSUER, client_id=CLIENT_ID, client_secret=secret, testing=True
    )


client = discover(CLIENT_SECRET)
token = client.client_credentials(scope=SCOPE)
assert token.scope == SCOPE and 0 < token.expires_in <= 600, token
assert accepted(token.access_token)
did("discovery, token")
assert client.revoke_access_token(token)
assert refused(token.access_token)
did("revocation")

try:
    discover(WRONG_SECRET).client_credentials()
    raise SystemExit("a wrong secret got a token")
except InvalidClient as error:
    assert error.error == "invalid_client" and error.description, error
did("a wrong secret is `InvalidClient`")

done("requests-oauth2client")
