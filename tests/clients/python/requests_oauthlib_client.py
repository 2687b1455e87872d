"""requests-oauthlib: HTTP Basic. It cannot revoke tokens, and raises if another scope is granted than requested."""

import os

from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests_oauthlib import OAuth2Session

from given import CLIENT_ID, CLIENT_SECRET, SCOPE, WRONG_SECRET, accepted, did, done, metadata, refused, revoke

# The library demands https, but the server on loopback speaks plain http.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

token_endpoint = metadata()["token_endpoint"]
session = OAuth2Session(client=BackendApplicationClient(CLIENT_ID, scope=SCOPE.split()))
token = session.fetch_token(token_endpoint, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
assert token["scope"] == SCOPE.split() and 0 < token["expires_in"] <= 600, token
assert accepted(token["access_token"])
did("token")
revoke(token["access_token"])
assert refused(token["access_token"])
did("refused after revocation")

try:
    session.fetch_token(token_endpoint, client_id=CLIENT_ID, client_secret=WRONG_SECRET)
    raise SystemExit("a wrong secret got a token")
except InvalidClientError as error:
    assert error.error == "invalid_client" and error.description, error
did("a wrong secret is `InvalidClientError`")

done("requests-oauthlib")
