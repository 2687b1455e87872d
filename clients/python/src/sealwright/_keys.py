"""The issuer's keys, and when to fetch them. Pure: it asks nobody. Times are monotonic seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jwt

UNKNOWN_EVERY = 30.0
"""How often a token with an unknown kid may cause a fetch: anyone can send such tokens."""
SECOND_LOOK_AFTER = 1.2
"""How long after the keys were found to lack a kid they are fetched once more: a replica may learn of a new key a second late."""
REFRESH_EVERY = 300.0
"""How old the keys grow before they are fetched anew, beside the callers."""
RETRY = 1.0
"""How long after a failed fetch another is tried, while there are no keys at all."""
MAX_BYTES = 1_048_576
_MIN_BITS, _MAX_BITS = 2_048, 16_384
_MAX_EXPONENT = 2**31 - 1
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class KeySet:
    """The keys that were published last. They are kept while the issuer cannot be asked."""

    def __init__(self) -> None:
        self.keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._unknown_at: float | None = None
        self._failed_at: float | None = None

    def may_fetch(self, now: float) -> bool:
        """Whether a token whose kid is unknown may cause a fetch now."""
        if self._fetched_at is None:
            return self._failed_at is None or now - self._failed_at >= RETRY
        return self._unknown_at is None or now - self._unknown_at >= UNKNOWN_EVERY

    def is_old(self, now: float) -> bool:
        """Whether it is time to look again, beside the callers."""
        last = max((at for at in (self._fetched_at, self._failed_at) if at is not None), default=None)
        return last is not None and now - last >= REFRESH_EVERY

    def lacks(self, kid: str) -> bool:
        """Whether the issuer has answered, and its answer had no such key."""
        return not self.in_doubt and kid not in self.keys

    def asked_for_unknown(self, now: float) -> None:
        """A fetch begins because of an unknown kid."""
        if self._fetched_at is not None:
            self._unknown_at = now

    def fetched(self, body: bytes, now: float) -> None:
        """Takes the keys of a JWKS. Raises `ValueError`, and keeps what there was, if none can be used."""
        self.keys = usable(body)
        self._fetched_at, self._failed_at = now, None

    def failed(self, now: float) -> None:
        """The keys could not be had."""
        self._failed_at = now

    @property
    def in_doubt(self) -> bool:
        """Whether an unknown kid may be the issuer's all the same: the last look failed, or there was none."""
        return self._fetched_at is None or self._failed_at is not None


def usable(body: bytes) -> dict[str, jwt.PyJWK]:
    """The RSA keys of 2,048 bits and more with which the issuer may sign, by their kid: of two with one kid, the first.

    Raises `ValueError` if there are none.
    """
    try:
        document = json.loads(body)
        published = document["keys"] if isinstance(document, dict) else None
    except (KeyError, RecursionError):
        published = None
    if not isinstance(published, list):
        raise ValueError("it is no JWKS")  # noqa: TRY004
    keys = {}
    for jwk in published:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(kid, str) or jwk.get("kty") != "RSA" or kid in keys:
            continue
        if jwk.get("use", "sig") != "sig" or jwk.get("alg", "RS256") != "RS256":
            continue
        key = _key(jwk)
        if key is not None:
            keys[kid] = key
    if not keys:
        raise ValueError("it has no key that can be used")
    return keys


def _key(jwk: dict[str, Any]) -> jwt.PyJWK | None:
    if not all(isinstance(jwk.get(name), str) and _BASE64URL.fullmatch(jwk[name]) for name in ("n", "e")):
        return None
    try:
        # The public members alone, whatever else is published.
        key = jwt.PyJWK({name: jwk[name] for name in ("kty", "n", "e")}, "RS256")
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return None
    exponent = key.key.public_numbers().e
    sound = _MIN_BITS <= key.key.key_size <= _MAX_BITS and exponent % 2 == 1 and 3 <= exponent <= _MAX_EXPONENT
    return key if sound else None


def verifies(key: jwt.PyJWK, signed: bytes, signature: bytes) -> bool:
    """Whether this key made this signature."""
    return bool(key.Algorithm.verify(signed, key.key, signature))
