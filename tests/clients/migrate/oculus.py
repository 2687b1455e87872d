"""Oculus's own client and verifier, told nothing but another base URL."""

import os
import subprocess
import time
from importlib.metadata import version

from oculus_sdk import JwksVerifier, OculusClient
from oculus_sdk.exceptions import OculusAPIError, OculusAuthError

BASE = os.environ["ISSUER"]
AUDIENCE = "https://refunds.example"

# recipe: client
client = OculusClient(client_id="agt_abc123", client_secret="osk_live_example-of-refund-bot", base_url=BASE)
token = client.get_token(scope="stripe:customer:read", audience="https://refunds.example")
# end of recipe

claims = JwksVerifier(BASE).verify(token, audience=AUDIENCE)
assert (claims["sub"], claims["scope"]) == ("agt_abc123", "stripe:customer:read"), claims
assert claims["exp"] - claims["iat"] == 600, claims

subprocess.run([os.environ["SEALWRIGHT"], "agent", "suspend", "agt_abc123"], check=True, stdout=subprocess.DEVNULL)
deadline = time.monotonic() + 10
while True:
    try:
        # A verifier of its own each time: one keeps the list for 15 seconds.
        JwksVerifier(BASE).verify(token, audience=AUDIENCE)
    except OculusAPIError as refused:
        assert "revoked" in str(refused).lower(), refused
        break
    assert time.monotonic() < deadline, "a suspended agent's token is still accepted"
    time.sleep(0.05)
client.stop()

try:
    OculusClient(client_id="agt_abc123", client_secret="osk_live_wrong", base_url=BASE).get_token(scope="stripe:customer:read")
    raise SystemExit("a wrong secret got a token")
except OculusAuthError as refused:
    assert "Client authentication failed" in str(refused), refused

print(f"{version('goantiai-sdk')}: imported with id and secret; token, verified offline; refused after suspension; a wrong secret is `OculusAuthError`")
