"""Reads the answers of the token endpoint, in the words of every dialect of the server. Pure: it asks nobody.

An answer that is not Sealwright's, such as a proxy's page, is no verdict on the client: it reads as `Unavailable`.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, quote_plus

from .errors import (
    AgentSuspended,
    InvalidClient,
    InvalidRequest,
    QuotaReached,
    RateLimited,
    ScopeDenied,
    TokenError,
    Unavailable,
)

MAX_BYTES = 65_536
"""No answer of the token endpoint is longer."""

_MAX_TEXT = 200
_TOKEN = re.compile(r"[\x21-\x7e]+")
_RESET = re.compile(r"^\s*\"month\"\s*(?=;)(?=.*;\s*t=(\d{1,9})\s*(?:;|$))")

_CODES: Mapping[str, type[TokenError]] = {
    # RFC 6749, RFC 8707
    "invalid_client": InvalidClient,
    "invalid_scope": ScopeDenied,
    "invalid_request": InvalidRequest,
    "invalid_target": InvalidRequest,
    "invalid_grant": InvalidRequest,
    "unsupported_grant_type": InvalidRequest,
    # Oculus and Orum
    "AUTH_INVALID_CREDENTIALS": InvalidClient,
    "AUTH_AGENT_SUSPENDED": AgentSuspended,
    "AUTH_AGENT_REVOKED": InvalidClient,
    "POLICY_SCOPE_DENIED": ScopeDenied,
    "QUOTA_EXCEEDED": QuotaReached,
    "VALIDATION_ERROR": InvalidRequest,
}
# For the dialects whose code does not tell these apart: RFC 6749's `unauthorized_client`, and problem documents.
_WORDS: tuple[tuple[str, type[TokenError]], ...] = (
    ("suspended", AgentSuspended),
    ("decommissioned", InvalidClient),
    ("monthly token limit", QuotaReached),
    ("scope", ScopeDenied),
)


@dataclass(frozen=True)
class Granted:
    """A token with the seconds that it lives."""

    token: str = field(repr=False)
    expires_in: float


def read(status: int, headers: Mapping[str, str], body: bytes, now: float, secret: str) -> Granted | TokenError:
    """What an answer says. `secret` is taken out of an error's text, should a server repeat it. `now` is the time of day."""
    told = _object(body)
    if status == 200:
        return _granted(told)
    error = _error(status, told, secret)
    if told is not None:
        error.request_id = _request_id(headers, told)
    if isinstance(error, QuotaReached):
        seconds = _seconds_to_reset(headers.get("ratelimit", ""))
        if seconds is not None:
            error.resets_at = datetime.fromtimestamp(now, timezone.utc) + timedelta(seconds=seconds)
    elif isinstance(error, (RateLimited, Unavailable)):
        error.retry_after = retry_after(headers, now)
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds of a `Retry-After` (RFC 9110 §10.2.3), whether it counts them or names a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _granted(told: dict[str, Any] | None) -> Granted | Unavailable:
    told = told or {}
    token, lifetime, kind = told.get("access_token"), told.get("expires_in"), told.get("token_type")
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        return Unavailable("the answer of the token endpoint has no token")
    if not (isinstance(kind, str) and kind.lower() == "bearer"):
        return Unavailable("the answer of the token endpoint has no Bearer token")
    if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or not 0 < lifetime < math.inf:
        return Unavailable("the answer of the token endpoint does not say how long the token lives")
    return Granted(token, float(lifetime))


def _error(status: int, told: dict[str, Any] | None, secret: str) -> TokenError:
    text = _text(told, secret) if told is not None else ""
    if status == 429:
        return RateLimited(text or "too many requests")
    if status == 408 or not 400 <= status < 500:
        return Unavailable(text or f"the token endpoint answered {status}")
    code = _code(told) if told is not None else None
    kind = _CODES.get(code) if code is not None else None
    if kind is None and status in (401, 403) and code in ("unauthorized_client", "about:blank"):
        if status == 401:
            kind = InvalidClient
        else:
            kind = next((kind for words, kind in _WORDS if words in text.lower()), None)
    if kind is None and status == 400:
        kind = InvalidRequest
    if kind is None:
        return Unavailable(f"the token endpoint answered {status}, in words that are not Sealwright's")
    return kind(text or f"the token endpoint answered {status}")


def _code(told: dict[str, Any]) -> str | None:
    error = told.get("error", told.get("type"))
    code = error.get("code") if isinstance(error, dict) else error
    return code if isinstance(code, str) else None


def _text(told: dict[str, Any], secret: str) -> str:
    for name in ("error_description", "detail", "message", "title"):
        text = told.get(name)
        if isinstance(text, str) and text:
            if secret:
                for form in (secret, quote_plus(secret), quote(secret, safe="")):
                    text = text.replace(form, "…")
            return "".join(c if c.isprintable() else " " for c in text)[:_MAX_TEXT]
    return ""


def _request_id(headers: Mapping[str, str], told: dict[str, Any]) -> str | None:
    text = headers.get("x-request-id", "")
    return text if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text) else None


def _seconds_to_reset(header: str) -> int | None:
    # The member `month` of a list of RFC 9651, whose parameters may come in any order.
    for member in header.split(","):
        found = _RESET.match(member)
        if found:
            return int(found.group(1))
    return None


def _object(body: bytes) -> dict[str, Any] | None:
    if len(body) > MAX_BYTES:
        return None
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
