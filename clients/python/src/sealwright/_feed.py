"""The revocation list: what to ask for, what an answer changes, and whether what is known is recent enough.

Pure: it asks nobody and writes no file. `_poller` sends its requests one after the other and tells it what came of each.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import random
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._answers import retry_after
from .claims import Claims
from .clock import Clock
from .errors import ConfigurationError, Unavailable

WAIT = 25
"""How long a poll is held, in seconds: the longest that the server allows."""
TIMEOUT = 5.0
"""How long an answer may take, beside the time for which the poll is held."""
POLL_EVERY = 13.5
POLL_SPREAD = 1 / 9
"""Seconds between polls that are not held: 12 to 15, so that with the second that a replica may lag a kill takes 16."""
FIRST_RETRY, LAST_RETRY = 1.0, 15.0
SPREAD = 0.2
"""Waits are longer or shorter by up to this part, so that verifiers do not ask in step."""
REFUSED_FOR = 300.0
"""How long polls are not held after a server has refused to."""
MIN_PAUSE = 0.1
"""Between an answer with news and the next poll, so that no server makes a busy loop of it."""
KEPT_AFTER_EXPIRY = 120
"""How long an entry is kept after its token's end, in seconds. The server keeps it as long."""
MAX_BYTES = 256 * 1_048_576
"""More than a list of a million entries has."""
_MAX_RETRY_AFTER = 60.0
"""However long a page tells to wait, in seconds: what is revoked meanwhile must be known soon after the page is gone."""
_MAX_INTEGER = 2**53 - 1
_NO_LONG_POLL = frozenset({400, 404, 414, 501})
_FORMAT = 2

Version = int | str
"""What the server gave; it is compared with nothing but equality."""


def hash_agent(client_id: str) -> str:
    """How the list names an agent."""
    return urlsafe_b64encode(hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Poll:
    """A request for the list."""

    number: int
    params: Mapping[str, str]
    headers: Mapping[str, str]
    timeout: float
    sent_at: float
    since: Version | None


@dataclass
class _News:
    """An answer whose form is right."""

    since: Version | None
    version: Version
    tokens: list[tuple[str, int]] = field(default_factory=list)
    agents: list[tuple[str, int, int]] = field(default_factory=list)
    orgs: list[tuple[str, int, int]] = field(default_factory=list)
    keys: list[tuple[str, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tokens or self.agents or self.orgs or self.keys)


class Feed:
    """What is known to be revoked.

    `stale_after` is how many seconds of silence pass before high-risk tokens, and before all, are refused.
    """

    def __init__(
        self,
        clock: Clock,
        wait: int = WAIT,
        stale_after: tuple[float, float] = (60.0, 900.0),
        when_stale: str = "refuse",
    ) -> None:
        if not 0 <= wait <= WAIT:
            raise ConfigurationError(f"wait must be between 0 and {WAIT} seconds")
        if when_stale not in ("refuse", "accept"):
            raise ConfigurationError('when_stale must be "refuse" or "accept"')
        self._clock = clock
        self._wait = wait
        self._stale_after = stale_after
        self._accepts_stale = when_stale == "accept"
        self.version: Version | None = None
        self.delay = 0.0
        """How long to wait before the next poll, in seconds."""
        self.revision = 0
        """Counts the answers that changed something."""
        self._tokens: dict[str, int] = {}
        self._agents: dict[str, tuple[int, int]] = {}
        self._orgs: dict[str, tuple[int, int]] = {}
        self._keys: dict[str, int] = {}
        self._ends: list[tuple[int, str, str]] = []
        # The list of contract §4, of servers that know no other. Its entries do not say when they end.
        self._listed_tokens: frozenset[str] = frozenset()
        self._listed_agents: dict[str, int] = {}
        self._etag: str | None = None
        self._heard_at: float | None = None
        # The latest end of an entry that was forgotten: a token that ends no later may have had one.
        self._forgotten = 0
        self._failures = 0
        self._refused_at: float | None = None
        # Polls that were held and failed, since one that was held and answered; and whether the next one asks without.
        self._held_failures = 0
        self._probing = False
        self._number = 0

    # What a token's check asks

    def is_revoked(self, claims: Claims, agent: str, kid: str) -> bool:
        """Whether a token is known to be dead. `agent` is its agent's hash, and `kid` names the key that signed it."""
        jti, epoch = claims.jti, claims.epoch
        if jti in self._tokens or kid in self._keys or jti in self._listed_tokens:
            return True
        killed = self._agents.get(agent)
        if killed is not None and epoch < killed[0]:
            return True
        if claims.org_id is not None:
            stopped = self._orgs.get(claims.org_id)
            if stopped is not None and claims.org_epoch < stopped[0]:
                return True
        return epoch < self._listed_agents.get(agent, 0)

    def check_fresh(self, expires_at: int, high_risk: bool) -> None:
        """Raises `Unavailable` if the token may have been revoked without this feed knowing."""
        if self._heard_at is None:
            raise self._unavailable("the revocation list is not known yet")
        if expires_at <= self._forgotten:
            raise self._unavailable("the clock was set back, and the revocation list must be read anew")
        if self._accepts_stale:
            return
        silence = self._clock.monotonic() - self._heard_at
        risky, every = self._stale_after
        if silence >= every or (high_risk and silence >= risky):
            raise self._unavailable(f"the revocation list has been silent for {silence:.0f} s")

    @property
    def silence(self) -> float | None:
        """Seconds since the list was last heard of; `None` before that."""
        return None if self._heard_at is None else self._clock.monotonic() - self._heard_at

    def _unavailable(self, message: str) -> Unavailable:
        error = Unavailable(message)
        error.retry_after = 5.0
        return error

    # What the poller asks

    def poll(self) -> Poll:
        """The request that is to be sent now. An answer to an earlier one counts no more."""
        now = self._clock.monotonic()
        self._number += 1
        since = self.version
        if self._clock.now() < self._forgotten:
            # The time of day was set back behind what was forgotten.
            since = None
        params = {"since": "0" if since is None else str(since)}
        held = since is not None and self._holds(now) and not self._probing
        if held:
            params["wait"] = str(self._wait)
        headers = {"If-None-Match": self._etag} if self._etag is not None and since is not None else {}
        timeout = TIMEOUT + (self._wait if held else 0)
        return Poll(self._number, params, headers, timeout, now, since)

    def failed(self, poll: Poll) -> None:
        """A poll got no answer, or none that is a list."""
        if poll.number != self._number:
            return
        self._failures += 1
        if "wait" in poll.params:
            # It may be the wait that fails, at a proxy that holds answers back or gives up early.
            self._held_failures += 1
            self._probing = True
        self.delay = _spread(min(FIRST_RETRY * 2.0 ** min(self._failures - 1, 10), LAST_RETRY))

    def answered(self, poll: Poll, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Takes in an answer. Tells whether it was one that counts."""
        if poll.number != self._number:
            return False
        now = self._clock.monotonic()
        wait = retry_after(headers, self._clock.now())
        if status in _NO_LONG_POLL and "wait" in poll.params:
            self._refused_at, self.delay = now, 0.0
            return False
        if status == 304 and poll.since is not None:
            self._heard(now, news=False, poll=poll, wait=wait)
            return True
        if status != 200:
            self.failed(poll)
            if wait is not None:
                self.delay = _spread(min(max(wait, FIRST_RETRY), _MAX_RETRY_AFTER))
            return False
        try:
            document = json.loads(body)
            listed = isinstance(document, dict) and "since" not in document and "revoked_jtis" in document
            if listed:
                changed = self._apply_list(document, headers)
            else:
                news = _read(document)
                if news.since is not None and news.since != poll.since:
                    raise ValueError("it continues another version")  # noqa: TRY301
                changed = self._apply(news)
        except (ValueError, RecursionError):
            self.failed(poll)
            return False
        self._heard(now, changed and not listed, poll, wait)
        return True

    def _heard(self, now: float, news: bool, poll: Poll, wait: float | None) -> None:
        self._heard_at, self._failures = now, 0
        self._forget()
        probed, self._probing = self._probing, False
        if "wait" in poll.params:
            self._held_failures = 0
        elif probed and self._held_failures > 1:
            self._refused_at, self._held_failures = now, 0
        if wait is not None:
            self.delay = _spread(min(max(wait, FIRST_RETRY), _MAX_RETRY_AFTER))
        elif "wait" not in poll.params:
            # After the first list, and after a failure, the next poll is held again.
            again = (poll.since is None or probed) and self._etag is None and self._holds(now)
            self.delay = MIN_PAUSE if again else _spread(POLL_EVERY, POLL_SPREAD)
        elif news:
            self.delay = MIN_PAUSE
        elif now - poll.sent_at >= self._wait - 1:
            self.delay = 0.0
        else:
            # It was to be held and was not: a proxy in between, or a server that cannot.
            self.delay = _spread(POLL_EVERY, POLL_SPREAD)

    def _holds(self, now: float) -> bool:
        refused = self._refused_at is not None and now - self._refused_at < REFUSED_FOR
        return self._wait > 0 and not refused

    # What an answer changes

    def _apply(self, news: _News) -> bool:
        """Adds what is new. Nothing is taken out before its time: what was revoked stays so, whatever a later list lacks."""
        for jti, exp in news.tokens:
            if self._tokens.get(jti, 0) < exp:
                self._tokens[jti] = exp
                heapq.heappush(self._ends, (exp, "token", jti))
        for kind, entries, told in (("agent", self._agents, news.agents), ("org", self._orgs, news.orgs)):
            for name, epoch, exp in told:
                known = entries.get(name, (0, 0))
                if epoch > known[0] or exp > known[1]:
                    entries[name] = (max(epoch, known[0]), max(exp, known[1]))
                    heapq.heappush(self._ends, (exp, kind, name))
        for kid, exp in news.keys:
            if self._keys.get(kid, 0) < exp:
                self._keys[kid] = exp
                heapq.heappush(self._ends, (exp, "key", kid))
        if news.since is None:
            self._listed_tokens, self._listed_agents = frozenset(), {}
            self._forgotten = 0
        self._etag = None
        changed = news.version != self.version
        self.revision += changed or bool(news)
        # Last: a version is told to the server only when it is enforced.
        self.version = news.version
        return changed

    def _apply_list(self, document: dict[str, Any], headers: Mapping[str, str]) -> bool:
        tokens = _list(document, "revoked_jtis")
        agents = {_text(entry, "agent"): _number(entry, "epoch") for entry in _list(document, "revoked_agents")}
        version = _version(document.get("version"))
        if not all(isinstance(jti, str) for jti in tokens):
            raise ValueError("a jti is no text")
        self._listed_tokens, self._listed_agents = frozenset(tokens), agents
        self._etag = headers.get("etag")
        self._forgotten = 0
        changed = version != self.version
        self.revision += 1
        self.version = version
        return changed

    def _forget(self) -> None:
        """Drops the entries of tokens that have expired, some time ago."""
        before = int(self._clock.now()) - KEPT_AFTER_EXPIRY
        while self._ends and self._ends[0][0] < before:
            exp, kind, name = heapq.heappop(self._ends)
            self._forgotten = max(self._forgotten, exp)
            if kind == "token" and self._tokens.get(name) == exp:
                del self._tokens[name]
            elif kind == "key" and self._keys.get(name) == exp:
                del self._keys[name]
            elif kind == "agent" and self._agents.get(name, (0, 0))[1] == exp:
                del self._agents[name]
            elif kind == "org" and self._orgs.get(name, (0, 0))[1] == exp:
                del self._orgs[name]

    def __len__(self) -> int:
        return (
            len(self._tokens)
            + len(self._agents)
            + len(self._orgs)
            + len(self._keys)
            + len(self._listed_tokens)
            + len(self._listed_agents)
        )

    # What is kept on disk

    def dump(self) -> dict[str, Any]:
        """What a verifier that starts later needs."""
        return {
            "format": _FORMAT,
            "version": self.version,
            "tokens": dict(self._tokens),
            "agents": {agent: list(entry) for agent, entry in self._agents.items()},
            "orgs": {org: list(entry) for org, entry in self._orgs.items()},
            "keys": dict(self._keys),
            "listed_tokens": sorted(self._listed_tokens),
            "listed_agents": dict(self._listed_agents),
            "etag": self._etag,
            "forgotten": self._forgotten,
        }

    def load(self, kept: dict[str, Any], heard_at: float) -> None:
        """Goes on from what was kept; `heard_at` is the time of day at which it was last true. Raises `ValueError`."""
        if kept.get("format") != _FORMAT:
            raise ValueError("it is of another release")
        news = _News(None, _version(kept.get("version")))
        news.tokens = [(jti, _integer(exp)) for jti, exp in _members(kept, "tokens")]
        news.agents = [(agent, _integer(entry[0]), _integer(entry[1])) for agent, entry in _members(kept, "agents")]
        news.orgs = [(org, _integer(entry[0]), _integer(entry[1])) for org, entry in _members(kept, "orgs")]
        news.keys = [(kid, _integer(exp)) for kid, exp in _members(kept, "keys")]
        listed = frozenset(_list(kept, "listed_tokens"))
        listed_agents = {agent: _integer(epoch) for agent, epoch in _members(kept, "listed_agents")}
        etag, forgotten = kept.get("etag"), _integer(kept.get("forgotten"))
        if not isinstance(etag, str | None):
            raise ValueError("it is damaged")  # noqa: TRY004
        self._apply(news)
        self._listed_tokens, self._listed_agents, self._etag = listed, listed_agents, etag
        self._forgotten = forgotten
        age = self._clock.now() - heard_at
        # What comes from the future tells nothing about how old it is.
        self._heard_at = self._clock.monotonic() - (age if age >= 0 else float("inf"))


def _read(document: Any) -> _News:
    """An answer of the feed. Raises `ValueError` for anything else."""
    if not isinstance(document, dict) or "since" not in document:
        raise ValueError("it is no list")
    since = document["since"]
    news = _News(None if since is None else _version(since), _version(document.get("version")))
    news.tokens = [(_text(entry, "jti"), _number(entry, "exp")) for entry in _list(document, "revoked_tokens")]
    news.agents = [
        (_text(entry, "agent"), _number(entry, "epoch"), _number(entry, "exp"))
        for entry in _list(document, "revoked_agents")
    ]
    news.orgs = [
        (_text(entry, "orgId"), _number(entry, "epoch"), _number(entry, "exp"))
        for entry in _list(document, "revoked_orgs")
    ]
    news.keys = [(_text(entry, "kid"), _number(entry, "exp")) for entry in _list(document, "revoked_keys")]
    return news


def _version(value: Any) -> Version:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise ValueError("it has no version")
    return value


def _list(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")  # noqa: TRY004
    return value


def _members(document: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")  # noqa: TRY004
    return list(value.items())


def _text(entry: Any, name: str) -> str:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"an entry has no {name}")  # noqa: TRY004
    return value


def _number(entry: Any, name: str) -> int:
    return _integer(entry.get(name) if isinstance(entry, dict) else None)


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        raise ValueError("an entry has no number")
    return value


def _spread(seconds: float, part: float = SPREAD) -> float:
    # No secret depends on this choice.
    return seconds * random.uniform(1 - part, 1 + part)  # noqa: S311
