"""What a Python service does with a token: the recipe's `verifier.py`."""

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


class Unavailable(Exception):
    """The keys cannot be had, so nobody knows whether the token is good."""


class Keys(jwt.PyJWKClient):
    """Keeps the keys for five minutes, and looks again when a token names one that it does not know."""

    def get_signing_keys(self, refresh=False):
        try:
            return super().get_signing_keys(refresh)
        # These are of many kinds, PyJWTErrors among them, and none is the token's fault.
        except Exception as error:
            raise Unavailable("the keys cannot be had") from error


class Verifier:
    """Says what a token's claims are; raises jwt.PyJWTError when it is worth nothing, and Unavailable when it cannot tell."""

    def __init__(self, issuer, audience):
        self.issuer, self.audience = issuer, audience
        self.keys = Keys(f"{issuer}/.well-known/jwks.json")
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
