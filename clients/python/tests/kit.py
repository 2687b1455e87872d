"""What the tests share: a clock that is set by hand, a server that answers as told, and the vectors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx

VECTORS = Path(__file__).parents[2] / "vectors"
ISSUER = "https://auth.example"
AUDIENCE = "https://api.example"
Answer = dict[str, Any]
T = TypeVar("T")


def vectors(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return document


class FakeClock:
    def __init__(self, now: float = 1_800_000_000) -> None:
        self.time_of_day = float(now)
        self.ticks = 1_000.0

    def now(self) -> float:
        return self.time_of_day

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.ticks += seconds
        self.time_of_day += seconds

    def step(self, seconds: float) -> None:
        self.time_of_day += seconds


class Server:
    """Answers the requests of httpx with what a test puts in, and remembers them."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)

    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))

    def async_http(self) -> httpx.AsyncClient:
        async def handle(request: httpx.Request) -> httpx.Response:
            # Others may run meanwhile, as with a real server.
            await asyncio.sleep(0)
            return self(request)

        return httpx.AsyncClient(transport=httpx.MockTransport(handle))


def response(answer: Answer) -> httpx.Response:
    body = answer.get("body", "")
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.Response(answer["status"], headers=answer.get("headers") or {}, content=content.encode())


def grant(token: str, expires_in: float = 600) -> httpx.Response:
    told = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": "db:read"}
    return httpx.Response(200, json=told)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.001)
