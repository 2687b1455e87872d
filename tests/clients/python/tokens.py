"""How a Python program gets its tokens: the recipe's `tokens.py`."""

# recipe: tokens
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


class Tokens:
    """Keeps a token, renews it 60 s before it expires, and forgets it when a service says that it is dead."""

    def __init__(self, issuer, client_id, client_secret, scope, audience):
        self.endpoint = f"{issuer}/api/v1/token"
        self.form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": scope,
            "audience": audience,
        }
        # One thread asks, the others wait for its answer.
        self.lock = threading.Lock()
        self.token, self.renew_at = None, 0.0

    def get(self):
        with self.lock:
            if self.token is None or time.monotonic() >= self.renew_at:
                asked = time.monotonic()
                body = urllib.parse.urlencode(self.form).encode()
                with urllib.request.urlopen(self.endpoint, body, timeout=10) as answer:
                    told = json.load(answer)
                self.token, self.renew_at = told["access_token"], asked + told["expires_in"] - 60
            return self.token

    def drop(self, token):
        with self.lock:
            # Another thread may have a new one by now.
            if self.token == token:
                self.token = None


def call(tokens, url):
    """What a service answers. On a 401 the token is dropped and a new one tried, once."""
    for last in (False, True):
        token = tokens.get()
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read()
        except urllib.error.HTTPError as refusal:
            if refusal.code != 401 or last:
                raise
            tokens.drop(token)
# end of recipe
