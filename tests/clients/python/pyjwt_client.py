"""PyJWT: a service that verifies tokens offline, with the JWKS and the revocation list."""

import base64
import logging
import os
import subprocess
import sys
import urllib.error
import urllib.request

import jwt

from front import Front, until
from given import CLIENT_ID, ISSUER, SCOPE, accepted, did, done, free_port, metadata, request_token, revoke, sealwright
from verifier import Unavailable, Verifier



def refusal(token):
    """The name of the verifier's error. For an error of the recipe itself, the message."""
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
# The polling thread still runs, and the agent's epoch revokes its tokens even without any `jti`.
sealwright("agent", "revoke-tokens", CLIENT_ID)
front.mode = "cut"
until(lambda: refusal(following) == "the token was revoked")
assert refusal(request_token(audience=AUDIENCE)) is None
did("a revoked `jti` and a revoked agent are refused, and stay refused while the list cannot be had")

def refusal_of_service(port, token):
    """The response of the recipe's service: its status, and its body, challenge or `Retry-After`."""
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/rows", headers=bearer)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["WWW-Authenticate"] or error.headers["Retry-After"]


def is_up(port):
    try:
        return refusal_of_service(port, None)[0] == 401
    except urllib.error.URLError:
        return False


front.mode = "keyless"
fresh = request_token(audience=AUDIENCE)
try:
    Verifier(front.url, AUDIENCE).verify(fresh)
    raise SystemExit("a verdict without keys")
except Unavailable as error:
    assert not isinstance(error, jwt.PyJWTError)
front.mode = "pass"

for issuer in (ISSUER, front.url):
    port = free_port()
    settings = os.environ | {"ISSUER": issuer, "AUDIENCE": AUDIENCE, "PORT": str(port)}
    service = subprocess.Popen([sys.executable, "-B", "service.py"], env=settings, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_up(port))
        assert refusal_of_service(port, None) == (401, "Bearer")
        if issuer == ISSUER:
            assert refusal_of_service(port, fresh) == (200, f"rows for {CLIENT_ID}\n")
            assert refusal_of_service(port, request_token(audience=AUDIENCE, scope="files:read"))[0] == 403
            assert refusal_of_service(port, request_token())[0] == 401
            continue
        front.mode = "keyless"
        assert refusal_of_service(port, fresh) == (503, "5")
        front.mode = "pass"
        # Now the keys are available, and the token is refused, since its issuer is another one.
        assert refusal_of_service(port, fresh) == (401, 'Bearer error="invalid_token"')
    finally:
        service.kill()
did("503, not 401, while the keys cannot be had")

done("pyjwt")
