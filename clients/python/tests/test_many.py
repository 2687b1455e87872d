"""Two hundred verifiers over real sockets, with a server that holds their polls."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from kit import AUDIENCE, FakeClock, run, vectors
from sealwright import AsyncVerifier, InvalidToken
from test_vectors import EMPTY
from test_verifier import GOOD, TOKENS

VERIFIERS = 200


class Holding:
    """As much of the server as verifiers need: it holds a poll with `wait` until there is news, and then answers all."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.held = 0
        self.polls = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                body = json.dumps(await self.answer(request.split(b" ", 2)[1].decode())).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, target: str) -> Any:
        url = urlsplit(target)
        if url.path == "/.well-known/jwks.json":
            return TOKENS["jwks"]
        self.polls += 1
        asked = parse_qs(url.query)
        if asked.get("since") == ["0"]:
            return EMPTY
        if asked["since"] == ["1"] and "wait" in asked:
            self.held += 1
            await self.news.wait()
            dead = [{"jti": "0199f3a0-0000-7000-8000-000000000001", "exp": 1_900_000_000}]
            return {**EMPTY, "since": 1, "version": 2, "revoked_tokens": dead}
        await asyncio.sleep(3_600)
        return None


async def accepts(verifier: AsyncVerifier) -> bool:
    try:
        await verifier.verify(GOOD)
    except InvalidToken:
        return False
    return True


@pytest.mark.long
def test_two_hundred_verifiers_refuse_a_killed_token_at_once() -> None:
    async def scenario() -> None:
        holding = Holding()
        server = await asyncio.start_server(holding.serve, "127.0.0.1", 0)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        # Each its own, as if each were a process: httpx takes long to look through two hundred connections of one.
        context = ssl.create_default_context()
        https = [httpx.AsyncClient(verify=context, trust_env=False) for _ in range(VERIFIERS)]
        issuer = vectors("tokens.json")["issuer"]
        verifiers = [AsyncVerifier(issuer, AUDIENCE, base_url=base, http=http, clock=FakeClock()) for http in https]
        assert all(await asyncio.gather(*[accepts(verifier) for verifier in verifiers]))
        while holding.held < VERIFIERS:
            await asyncio.sleep(0.01)
        # Each has asked twice: for the list, and for what comes after it.
        assert holding.polls == 2 * VERIFIERS
        began = time.monotonic()
        holding.news.set()
        while any([await accepts(verifier) for verifier in verifiers]):
            await asyncio.sleep(0.01)
        # Generous: it takes a fraction of a second.
        assert time.monotonic() - began < 10
        for verifier, http in zip(verifiers, https, strict=True):
            await verifier.aclose()
            await http.aclose()
        server.close()

    run(scenario())
