"""Every vector, with both kinds of client and of verifier."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import httpx
import pytest

from kit import ISSUER, Answer, FakeClock, Server, grant, response, run, until, vectors
from sealwright import (
    AsyncClient,
    AsyncVerifier,
    Client,
    ConfigurationError,
    InvalidToken,
    SealwrightError,
    Unavailable,
    Verifier,
    _answers,
)
from sealwright.verifier import AsyncPoller, Poller

Case = dict[str, Any]


def run_all(name: str, run_case: Callable[[Case, dict[str, Any]], None]) -> None:
    document = vectors(name)
    ran, failures = 0, []
    for case in document["cases"]:
        try:
            run_case(case, document)
        except Exception as error:
            failures.append(f"{case['name']}: {error!r}")
        ran += 1
    assert not failures, "\n".join(failures)
    assert ran == len(document["cases"]) > 0


# --- tokens.json -----------------------------------------------------------------------------------------------------


def publisher(document: dict[str, Any], feed: Callable[[httpx.Request], httpx.Response]) -> Server:
    issuer = document["issuer"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/oauth-authorization-server":
            told = {"jwks_uri": f"{issuer}/keys", "sealwright_revocation_list": f"{issuer}/feed"}
            return httpx.Response(200, json={"issuer": issuer, **told})
        if request.url.path == "/keys":
            return httpx.Response(200, json=document["jwks"])
        assert request.url.path == "/feed"
        return feed(request)

    return Server(answer)


EMPTY: dict[str, Any] = {
    "since": None,
    "version": 1,
    "revoked_tokens": [],
    "revoked_agents": [],
    "revoked_orgs": [],
    "revoked_keys": [],
}


class StillVerifier(Verifier):
    """A verifier whose polls the test makes."""

    def _start(self) -> Poller:
        if self._poller is None:
            self._poller = Poller(self._core, self._given_http, self._client)
            self._poller._first.set()
        return self._poller

    def poll(self) -> None:
        self._start().poll_once()

    def verdict(self, token: str) -> Any:
        return self.verify(token)


class StillAsyncVerifier(AsyncVerifier):
    def _start(self) -> AsyncPoller:
        loop = asyncio.get_running_loop()
        if self._poller is None or self._poller.loop is not loop:
            self._poller = AsyncPoller(self._core, self._given_http, self._client, loop)
            self._poller._first.set()
        return self._poller

    def poll(self) -> None:
        async def once() -> None:
            await self._start().poll_once()

        run(once())

    def verdict(self, token: str) -> Any:
        return run(self.verify(token))


Kind = type[StillVerifier] | type[StillAsyncVerifier]
both_verifiers = pytest.mark.parametrize("kind", [StillVerifier, StillAsyncVerifier])


def made(kind: Kind, server: Server, document: dict[str, Any], clock: FakeClock, **options: Any) -> Any:
    http = server.http() if kind is StillVerifier else server.async_http()
    return kind(document["issuer"], document["audience"], http=http, clock=clock, **options)  # type: ignore[arg-type]


def verdict(verifier: Any, token: str) -> tuple[str, Any]:
    try:
        return "accept", verifier.verdict(token)
    except InvalidToken as refusal:
        assert token == "" or token not in repr(refusal) + str(refusal)
        return refusal.reason, None
    except Unavailable:
        return "unavailable", None


@both_verifiers
def test_every_token_gets_its_verdict(kind: Kind) -> None:
    clock = FakeClock()
    document = vectors("tokens.json")
    server = publisher(document, lambda _: httpx.Response(200, json=EMPTY))
    # One verifier for all, so that what it remembers of one token cannot let another in.
    verifier = made(kind, server, document, clock)
    verifier.poll()

    def run_case(case: Case, _: dict[str, Any]) -> None:
        token = case["token"]
        if isinstance(token, list):
            token = "".join(text * times for text, times in token)
        clock.time_of_day = case.get("at", document["now"])
        for _attempt in ("fresh", "remembered"):
            word, claims = verdict(verifier, token)
            assert word == case["verdict"], word
            if claims is not None:
                told = case["claims"]
                said = {
                    "client_id": claims.client_id, "sub": claims.subject, "scopes": list(claims.scopes),
                    "aud": list(claims.audience), "jti": claims.jti, "epoch": claims.epoch, "high_risk": claims.high_risk,
                }  # fmt: skip
                assert said == told, said

    run_all("tokens.json", run_case)


# --- errors.json -----------------------------------------------------------------------------------------------------


def test_every_error_is_told_by_its_type() -> None:
    secret = vectors("errors.json")["secret"]

    def run_case(case: Case, _: dict[str, Any]) -> None:
        answer = response(case["answer"])
        error = _answers.read(answer.status_code, answer.headers, answer.content, 1_800_000_000, secret)
        assert type(error).__name__ == case["error"], error
        assert getattr(error, "retry_after", None) == case["retry_after"]
        resets_at = getattr(error, "resets_at", None)
        assert (resets_at.timestamp() - 1_800_000_000 if resets_at else None) == case["resets_in"]
        told = str(error) + repr(error) + repr(vars(error))
        assert secret not in told
        assert quote_plus(secret) not in told
        assert len(str(error)) <= 400
        assert str(error).isprintable()

    run_all("errors.json", run_case)


# --- token_source.json -----------------------------------------------------------------------------------------------


class Endpoint:
    """The token endpoint of a case."""

    def __init__(self) -> None:
        self.step: Any = None
        self.unexpected = 0
        self.server = Server(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.step is None:
            self.unexpected += 1
            raise httpx.ConnectError("not expected")
        if self.step == "unreachable":
            raise httpx.ConnectError("unreachable")
        if "token" in self.step:
            return grant(self.step["token"], self.step["expires_in"])
        return response(self.step)


class ThreadedSource:
    def __init__(self, endpoint: Endpoint, clock: FakeClock) -> None:
        self.client = Client("https://auth.example", "reporter", "s3cret", http=endpoint.server.http(), clock=clock)

    def ask(self, key: Any, callers: int) -> list[Any]:
        barrier = threading.Barrier(callers)

        def one(_: int) -> Any:
            barrier.wait()
            try:
                return self.client.token(**key)
            except SealwrightError as error:
                return error

        with ThreadPoolExecutor(callers) as pool:
            outcomes = list(pool.map(one, range(callers)))
        until(lambda: all(entry.flight is None for entry in self.client._entries.values()))
        return outcomes

    def replace(self, token: str, key: Any) -> Any:
        try:
            return self.client.replace(token, **key)
        except SealwrightError as error:
            return error


class AsyncSource:
    def __init__(self, endpoint: Endpoint, clock: FakeClock) -> None:
        self.client = AsyncClient(
            "https://auth.example", "reporter", "s3cret", http=endpoint.server.async_http(), clock=clock
        )

    def ask(self, key: Any, callers: int) -> list[Any]:
        async def all_of_them() -> list[Any]:
            asked = [self.client.token(**key) for _ in range(callers)]
            outcomes: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
            while any(entry.flight is not None for entry in self.client._entries.values()):
                await asyncio.sleep(0)
            return outcomes

        return run(all_of_them())

    def replace(self, token: str, key: Any) -> Any:
        async def one() -> Any:
            try:
                return await self.client.replace(token, **key)
            except SealwrightError as error:
                return error

        return run(one())


@pytest.mark.parametrize("kind", [ThreadedSource, AsyncSource])
def test_every_script_of_clock_and_cache(kind: type[ThreadedSource] | type[AsyncSource]) -> None:
    def run_case(case: Case, document: dict[str, Any]) -> None:
        clock, endpoint = FakeClock(document["now"]), Endpoint()
        source = kind(endpoint, clock)
        for number, step in enumerate(case["steps"]):
            if "advance" in step:
                clock.advance(step["advance"])
                continue
            if "step" in step:
                clock.step(step["step"])
                continue
            endpoint.step = step.get("server")
            key = step["token"]
            if "rejected" in step:
                outcomes = [source.replace(step["rejected"], key)]
            else:
                outcomes = source.ask(key, step.get("callers", 1))
            for outcome in outcomes:
                check_outcome(number, step, outcome, clock)
            assert endpoint.unexpected == 0, number
            assert len(endpoint.server.requests) == step["requests"], (number, len(endpoint.server.requests))

    run_all("token_source.json", run_case)


# --- credentials.json ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_source_of_credentials(kind: type[Client] | type[AsyncClient], tmp_path: Path) -> None:
    def run_case(case: Case, document: dict[str, Any]) -> None:
        folder = tmp_path / str(document["cases"].index(case))
        folder.mkdir()

        def placed(values: dict[str, str]) -> dict[str, str]:
            return {name: value.replace("file:", f"{folder}/") for name, value in values.items()}

        given, environment = placed(case["given"]), placed(case["environment"])
        if case.get("refused"):
            with pytest.raises(ConfigurationError):
                kind(ISSUER, environment=environment, **given)  # type: ignore[arg-type]
            return
        server = Server(lambda _: grant("t"))
        http: Any = server.http() if kind is Client else server.async_http()
        client = kind(ISSUER, environment=environment, http=http, clock=FakeClock(), **given)  # type: ignore[arg-type]
        for number, step in enumerate(case["steps"]):
            for name, text in step["files"].items():
                file = folder / name
                file.unlink() if text is None else file.write_bytes(text.encode())
            scope, before = f"step:{number}", len(server.requests)
            try:
                asked = client.token(scope=scope)
                if not isinstance(asked, str):
                    run(asked)
            except SealwrightError:
                assert step["sends"] is None, number
                assert len(server.requests) == before, number
                continue
            form = dict(parse_qsl(server.requests[-1].content.decode()))
            assert form == {"grant_type": "client_credentials", "scope": scope, **step["sends"]}, number

    run_all("credentials.json", run_case)


def check_outcome(number: int, step: Case, outcome: Any, clock: FakeClock) -> None:
    if "raises" in step:
        assert type(outcome).__name__ == step["raises"], (number, outcome)
        if "retry_after" in step:
            assert outcome.retry_after == pytest.approx(step["retry_after"]), number
        if "resets_in" in step:
            assert outcome.resets_at.timestamp() - clock.now() == pytest.approx(step["resets_in"]), number
        return
    expected = step["returns"]
    assert outcome in (expected if isinstance(expected, list) else [expected]), (number, outcome)


# --- feed.json -------------------------------------------------------------------------------------------------------


class Feed:
    """The server of a case: one answer for the next poll."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.step: Any = None
        self.asked: httpx.Request | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked = request
        self.clock.advance(self.step.get("took", 0))
        held = "held" in self.step and "wait" in request.url.params
        answer: Answer | str = self.step["held" if held else "answer"]
        if answer == "unreachable":
            raise httpx.ConnectError("unreachable")
        if answer == "timeout":
            timeout = request.extensions["timeout"]["read"]
            assert timeout == float(request.url.params.get("wait", "0")) + 5
            raise httpx.ReadTimeout("timeout")
        assert isinstance(answer, dict)
        return response(answer)


@both_verifiers
def test_every_sequence_of_the_feed(kind: Kind, tmp_path: Path) -> None:
    number = 0

    def run_case(case: Case, document: dict[str, Any]) -> None:
        nonlocal number
        number += 1
        clock = FakeClock(document["now"])
        feed = Feed(clock)
        server = publisher(document, feed)
        options = dict(case["verifier"])
        if "stale_after" in options:
            options["stale_after"] = tuple(options["stale_after"])
        if case["cache"]:
            options["cache"] = tmp_path / f"{number}.list"
        verifier = made(kind, server, document, clock, **options)
        answered_at = due = clock.monotonic()
        for at, step in enumerate(case["steps"]):
            if "advance" in step:
                clock.advance(step["advance"])
            elif "step" in step:
                clock.step(step["step"])
            elif "damage" in step:
                data = options["cache"].read_bytes()
                options["cache"].write_bytes(data[: len(data) // 2])
            elif "restart" in step:
                verifier = made(kind, server, document, clock, **options)
                answered_at = due = clock.monotonic()
            elif "answer" in step:
                clock.advance(max(0.0, due - clock.monotonic()))
                waited = clock.monotonic() - answered_at
                feed.step = step
                verifier.poll()
                assert feed.asked is not None
                params = feed.asked.url.params
                for name, value in step.get("asked", {}).items():
                    assert params.get(name) == value, (at, name, params)
                if "waited" in step:
                    least, most = step["waited"]
                    assert least <= waited <= most, (at, waited)
                answered_at = clock.monotonic()
                due = answered_at + verifier._core.feed.delay
            else:
                for name, word in step["expect"].items():
                    said, _ = verdict(verifier, document["tokens"][name])
                    assert said == word, (at, name, said)
                assert verifier.version == step["version"], (at, verifier.version)

    run_all("feed.json", run_case)


# --- keys.json -------------------------------------------------------------------------------------------------------


class Published:
    """The issuer of a case, whose keys are what its steps say."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.what: Any = []
        self.then: Any = None
        self.fetches = 0
        self._document = document
        self.server = Server(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        issuer = self._document["issuer"]
        if request.url.path == "/.well-known/oauth-authorization-server":
            told = {"jwks_uri": f"{issuer}/keys", "sealwright_revocation_list": f"{issuer}/feed"}
            return httpx.Response(200, json={"issuer": issuer, **told})
        if request.url.path == "/feed":
            return httpx.Response(200, json=EMPTY)
        assert request.url.path == "/keys"
        self.fetches += 1
        what = self.what
        if self.then is not None:
            self.what, self.then = self.then, None
        if what == "unreachable":
            raise httpx.ConnectError("unreachable")
        if what == "page":
            return httpx.Response(200, text="<html></html>")
        return httpx.Response(200, json={"keys": [self._document["jwks"][name] for name in what]})


@both_verifiers
def test_every_sequence_of_keys(kind: Kind) -> None:
    def run_case(case: Case, document: dict[str, Any]) -> None:
        clock, issuer = FakeClock(document["now"]), Published(document)
        verifier = made(kind, issuer.server, document, clock, when_stale="accept")
        verifier.poll()
        for at, step in enumerate(case["steps"]):
            if "publish" in step:
                issuer.what, issuer.then = step["publish"], step.get("then")
            elif "advance" in step:
                clock.advance(step["advance"])
            elif "step" in step:
                clock.step(step["step"])
            else:
                for name in step["verify"]:
                    said, _ = verdict(verifier, document["tokens"][name])
                    assert said == step["verdict"], (at, name, said)
                assert issuer.fetches == step["fetches"], (at, issuer.fetches)

    run_all("keys.json", run_case)
