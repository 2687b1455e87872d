"""Authlib: HTTP Basic; it revokes and introspects by itself."""

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from given import CLIENT_ID, CLIENT_SECRET, SCOPE, WRONG_SECRET, accepted, done, metadata, refused

server = metadata()

with OAuth2Session(CLIENT_ID, CLIENT_SECRET, scope=SCOPE) as session:
    token = session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
    assert token["scope"] == SCOPE and 0 < token["expires_in"] <= 600, token
    assert accepted(token["access_token"])
    answer = session.revoke_token(server["revocation_endpoint"], token["access_token"])
    assert answer.status_code == 200, answer.text
    assert refused(token["access_token"])

with OAuth2Session(CLIENT_ID, WRONG_SECRET) as session:
    try:
        session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
        raise SystemExit("a wrong secret got a token")
    except OAuthError as error:
        assert error.error == "invalid_client" and error.description, error

done("authlib", "token, revocation; a wrong secret is `OAuthError: invalid_client`")
