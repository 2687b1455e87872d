"""requests-oauthlib: HTTP Basic; it has no revocation, and raises when the granted scope is another."""

import os

from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests_oauthlib import OAuth2Session

from given import CLIENT_ID, CLIENT_SECRET, SCOPE, WRONG_SECRET, accepted, done, metadata, refused, revoke

# It insists on https, which a server on loopback does not speak.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

token_endpoint = metadata()["token_endpoint"]
session = OAuth2Session(client=BackendApplicationClient(CLIENT_ID, scope=SCOPE.split()))
token = session.fetch_token(token_endpoint, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
assert token["scope"] == SCOPE.split() and 0 < token["expires_in"] <= 600, token
assert accepted(token["access_token"])
revoke(token["access_token"])
assert refused(token["access_token"])

try:
    session.fetch_token(token_endpoint, client_id=CLIENT_ID, client_secret=WRONG_SECRET)
    raise SystemExit("a wrong secret got a token")
except InvalidClientError as error:
    assert error.error == "invalid_client" and error.description, error

done("requests-oauthlib", "token; refused after revocation; a wrong secret is `InvalidClientError`")
