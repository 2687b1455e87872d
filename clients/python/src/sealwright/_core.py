"""What a verifier knows and decides, without a way to ask or to wait: both kinds of verifier are made of it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import socket
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import jwt

from . import _feed, _jwt, _keys
from ._disk import Disk
from ._http import Answer, Ask, base_of
from .claims import Claims
from .clock import Clock, SystemClock
from .errors import ConfigurationError, RateLimited, SealwrightError, Unavailable

_log = logging.getLogger("sealwright")

REMEMBERED = 10_000
"""How many verified tokens are remembered, so that the same token is not verified again with each request."""
FIRST_LIST_WITHIN = 5.0
"""How long a first `verify` waits for the revocation list, in seconds."""
REPORT_PATIENCE = 2.0
"""How long a poll waits for the token of its report, in seconds: what is revoked matters more than who knows of it."""
_TIMEOUT = 5.0
_MAX_METADATA = 65_536
# How long the body of the whole list may take, beyond the wait for its first byte.
_LIST_SECONDS = 120.0
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_VERSION = re.compile(r"[A-Za-z0-9._~:+/=-]{1,64}")


class Endpoints(NamedTuple):
    """Where the issuer publishes its keys and its list."""

    jwks: str
    revoked: str


class Proof(NamedTuple):
    """What a report is sent with.

    While nobody can say whether there is a token, nothing is reported: the server would list a verifier of this name as
    unauthenticated for a day.
    """

    token: str | None = None
    reports: bool = True

    @classmethod
    def without(cls, error: SealwrightError) -> Proof:
        """An agent that gets no token is listed as unauthenticated; one that gets it late is not."""
        _log.warning("no token for the report of what is enforced: %s", error)
        return cls(reports=not isinstance(error, Unavailable | RateLimited))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A token whose signature and claims were checked."""

    claims: Claims
    kid: str
    agent: str


class Core:
    """Keys, revocation list and remembered tokens of one issuer and audience."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        base_url: str | None,
        typ: str,
        wait: int,
        stale_after: tuple[float, float],
        when_stale: str,
        cache: str | os.PathLike[str] | None,
        name: str | None,
        clock: Clock | None,
    ) -> None:
        base_of(issuer, "issuer")
        if not audience:
            raise ConfigurationError("audience is empty")
        self.issuer = issuer
        self.audience = audience
        self.typ = typ
        self.clock: Clock = clock or SystemClock()
        self.keys = _keys.KeySet()
        self.feed = _feed.Feed(self.clock, wait, stale_after, when_stale)
        self.endpoints: Endpoints | None = None
        if base_url is not None:
            base = base_of(base_url, "base_url")
            self.endpoints = Endpoints(f"{base}/.well-known/jwks.json", f"{base}/api/v1/token/revoked")
        self._now = self.clock.now
        self._seen: dict[bytes, _Seen] = {}
        self._disk = None if cache is None else Disk(cache, issuer)
        self._saved: object = None
        self._host = _NAME.sub("-", name or socket.gethostname()).strip("-")[:64] or "verifier"
        self._who = ""
        self.name_process()
        self._load()

    def name_process(self) -> None:
        """Draws the name under which this process reports what it enforces.

        The processes of a fork draw anew: under one name, the report of one would hide that another is behind.
        """
        self._who = f"{self._host}/{secrets.token_hex(4)}"

    # Checks

    def remembered(self, token: str) -> Claims | None:
        """The claims of a token that was verified before, if it is still good. Raises as `accept`."""
        # Neither long nor foreign text is hashed.
        if not isinstance(token, str) or len(token) > _jwt.MAX_BYTES or not token.isascii():
            return None
        seen = self._seen.get(hashlib.sha256(token.encode()).digest())
        if seen is None or seen.kid not in self.keys.keys:
            return None
        self._check(seen)
        return seen.claims

    def accept(self, token: str, parsed: _jwt.Parsed, key: jwt.PyJWK) -> Claims:
        """Checks all that is left of a parsed token. Raises `InvalidToken` or `Unavailable`."""
        if not _keys.verifies(key, parsed.signed, parsed.signature):
            _jwt.refuse_signature()
        claims = _jwt.read_claims(parsed.payload, self.issuer, self.audience)
        seen = _Seen(claims, parsed.kid, _feed.hash_agent(claims.client_id))
        self._check(seen)
        if len(self._seen) >= REMEMBERED:
            self._make_room()
        self._seen[hashlib.sha256(token.encode()).digest()] = seen
        return claims

    def _check(self, seen: _Seen) -> None:
        claims = seen.claims
        _jwt.check_time(claims, self._now())
        if self.feed.is_revoked(claims, seen.agent, seen.kid):
            _jwt.refuse_revoked()
        self.feed.check_fresh(claims.expires_at, claims.high_risk)

    def _make_room(self) -> None:
        """Forgets the tokens that were verified first. Another thread may be at it as well."""
        for digest in list(self._seen)[: REMEMBERED // 4]:
            self._seen.pop(digest, None)

    def refuse_unknown_key(self) -> None:
        """Raises `InvalidToken`, or `Unavailable` if the key may be the issuer's all the same."""
        if self.keys.in_doubt:
            error = Unavailable(f"the keys of {self.issuer} cannot be had")
            error.retry_after = 5.0
            raise error
        _jwt.refuse_key()

    # Requests, and what their answers mean

    def metadata_asks(self) -> list[Ask]:
        """Where RFC 8414 §3.1 puts the metadata, and where OpenID does."""
        parts = urlsplit(self.issuer)
        path = parts.path.rstrip("/")
        rfc = urlunsplit((parts.scheme, parts.netloc, f"/.well-known/oauth-authorization-server{path}", "", ""))
        openid = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        return [Ask("GET", url, timeout=_TIMEOUT, max_bytes=_MAX_METADATA) for url in (rfc, openid)]

    def learn_endpoints(self, answer: Answer) -> bool:
        """Whether an answer is the issuer's metadata."""
        try:
            told = json.loads(answer.body) if answer.status == 200 else None
            if not isinstance(told, dict) or told.get("issuer") != self.issuer:
                return False
            keys = base_of(told["jwks_uri"], "jwks_uri")
            revoked = told.get("sealwright_revocation_list", f"{self.issuer.rstrip('/')}/api/v1/token/revoked")
            self.endpoints = Endpoints(keys, base_of(revoked, "sealwright_revocation_list"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigurationError):
            return False
        return True

    def keys_ask(self, endpoints: Endpoints) -> Ask:
        """The request for the keys."""
        return Ask("GET", endpoints.jwks, timeout=_TIMEOUT, max_bytes=_keys.MAX_BYTES)

    def learn_keys(self, answer: Answer | None) -> bool:
        """Takes the keys of an answer; none, if it has none. Tells whether it had some."""
        now = self.clock.monotonic()
        try:
            if answer is None or answer.status != 200:
                raise ValueError("no keys")  # noqa: TRY301
            self.keys.fetched(answer.body, now)
        except ValueError:
            self.keys.failed(now)
            return False
        return True

    def feed_ask(self, endpoints: Endpoints, poll: _feed.Poll, proof: Proof) -> Ask:
        """The request of a poll, in which the verifier says what it enforces."""
        headers: dict[str, str] = dict(poll.headers)
        if proof.reports and poll.since is not None and _VERSION.fullmatch(str(poll.since)):
            headers["Sealwright-Verifier"] = f"{self._who}; version={poll.since}"
            if proof.token is not None:
                headers["Authorization"] = f"Bearer {proof.token}"
        return Ask(
            "GET", endpoints.revoked, headers, poll.params,
            timeout=poll.timeout, longer=_LIST_SECONDS, max_bytes=_feed.MAX_BYTES,
        )  # fmt: skip

    # The file

    def _load(self) -> None:
        kept = self._disk.load() if self._disk is not None else None
        if kept is None:
            return
        try:
            self.feed.load(*kept)
            self._saved = self.feed.revision
        except (ValueError, TypeError, IndexError):
            # Its digest is right, so another release wrote it.
            self.feed.version = None

    def keep(self) -> None:
        """Writes what a poll has brought."""
        if self._disk is None:
            return
        if self.feed.revision != self._saved:
            self._disk.save(self.feed.dump(), self.clock.now())
            self._saved = self.feed.revision
        else:
            self._disk.touch(self.clock.now())
