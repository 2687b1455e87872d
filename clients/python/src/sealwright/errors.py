"""What can go wrong, as types. None of them ever holds a token or a secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

__all__ = [
    "AgentSuspended",
    "ConfigurationError",
    "InsufficientScope",
    "InvalidClient",
    "InvalidRequest",
    "InvalidToken",
    "QuotaReached",
    "RateLimited",
    "ScopeDenied",
    "SealwrightError",
    "TokenError",
    "Unavailable",
]

_E = TypeVar("_E", bound="SealwrightError")


class SealwrightError(Exception):
    """The base of all errors of this library."""


class ConfigurationError(SealwrightError):
    """The program is set up wrongly: no credentials, two that contradict each other, an address that is none."""


class TokenError(SealwrightError):
    """The server gave no token. `request_id` names the request in the server's log, if the server told it."""

    request_id: str | None = None


class InvalidClient(TokenError):
    """The client id or its secret is wrong, or the agent was decommissioned."""


class AgentSuspended(TokenError):
    """The agent is suspended, or its time is over. It is tried again after 30 s at the earliest."""


class QuotaReached(TokenError):
    """The agent has used up its month. Nothing is asked until `resets_at`, if the server told when that is."""

    resets_at: datetime | None = None


class ScopeDenied(TokenError):
    """The agent may not have one of the scopes."""


class InvalidRequest(TokenError):
    """The server does not understand the request, or the agent may not have the audience."""


class RateLimited(TokenError):
    """Too many requests. `retry_after` is the time in seconds until the next one makes sense, if it is known."""

    retry_after: float | None = None


class Unavailable(TokenError):
    """The server cannot be asked, or what a verifier knows is too old. It is no verdict: services answer 503, never 401.

    `retry_after` is the time in seconds until another try makes sense, if it is known.
    """

    retry_after: float | None = None


class InvalidToken(SealwrightError):
    """A token is worth nothing here: 401. `reason` is the word that says why.

    It is one of `malformed`, `algorithm`, `type`, `critical`, `key`, `signature`, `claims`, `issuer`, `audience`, `expired`,
    `not_yet_valid` and `revoked`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class InsufficientScope(SealwrightError):
    """A good token lacks `missing`, of the `required` scopes: 403."""

    def __init__(self, required: Sequence[str], missing: Sequence[str]) -> None:
        super().__init__(tuple(required), tuple(missing))
        self.required = tuple(required)
        self.missing = tuple(missing)

    def __str__(self) -> str:
        return f"the token lacks {' '.join(self.missing)}"


def again(error: _E) -> _E:
    """A copy to be raised by another caller.

    An exception that is raised twice collects the tracebacks of both, and keeps what their frames hold.
    """
    copy = type(error).__new__(type(error), *error.args)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy
