"""PyJWT: a service that verifies offline, with the JWKS and the revocation list."""

from given import CLIENT_ID, ISSUER, SCOPE, accepted, done, metadata, request_token, revoke

# recipe: verify
import base64
import hashlib
import json
import urllib.error
import urllib.request

import jwt


class Verifier:
    """Says what a token's claims are; raises jwt.PyJWTError when it is worth nothing."""

    def __init__(self, issuer, audience):
        self.issuer, self.audience = issuer, audience
        # Keeps the keys for five minutes, and looks again when a token names one that it does not know.
        self.keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")
        self.list = f"{issuer}/api/v1/token/revoked"
        self.etag, self.jtis, self.epochs = "", set(), {}

    def poll(self):
        """Call this every few seconds: a revocation is known after one poll. Nearly all answers are 304."""
        request = urllib.request.Request(self.list, headers={"If-None-Match": self.etag})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                revoked = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 304:
                raise
            return
        self.jtis = set(revoked["revoked_jtis"])
        self.epochs = {entry["agent"]: entry["epoch"] for entry in revoked["revoked_agents"]}
        self.etag = answer.headers["ETag"]

    def verify(self, token):
        claims = jwt.decode(
            token,
            self.keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            issuer=self.issuer,
            audience=self.audience,
            # The server's clock may be a second ahead. No leeway: the list forgets what has expired.
            options={"require": ["exp", "jti", "client_id", "epoch"], "verify_iat": False},
        )
        agent = base64.urlsafe_b64encode(hashlib.sha256(claims["client_id"].encode()).digest())
        if claims["jti"] in self.jtis or claims["epoch"] < self.epochs.get(agent.decode().rstrip("="), 0):
            raise jwt.InvalidTokenError("the token was revoked")
        return claims
# end of recipe


def refused(token, reason):
    try:
        verifier.verify(token)
    except jwt.PyJWTError as error:
        return isinstance(error, reason)
    return False


assert metadata()["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
verifier = Verifier(ISSUER, "https://db.example")
verifier.poll()
token = request_token(audience="https://db.example", scope=SCOPE)
claims = verifier.verify(token)
assert (claims["sub"], claims["client_id"], claims["scope"]) == (CLIENT_ID, CLIENT_ID, SCOPE), claims
assert accepted(token)
verifier.poll()
verifier.verify(token)

assert refused(request_token(), jwt.InvalidAudienceError)
head, payload, signature = token.split(".")
assert refused(f"{head}.{payload}.{signature[:-8]}AAAAAAAA", jwt.InvalidSignatureError)

revoke(token)
verifier.poll()
assert refused(token, jwt.InvalidTokenError)

done("pyjwt", "`PyJWKClient`: verified offline; another audience, a forged signature and a revoked `jti` are refused")
