"""Authlib: HTTP Basic. It can revoke tokens."""

import time

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc.jwk import ECKey

from given import CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, did, done, give_key, introspect
from given import metadata, refused, sealwright

server = metadata()

with OAuth2Session(CLIENT_ID, CLIENT_SECRET, scope=SCOPE) as session:
    token = session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
    assert token["scope"] == SCOPE and 0 < token["expires_in"] <= 600, token
    assert accepted(token["access_token"])
    did("token")
    answer = session.revoke_token(server["revocation_endpoint"], token["access_token"])
    assert answer.status_code == 200, answer.text
    assert refused(token["access_token"])
    did("revocation")

# The library renews a token without its audience. The agent's own list of audiences then decides.
AUDIENCE = "https://api.example"
sealwright("agent", "update", CLIENT_ID, "--audience", AUDIENCE)
grant = {"grant_type": "client_credentials", "token_endpoint": server["token_endpoint"]}
with OAuth2Session(CLIENT_ID, CLIENT_SECRET, scope=SCOPE, **grant) as session:
    first = session.fetch_token(audience=AUDIENCE)
    session.token = {**first, "expires_at": 1}
    session.get(f"{ISSUER}/livez")
    renewed = session.token["access_token"]
    assert renewed != first["access_token"] and introspect(renewed)["aud"] == AUDIENCE, introspect(renewed)
did("renewal, with the audience of the agent's list")

with OAuth2Session(CLIENT_ID, WRONG_SECRET) as session:
    try:
        session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
        raise SystemExit("a wrong secret got a token")
    except OAuthError as error:
        assert error.error == "invalid_client" and error.description, error
did("a wrong secret is `OAuthError: invalid_client`")

key = ECKey.generate_key("P-256")
give_key(key.as_dict(private=False))
token_endpoint = server["token_endpoint"]

# recipe: own-key
from authlib.oauth2.rfc7523 import PrivateKeyJWT


class OwnKey(PrivateKeyJWT):
    """Assertions for the issuer, good for a minute. By itself, the library makes them for the endpoint and for an hour."""

    def sign(self, auth, token_endpoint):
        # New claims each time: the library would present the first `jti` again.
        self.claims = {"aud": ISSUER, "exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


session = OAuth2Session(CLIENT_ID, key, scope=SCOPE, token_endpoint_auth_method="private_key_jwt")
session.register_client_auth_method(OwnKey(alg="ES256"))
token = session.fetch_token(token_endpoint, grant_type="client_credentials")
# end of recipe
again = session.fetch_token(token_endpoint, grant_type="client_credentials")
assert again["access_token"] != token["access_token"]
assert introspect(token["access_token"])["client_id"] == CLIENT_ID
did("`private_key_jwt`, with an `aud` and `exp` of one's own")

done("authlib")
