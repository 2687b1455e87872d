"""Requests with httpx, and what both kinds of client share about them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from . import __version__
from .errors import ConfigurationError

USER_AGENT = f"sealwright-python/{__version__}"


class TooLong(Exception):
    """A body is longer than any that the server sends."""


@dataclass(frozen=True)
class Ask:
    """A request."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = field(default=None, repr=False)
    timeout: float = 10.0
    """Seconds that one step may take: to connect, to send, to wait for more bytes."""
    longer: float = 0.0
    """Seconds that the whole body may take beyond `timeout`, which a long list needs."""
    max_bytes: int = 65_536

    def arguments(self) -> dict[str, Any]:
        """What httpx is given."""
        connect = min(5.0, self.timeout)
        return {
            "method": self.method,
            "url": self.url,
            "headers": {"Accept": "application/json", "User-Agent": USER_AGENT, **self.headers},
            "params": self.params,
            "data": self.form,
            "timeout": httpx.Timeout(self.timeout, connect=connect),
            # A redirection would carry the secret to somebody else.
            "follow_redirects": False,
            # No netrc: its entry would be a second client authentication.
            "auth": None,
        }


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Body:
    """What has arrived of a body. httpx bounds each wait for bytes, so a server that sends one now and then would never end."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._until = time.monotonic() + ask.timeout + ask.longer
        self._bytes = bytearray()

    def take(self, piece: bytes) -> None:
        """Raises `TooLong`, or `httpx.ReadTimeout` if the body takes too long."""
        self._bytes += piece
        if len(self._bytes) > self._ask.max_bytes:
            raise TooLong(f"more than {self._ask.max_bytes} bytes")
        if time.monotonic() > self._until:
            raise httpx.ReadTimeout("the body does not end")

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)


def send(http: httpx.Client, ask: Ask) -> Answer:
    """Raises `httpx.HTTPError`, `httpx.InvalidURL` or `TooLong`."""
    with http.stream(**ask.arguments()) as response:
        body = Body(ask)
        for piece in response.iter_bytes():
            body.take(piece)
        return Answer(response.status_code, response.headers, bytes(body))


async def send_async(http: httpx.AsyncClient, ask: Ask) -> Answer:
    """As `send`."""
    async with http.stream(**ask.arguments()) as response:
        body = Body(ask)
        async for piece in response.aiter_bytes():
            body.take(piece)
        return Answer(response.status_code, response.headers, bytes(body))


FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TooLong, RuntimeError, OSError)
"""What sending may raise. A `RuntimeError` is that of an HTTP client that was closed."""


def why(error: BaseException) -> str:
    """A failure in words. It keeps no traceback, whose frames would hold the request."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def base_of(url: str, name: str) -> str:
    """A base URL without a slash at its end."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{name} must be an http or https URL")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} must have no user, query or fragment")
    return url.rstrip("/")
