"""requests-oauth2client: finds every endpoint by the issuer, and sends the secret in the form."""

from requests_oauth2client import InvalidClient, OAuth2Client

from given import CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, done, refused


def discover(secret):
    # `testing` lets it speak http, to loopback.
    return OAuth2Client.from_discovery_endpoint(
        issuer=ISSUER, client_id=CLIENT_ID, client_secret=secret, testing=True
    )


client = discover(CLIENT_SECRET)
token = client.client_credentials(scope=SCOPE)
assert token.scope == SCOPE and 0 < token.expires_in <= 600, token
assert accepted(token.access_token)
assert client.revoke_access_token(token)
assert refused(token.access_token)

try:
    discover(WRONG_SECRET).client_credentials()
    raise SystemExit("a wrong secret got a token")
except InvalidClient as error:
    assert error.error == "invalid_client" and error.description, error

done("requests-oauth2client", "discovery, token, revocation; a wrong secret is `InvalidClient`")
