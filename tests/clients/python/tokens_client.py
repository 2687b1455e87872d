"""Checks the recipe's `tokens.py`: it keeps a token, renews it in time, and gets another when a service refuses it."""

import threading
import urllib.error

from given import CLIENT_ID, CLIENT_SECRET, WRONG_SECRET, did, done, revoke, sealwright
from stage import Stage
from tokens import Tokens, call

AUDIENCE = "https://api.example"
stage = Stage(AUDIENCE)


def program(secret=CLIENT_SECRET, audience=AUDIENCE):
    return Tokens(stage.url, CLIENT_ID, secret, "db:read", audience)


tokens = program()
assert call(tokens, f"{stage.url}/rows") == b"rows"
threads = [threading.Thread(target=call, args=(tokens, f"{stage.url}/rows")) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert stage.issued == 1 and len(set(stage.seen)) == 1, (stage.issued, stage.seen)
did("one token for many calls")

# A token is renewed 60 s before it expires, but not yet 75 s before.
for lifetime, issued in ((60, 3), (75, 1)):
    stage.expires_in, stage.issued = lifetime, 0
    tokens = program()
    for _ in range(3):
        call(tokens, f"{stage.url}/rows")
    assert stage.issued == issued, (lifetime, stage.issued)
did("renewed 60 s before its end")

stage.expires_in = None
for kill in (lambda: revoke(tokens.get()), lambda: sealwright("agent", "revoke-tokens", CLIENT_ID)):
    tokens = program()
    call(tokens, f"{stage.url}/rows")
    kill()
    stage.issued, stage.seen = 0, []
    assert call(tokens, f"{stage.url}/rows") == b"rows"
    assert (stage.issued, len(stage.seen)) == (1, 2), (stage.issued, stage.seen)

stage.issued, stage.seen = 0, []
try:
    call(program(audience="https://other.example"), f"{stage.url}/rows")
    raise SystemExit("another audience is let in")
except urllib.error.HTTPError as refusal:
    assert refusal.code == 401
assert (stage.issued, len(stage.seen)) == (2, 2), (stage.issued, stage.seen)
did("a dead token is dropped and another asked for, once")

try:
    program(WRONG_SECRET).get()
    raise SystemExit("a wrong secret got a token")
except urllib.error.HTTPError as refusal:
    assert refusal.code == 401 and b"invalid_client" in refusal.read()

done(None)
