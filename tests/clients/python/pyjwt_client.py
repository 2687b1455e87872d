"""PyJWT: a service that verifies offline, with the JWKS and the revocation list."""

from front import Front, until
from given import CLIENT_ID, ISSUER, SCOPE, accepted, did, done, metadata, request_token, revoke, sealwright

# recipe: verify
import base64
import hashlib
import json
import logging
import threading
import time
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

    def start(self, every=15):
        """A service that cannot learn what is revoked does not start. Afterwards a failed poll leaves the list as it was."""
        self.poll()
        threading.Thread(target=self._keep_polling, args=(every,), daemon=True).start()

    def _keep_polling(self, every):
        while True:
            time.sleep(every)
            try:
                self.poll()
            except Exception:
                logging.exception("the revocation list is stale")

    def poll(self):
        """Nearly all answers are 304. Anything but a list raises."""
        request = urllib.request.Request(self.list, headers={"If-None-Match": self.etag})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                revoked = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 304:
                raise
            return
        epochs = {entry["agent"]: entry["epoch"] for entry in revoked["revoked_agents"]}
        self.jtis, self.epochs = set(revoked["revoked_jtis"]), epochs
        self.etag = answer.headers["ETag"]

    def verify(self, token):
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
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


def refusal(token):
    """The name of the error, and for those of the recipe its words."""
    try:
        verifier.verify(token)
    except jwt.PyJWTError as error:
        return str(error) if type(error) is jwt.InvalidTokenError else type(error).__name__
    return None


assert metadata()["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
AUDIENCE = "https://db.example"
verifier = Verifier(ISSUER, AUDIENCE)
token = request_token(audience=AUDIENCE, scope=SCOPE)
claims = verifier.verify(token)
assert (claims["sub"], claims["client_id"], claims["scope"]) == (CLIENT_ID, CLIENT_ID, SCOPE), claims
assert accepted(token)
did("`PyJWKClient`: verified offline")

assert refusal(request_token()) == "InvalidAudienceError"
head, payload, signature = token.split(".")
assert refusal(f"{head}.{payload}.{signature[:-8]}AAAAAAAA") == "InvalidSignatureError"
other = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
assert refusal(f"{other}.{payload}.{signature}") == "not an access token"
did("another audience, a forged signature and another `typ` are refused")

front = Front()
verifier.list = verifier.list.replace(ISSUER, front.url)
logging.disable()
front.mode = "unavailable"
try:
    verifier.start()
    raise SystemExit("it starts without a list")
except urllib.error.HTTPError as error:
    assert error.code == 503, error
front.mode = "pass"
verifier.start(every=0.02)
following = request_token(audience=AUDIENCE)
revoke(token)
until(lambda: refusal(token) == "the token was revoked")
assert refusal(following) is None
for mode in ("unavailable", "gone"):
    front.mode, before = mode, front.failures
    until(lambda: front.failures > before + 2)
    assert (refusal(token), refusal(following)) == ("the token was revoked", None)
# The thread lives, and an agent's epoch counts without any `jti`.
sealwright("agent", "revoke-tokens", CLIENT_ID)
front.mode = "cut"
until(lambda: refusal(following) == "the token was revoked")
assert refusal(request_token(audience=AUDIENCE)) is None
did("a revoked `jti` and a revoked agent are refused, and stay refused while the list cannot be had")

done("pyjwt")
