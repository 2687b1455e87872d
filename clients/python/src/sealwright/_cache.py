"""Which token to hand out, and when to ask for another. Pure: it knows no thread, no task and no network.

The one place for the rules of renewal; `Client` and `AsyncClient` ask it what to do, do it, and tell it what came of it.
Times are those of the monotonic clock, in seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Generic, NamedTuple, TypeVar

from ._answers import Granted
from .errors import AgentSuspended, InvalidClient, QuotaReached, RateLimited, SealwrightError, Unavailable, again

RENEW_FROM, RENEW_TO = 0.70, 0.80
"""The part of a token's life after which a use renews it: drawn between the two, so that processes do not ask in step."""
HANDED_OUT_UNTIL = 5.0
"""How long before its end a token is no longer handed out."""
RETRY = 30.0
"""How long after a failed try no other is made, unless the server says."""
MIN_RETRY, MAX_RETRY = 1.0, 3600.0
FORCED_EVERY = 30.0
"""A token that a service rejected is replaced at most once in this time, so that rejections make no loop."""

_F = TypeVar("_F")


class Key(NamedTuple):
    """Every parameter of a request: tokens are kept apart by all of them."""

    scope: str | None
    audience: str | None
    resource: str | None


@dataclass
class Hand:
    """Hand out this token. With `renew`, it is time to ask for another beside that."""

    token: str
    renew: bool


@dataclass
class Refuse:
    """Raise this error; it is too early for another try."""

    error: SealwrightError


class Fetch:
    """Ask the server, or wait for who is asking."""


class Entry(Generic[_F]):
    """What is known under one key. `flight` is the request that is under way, of whatever type the caller keeps there."""

    __slots__ = ("ends_at", "flight", "forced_at", "not_before", "reason", "renew_at", "token")

    def __init__(self) -> None:
        self.token: str | None = None
        self.renew_at = self.ends_at = 0.0
        self.reason: SealwrightError | None = None
        self.not_before = 0.0
        self.forced_at = -FORCED_EVERY
        self.flight: _F | None = None

    def __repr__(self) -> str:
        return f"<token {'kept' if self.token else 'absent'}>"


class TokenCache(Generic[_F]):
    """The entries of one client."""

    def __init__(self) -> None:
        self.entries: dict[object, Entry[_F]] = {}
        self._quota: SealwrightError | None = None
        self._quota_until = 0.0
        self._sweep_at = 256

    def entry(self, key: Key, now: float) -> Entry[_F]:
        """The entry of a key, which is made if there is none."""
        found = self.entries.get(key)
        if found is None:
            if len(self.entries) >= self._sweep_at:
                self._sweep(now)
            found = self.entries[key] = Entry()
        return found

    def decide(self, entry: Entry[_F], now: float) -> Hand | Refuse | Fetch:
        """What a caller gets now."""
        held = self._held(entry, now)
        if entry.token is not None and now < entry.ends_at:
            return Hand(entry.token, renew=now >= entry.renew_at and held is None)
        return Refuse(held) if held is not None else Fetch()

    def decide_rejected(self, entry: Entry[_F], token: str, now: float) -> Hand | Refuse | Fetch:
        """What a caller gets whose token a service rejected: `Refuse` leaves the service's 401 to the caller."""
        if entry.token is not None and entry.token != token and now < entry.ends_at:
            return Hand(entry.token, renew=False)
        if entry.flight is not None:
            return Fetch()
        held = self._held(entry, now)
        if held is None and now - entry.forced_at < FORCED_EVERY:
            held = Unavailable("a rejected token was replaced a moment ago")
        if held is not None:
            return Refuse(held)
        entry.forced_at = now
        return Fetch()

    def granted(self, entry: Entry[_F], asked_at: float, granted: Granted) -> None:
        """The server gave a token. `asked_at` is the time before the request was sent."""
        entry.token = granted.token
        # No secret depends on this choice.
        part = random.uniform(RENEW_FROM, RENEW_TO)  # noqa: S311
        entry.ends_at = asked_at + granted.expires_in - HANDED_OUT_UNTIL
        entry.renew_at = min(asked_at + granted.expires_in * part, entry.ends_at)
        entry.reason, entry.not_before = None, 0.0

    def failed(self, entry: Entry[_F], error: SealwrightError, now: float, time_of_day: float) -> None:
        """The server gave none."""
        wait = RETRY
        if isinstance(error, (RateLimited, Unavailable)) and error.retry_after is not None:
            wait = min(max(error.retry_after, MIN_RETRY), MAX_RETRY)
        entry.reason, entry.not_before = again(error), now + wait
        if isinstance(error, QuotaReached) and error.resets_at is not None:
            reset = max(MIN_RETRY, _seconds_until(error.resets_at, time_of_day))
            self._quota, self._quota_until = again(error), now + reset
            entry.not_before = now + reset

    def drop_rejected(self, entry: Entry[_F], token: str, error: SealwrightError) -> bool:
        """After a forced renewal failed: whether the rejected token is dropped, and the error the caller's to see."""
        if not isinstance(error, (InvalidClient, AgentSuspended)):
            return False
        if entry.token == token:
            entry.token, entry.renew_at, entry.ends_at = None, 0.0, 0.0
        return True

    def _held(self, entry: Entry[_F], now: float) -> SealwrightError | None:
        """The error that stands until another try may be made."""
        if self._quota is not None and now < self._quota_until:
            return again(self._quota)
        if entry.reason is None or now >= entry.not_before:
            return None
        error = again(entry.reason)
        if isinstance(error, (RateLimited, Unavailable)):
            error.retry_after = entry.not_before - now
        return error

    def _sweep(self, now: float) -> None:
        """Forgets what has ended, so that a program with ever new audiences does not grow for ever."""
        for key, entry in list(self.entries.items()):
            if entry.flight is None and now >= max(entry.ends_at, entry.not_before, entry.forced_at + FORCED_EVERY):
                del self.entries[key]
        self._sweep_at = max(256, 2 * len(self.entries))


def _seconds_until(moment: datetime, time_of_day: float) -> float:
    return (moment - datetime.fromtimestamp(time_of_day, timezone.utc)).total_seconds()
