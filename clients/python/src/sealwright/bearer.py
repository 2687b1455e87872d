"""Bearer tokens in HTTP (RFC 6750), for any framework: reads them from a request, and says how to refuse.

The doors for frameworks are made of this. For one that has none, `refusal` gives the answer to any error of `verify`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InsufficientScope, InvalidToken, SealwrightError, Unavailable

__all__ = ["MissingToken", "Refusal", "read_bearer", "refusal"]

RETRY_AFTER = 5.0
"""What a 503 says, in seconds, when nothing better is known."""


class MissingToken(SealwrightError):
    """A request came without a Bearer token: 401, without an error code (RFC 6750 §3.1)."""

    def __init__(self, message: str = "a Bearer token is needed") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Refusal:
    """The answer to a request that is refused."""

    status: int
    headers: Mapping[str, str]
    error: str
    description: str

    @property
    def body(self) -> bytes:
        """JSON, in the form of RFC 6749 §5.2."""
        return json.dumps({"error": self.error, "error_description": self.description}).encode()


def read_bearer(authorization: str | None) -> str:
    """The token of an `Authorization` header. Raises `MissingToken`."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise MissingToken
    return token


def refusal(error: SealwrightError, *, resource_metadata: str | None = None) -> Refusal:
    """How to answer an error: 401 or 403 with a challenge, or 503 for whatever is no verdict on the token.

    `resource_metadata` is the address of a document of RFC 9728, which the challenge names.
    """
    told = str(error)
    if isinstance(error, MissingToken):
        return Refusal(401, _challenge(resource_metadata), "invalid_request", told)
    if isinstance(error, InvalidToken):
        return Refusal(401, _challenge(resource_metadata, "invalid_token", told), "invalid_token", told)
    if isinstance(error, InsufficientScope):
        headers = _challenge(resource_metadata, "insufficient_scope", told, " ".join(error.required))
        return Refusal(403, headers, "insufficient_scope", told)
    wait = error.retry_after if isinstance(error, Unavailable) else None
    headers = _plain()
    headers["Retry-After"] = str(max(1, math.ceil(RETRY_AFTER if wait is None else wait)))
    # Why it cannot be told is for this service's log, and not for its callers.
    return Refusal(503, headers, "temporarily_unavailable", "tokens cannot be verified now; try again")


def _challenge(
    resource_metadata: str | None, error: str | None = None, description: str | None = None, scope: str | None = None
) -> dict[str, str]:
    members = {"error": error, "error_description": description, "scope": scope, "resource_metadata": resource_metadata}
    quoted = [f'{name}="{_quotable(text)}"' for name, text in members.items() if text]
    return {"WWW-Authenticate": ("Bearer " + ", ".join(quoted)).strip(), **_plain()}


def _plain() -> dict[str, str]:
    return {"Content-Type": "application/json", "Cache-Control": "no-store"}


def _quotable(text: str) -> str:
    return "".join(c for c in text if " " <= c <= "~" and c not in '"\\')
