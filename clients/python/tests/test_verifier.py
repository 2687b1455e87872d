"""The verifier: its keys, its thread and task, its file, what it remembers and what it costs to forge."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import os
import pickle
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit import AUDIENCE, ISSUER, FakeClock, Server, grant, run, until, vectors
from sealwright import (
    AsyncVerifier,
    Claims,
    Client,
    ConfigurationError,
    InsufficientScope,
    InvalidToken,
    Unavailable,
    Verifier,
    _feed,
    _keys,
)
from test_vectors import EMPTY, StillAsyncVerifier, StillVerifier, both_verifiers, made, publisher, verdict

TOKENS = vectors("tokens.json")
BY_NAME = {case["name"]: case["token"] for case in TOKENS["cases"]}
GOOD, SECOND, UNKNOWN = BY_NAME["a genuine token"], BY_NAME["a token of the other key"], BY_NAME["kid unknown"]
HIGH = BY_NAME["high risk"]
FEED = vectors("feed.json")


class Issuer:
    """An issuer whose documents a test changes."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.jwks: Any = TOKENS["jwks"]
        self.feed: Any = EMPTY
        self.down = False
        self.metadata: Any = {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/keys",
            "sealwright_revocation_list": f"{ISSUER}/feed",
        }
        self.server = Server(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        path = request.url.path
        if path == "/.well-known/oauth-authorization-server":
            return httpx.Response(200, json=self.metadata)
        if path in ("/keys", "/.well-known/jwks.json"):
            return httpx.Response(200, json=self.jwks)
        if path in ("/feed", "/api/v1/token/revoked"):
            return httpx.Response(200, json=self.feed)
        return httpx.Response(404)

    def count(self, path: str) -> int:
        return sum(request.url.path == path for request in self.server.requests)


def scene(kind: Any = StillVerifier, **options: Any) -> tuple[Issuer, Any, FakeClock]:
    clock = FakeClock()
    issuer = Issuer(clock)
    return issuer, made(kind, issuer.server, TOKENS, clock, **options), clock


# --- keys ------------------------------------------------------------------------------------------------------------


@both_verifiers
def test_a_flood_of_unknown_kids_causes_two_fetches_in_30_s(kind: Any) -> None:
    issuer, verifier, clock = scene(kind)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    assert issuer.count("/keys") == 1
    for second in range(61):
        for _ in range(20):
            assert verdict(verifier, UNKNOWN)[0] == "key"
        assert verdict(verifier, GOOD)[0] == "accept"
        clock.advance(1)
        assert issuer.count("/keys") <= 3 + second // 30 * 2
    assert issuer.count("/keys") == 7


@both_verifiers
def test_the_second_look_at_the_keys_comes_after_a_pause(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keys, "SECOND_LOOK_AFTER", 0.1)
    issuer, verifier, _ = scene(kind)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    began = time.monotonic()
    assert verdict(verifier, UNKNOWN)[0] == "key"
    assert time.monotonic() - began >= 0.1
    assert issuer.count("/keys") == 3


@both_verifiers
def test_a_kid_that_cannot_be_the_issuers_causes_no_fetch(kind: Any) -> None:
    issuer, verifier, _ = scene(kind)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    for name in ("kid of a path", "kid of SQL", "kid empty", "kid with a NUL", "no kid"):
        assert verdict(verifier, BY_NAME[name])[0] == "key"
    assert issuer.count("/keys") == 1


@both_verifiers
def test_a_new_key_is_found_with_its_first_token(kind: Any) -> None:
    issuer, verifier, _ = scene(kind)
    both = issuer.jwks["keys"]
    issuer.jwks = {"keys": both[:1]}
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    issuer.jwks = {"keys": both}
    assert verdict(verifier, SECOND)[0] == "accept"
    assert issuer.count("/keys") == 2


@both_verifiers
def test_keys_are_kept_through_an_outage_and_an_unknown_one_is_no_verdict_in_it(kind: Any) -> None:
    issuer, verifier, clock = scene(kind, when_stale="accept")
    issuer.jwks = {"keys": TOKENS["jwks"]["keys"][:1]}
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    issuer.down = True
    for _ in range(5):
        clock.advance(60)
        verifier.poll()
        assert verdict(verifier, GOOD)[0] == "accept"
        assert verdict(verifier, SECOND)[0] == "unavailable"
    issuer.down = False
    issuer.jwks = TOKENS["jwks"]
    clock.advance(31)
    assert verdict(verifier, SECOND)[0] == "accept"


@both_verifiers
def test_without_keys_nothing_is_refused_as_worthless(kind: Any) -> None:
    issuer, verifier, clock = scene(kind)
    issuer.down = True
    assert verdict(verifier, GOOD)[0] == "unavailable"
    assert verdict(verifier, GOOD)[0] == "unavailable"
    requests = len(issuer.server.requests)
    issuer.down = False
    clock.advance(1)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    # The second try within a second asked nobody.
    assert requests == 1


@both_verifiers
def test_a_key_that_is_no_longer_published_opens_nothing_that_was_remembered(kind: Any) -> None:
    issuer, verifier, clock = scene(kind)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    issuer.jwks = {"keys": issuer.jwks["keys"][1:]}
    clock.advance(301)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "key"


@both_verifiers
@pytest.mark.parametrize(
    "jwks", [{"keys": []}, {"keys": "none"}, [], {"keys": [{"kty": "EC"}]}, {}, {"keys": [1, None]}]
)
def test_a_document_without_a_usable_key_replaces_nothing(kind: Any, jwks: Any) -> None:
    issuer, verifier, clock = scene(kind)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    issuer.jwks = jwks
    clock.advance(301)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"


def test_other_and_weak_keys_of_a_document_are_passed_over() -> None:
    issuer, verifier, _ = scene()
    good = issuer.jwks["keys"][0]
    weak = {**good, "n": good["n"][:170]}
    issuer.jwks = {
        "keys": [
            {"kty": "EC", "kid": good["kid"], "crv": "P-256", "x": "AA", "y": "AA"},
            {**good, "use": "enc"},
            {**good, "alg": "RS512"},
            {**good, "n": 7},
            weak,
            "text",
            {**good, "d": "AQAB"},
        ]
    }
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    issuer.jwks = {"keys": [weak]}
    assert verdict(scene_of(issuer), GOOD)[0] == "unavailable"


def scene_of(issuer: Issuer) -> Any:
    return made(StillVerifier, issuer.server, TOKENS, issuer.clock)


@pytest.mark.parametrize(
    "changed",
    [{"issuer": "https://evil.example"}, {"issuer": f"{ISSUER}/"}, {"jwks_uri": None}, {"jwks_uri": "file:///keys"}],
)
def test_metadata_of_another_issuer_is_not_followed(changed: dict[str, Any]) -> None:
    issuer, verifier, _ = scene()
    issuer.metadata.update(changed)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "unavailable"
    assert issuer.count("/keys") == 0


def test_an_issuer_with_a_path_has_its_metadata_where_rfc_8414_says() -> None:
    verifier = StillVerifier("https://auth.example/tenant", AUDIENCE)
    urls = [ask.url for ask in verifier._core.metadata_asks()]
    assert urls == [
        "https://auth.example/.well-known/oauth-authorization-server/tenant",
        "https://auth.example/tenant/.well-known/openid-configuration",
    ]


def test_a_server_may_be_reached_elsewhere() -> None:
    issuer, verifier, _ = scene(base_url="http://sealwright:3000/")
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    assert {request.url.host for request in issuer.server.requests} == {"sealwright"}


# --- what is remembered ----------------------------------------------------------------------------------------------


@both_verifiers
def test_a_remembered_token_is_refused_once_it_is_revoked_or_expired(kind: Any) -> None:
    issuer, verifier, clock = scene(kind)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    claims = verdict(verifier, GOOD)[1]
    issuer.feed = {**EMPTY, "version": 2, "revoked_tokens": [{"jti": claims.jti, "exp": claims.expires_at}]}
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "revoked"
    clock.advance(600)
    assert verdict(verifier, GOOD)[0] == "expired"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from sealwright import _core

    monkeypatch.setattr(_core, "REMEMBERED", 8)
    _, verifier, _ = scene()
    verifier.poll()
    accepted = [case["token"] for case in TOKENS["cases"] if case["verdict"] == "accept" and "at" not in case]
    for token in accepted * 3:
        assert verdict(verifier, token)[0] == "accept"
        assert len(verifier._core._seen) <= 8


def test_claims_cannot_be_changed() -> None:
    _, verifier, _ = scene()
    verifier.poll()
    claims = verifier.verify(GOOD)
    assert claims["client_id"] == claims.client_id == "reporter"
    assert dict(claims)["jti"] == claims.jti
    with pytest.raises(TypeError):
        claims._claims["scope"] = "admin"
    assert "db:read" in repr(claims)


@both_verifiers
def test_scopes_can_be_demanded(kind: Any) -> None:
    _, verifier, _ = scene(kind)
    verifier.poll()

    def verify(scope: Any) -> Any:
        outcome = verifier.verify(GOOD, scope=scope)
        return run(outcome) if asyncio.iscoroutine(outcome) else outcome

    assert verify("db:read").client_id == "reporter"
    with pytest.raises(InsufficientScope, match="lacks db:write") as caught:
        verify(["db:read", "db:write"])
    assert (caught.value.required, caught.value.missing) == (("db:read", "db:write"), ("db:write",))
    with pytest.raises(InsufficientScope):
        verify("db")
    assert pickle.loads(pickle.dumps(caught.value)).missing == ("db:write",)


def test_a_megabyte_is_refused_before_anything_is_made_of_it() -> None:
    _, verifier, _ = scene()
    verifier.poll()
    token = "." * 1_000_000
    began = time.perf_counter()
    for _ in range(100):
        with pytest.raises(InvalidToken):
            verifier.verify(token)
    # Generous: it takes microseconds.
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("token", [None, 7, b"a.b.c", ["a"]])
def test_what_is_no_text_is_malformed(token: Any) -> None:
    _, verifier, _ = scene()
    with pytest.raises(InvalidToken, match="too long"):
        verifier.verify(token)


# --- the feed --------------------------------------------------------------------------------------------------------


def test_an_answer_to_an_earlier_request_is_dropped() -> None:
    feed = _feed.Feed(FakeClock())
    early, late = feed.poll(), feed.poll()
    dead = {**EMPTY, "version": 2, "revoked_tokens": [{"jti": "a", "exp": 1_900_000_000}]}
    assert feed.answered(late, 200, {}, json.dumps(dead).encode())
    assert not feed.answered(early, 200, {}, json.dumps({**EMPTY, "version": 1}).encode())
    assert feed.version == 2
    feed.failed(early)
    assert feed.delay <= 1


def test_a_proxy_that_cannot_hold_a_poll_is_polled_without() -> None:
    clock = FakeClock()
    feed = _feed.Feed(clock)
    held = []
    for _ in range(40):
        poll = feed.poll()
        held.append("wait" in poll.params)
        if held[-1]:
            clock.advance(poll.timeout)
            feed.failed(poll)
        else:
            body = {**EMPTY, "since": poll.since}
            assert feed.answered(poll, 200, {}, json.dumps(body).encode())
        clock.advance(feed.delay)
        silence = feed.silence
        assert silence is not None
        # High-risk tokens are good throughout.
        assert silence < 60
    # Twice in turn, and then five minutes without.
    assert held[:5] == [False, True, False, True, False]
    assert not any(held[5:20])
    assert any(held[20:])


def test_an_outage_does_not_end_the_long_poll() -> None:
    clock = FakeClock()
    feed = _feed.Feed(clock)
    for _ in range(5):
        assert feed.answered(feed.poll(), 200, {}, json.dumps({**EMPTY, "since": feed.version}).encode())
        for _ in range(10):
            feed.failed(feed.poll())
            clock.advance(feed.delay)
        poll = feed.poll()
        assert "wait" not in poll.params
        assert feed.answered(poll, 200, {}, json.dumps({**EMPTY, "since": 1}).encode())
        assert feed.delay < 1
        poll = feed.poll()
        assert "wait" in poll.params
        clock.advance(25)
        assert feed.answered(poll, 200, {}, json.dumps({**EMPTY, "since": 1}).encode())


def test_a_body_that_is_coded_is_read_and_one_that_is_cut_is_a_failure() -> None:
    clock = FakeClock()
    bodies: Iterator[bytes] = iter(
        [gzip.compress(json.dumps(EMPTY).encode()), gzip.compress(json.dumps(EMPTY).encode())[:-12]]
    )
    server = publisher(
        TOKENS, lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=next(bodies))
    )
    verifier = made(StillVerifier, server, TOKENS, clock)
    verifier.poll()
    assert verifier.version == 1
    clock.advance(61)
    verifier.poll()
    assert verdict(verifier, HIGH)[0] == "unavailable"


def named(jti: str) -> Claims:
    return Claims(
        {"iss": ISSUER, "sub": "agent", "client_id": "agent", "jti": jti, "epoch": 1},
        (AUDIENCE,),
        1_800_000_000,
        2**40,
        0,
    )


def test_a_month_of_outages_rotations_and_clock_steps_refuses_no_good_token_and_leaves_memory_flat() -> None:
    clock = FakeClock()
    feed = _feed.Feed(clock)
    sizes = []
    version = 0
    minutes = 30 * 24 * 60
    revoked: dict[str, int] = {}
    for minute in range(minutes):
        clock.advance(60)
        true_now = 1_800_000_000 + 60 * (minute + 1)
        if minute % 5_003 == 5_000:
            clock.step(3_600)
        if minute % 5_003 == 1:
            clock.step(true_now - clock.now())
        revoked = {jti: exp for jti, exp in revoked.items() if exp > true_now}
        if minute % 3 == 0:
            version += 1
            revoked[f"jti-{version}"] = true_now + 600
        poll = feed.poll()
        if minute % 1_000 < 10:
            feed.failed(poll)
            continue
        since = poll.since
        fresh = (
            revoked
            if since is None
            else {f"jti-{n}": revoked[f"jti-{n}"] for n in range(int(since) + 1, version + 1) if f"jti-{n}" in revoked}
        )
        body = {
            **EMPTY,
            "since": since,
            "version": version,
            "revoked_tokens": [{"jti": j, "exp": e} for j, e in fresh.items()],
        }
        feed.answered(poll, 200, {}, json.dumps(body).encode())
        feed.check_fresh(int(clock.now()) + 600, high_risk=True)
        assert not feed.is_revoked(named("a good one"), "agent", "kid")
        if revoked:
            assert all(feed.is_revoked(named(jti), "agent", "kid") for jti, exp in revoked.items() if exp > clock.now())
        sizes.append((len(feed), len(feed._ends)))
    later = sizes[len(sizes) // 2 :]
    assert max(size for size, _ in later) <= 10
    assert max(size for _, size in later) <= 10


@both_verifiers
def test_it_says_what_it_enforces_and_who_it_is(kind: Any) -> None:
    issuer, verifier, _ = scene(kind, name="billing api")
    verifier.poll()
    assert "sealwright-verifier" not in issuer.server.requests[-1].headers
    issuer.feed = {**EMPTY, "since": 1, "version": 2}
    verifier.poll()
    verifier.poll()
    told = [
        request.headers.get("sealwright-verifier") for request in issuer.server.requests if request.url.path == "/feed"
    ]
    instance = verifier._core._who
    assert told == [None, f"{instance}; version=1", f"{instance}; version=2"]
    assert instance.startswith("billing-api/")
    assert all("authorization" not in request.headers for request in issuer.server.requests)


def test_with_a_client_it_says_so_as_an_agent_and_goes_on_without() -> None:
    clock = FakeClock()
    tokens = Server(lambda _: grant("t1"))
    client = Client(ISSUER, "billing", "s", http=tokens.http(), clock=clock)
    issuer = Issuer(clock)
    verifier = made(StillVerifier, issuer.server, TOKENS, clock, client=client)
    verifier.poll()
    verifier.poll()
    assert issuer.server.requests[-1].headers["authorization"] == "Bearer t1"
    assert b"audience=https%3A%2F%2Fauth.example" in tokens.requests[0].content
    for status, error, reports in [(401, "invalid_client", True), (503, "temporarily_unavailable", False)]:
        refusing = Server(lambda _, status=status, error=error: httpx.Response(status, json={"error": error}))  # type: ignore[misc]
        broken = Client(ISSUER, "billing", "s", http=refusing.http(), clock=clock)
        verifier = made(StillVerifier, issuer.server, TOKENS, clock, client=broken)
        verifier.poll()
        verifier.poll()
        assert "authorization" not in issuer.server.requests[-1].headers
        assert ("sealwright-verifier" in issuer.server.requests[-1].headers) is reports


def test_a_token_that_is_late_delays_no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealwright.verifier.REPORT_PATIENCE", 0.05)
    clock, come = FakeClock(), threading.Event()

    def late(_: httpx.Request) -> httpx.Response:
        assert come.wait(20)
        return grant("t1")

    client = Client(ISSUER, "billing", "s", http=Server(late).http(), clock=clock)
    issuer = Issuer(clock)
    verifier = made(StillVerifier, issuer.server, TOKENS, clock, client=client)
    verifier.poll()
    verifier.poll()
    assert "sealwright-verifier" not in issuer.server.requests[-1].headers
    come.set()
    assert client.token(audience=ISSUER) == "t1"
    verifier.poll()
    assert issuer.server.requests[-1].headers["authorization"] == "Bearer t1"
    assert "sealwright-verifier" in issuer.server.requests[-1].headers


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_file_is_its_users_alone_and_another_issuers_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "list"
    issuer, verifier, clock = scene(cache=path)
    issuer.feed = {**EMPTY, "version": 7}
    verifier.poll()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["list"]
    assert scene(cache=path)[1].version == 7
    other = StillVerifier("https://other.example", AUDIENCE, cache=path, clock=clock)
    assert other.version is None


@pytest.mark.parametrize("content", [b"", b"\n\n", b"x" * 1000, b"\xff\n\xff\n\xff", b"00000000000000000000\nx\n{}"])
def test_a_file_that_is_none_is_not_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    _, verifier, _ = scene(cache=path)
    assert verifier.version is None
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"


def test_every_damage_of_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "list"
    issuer, verifier, _ = scene(cache=path)
    issuer.feed = {**EMPTY, "version": 7, "revoked_tokens": [{"jti": "a", "exp": 1_800_086_400}]}
    verifier.poll()
    data = path.read_bytes()
    for at in range(20, len(data) - 1, 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert scene(cache=path)[1].version is None
    for size in range(0, len(data) - 1, 11):
        path.write_bytes(data[:size])
        assert scene(cache=path)[1].version is None


def test_a_folder_that_is_gone_is_told_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issuer, verifier, _ = scene(cache=tmp_path / "gone" / "list")
    for version in range(1, 4):
        issuer.feed = {**EMPTY, "version": version}
        verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    assert sum("cannot be kept" in record.getMessage() for record in caplog.records) == 1


# --- threads and tasks -----------------------------------------------------------------------------------------------


class Held:
    """An issuer whose feed holds each poll after the first until there is news."""

    def __init__(self) -> None:
        self.news = threading.Event()
        self.gone = threading.Event()
        self.polls = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.polls += 1
        if "wait" not in request.url.params:
            return httpx.Response(200, json=EMPTY)
        while not self.news.wait(0.01):
            if self.gone.is_set():
                raise httpx.ReadError("gone")
        dead = [{"jti": "0199f3a0-0000-7000-8000-000000000001", "exp": 1_900_000_000}]
        return httpx.Response(200, json={**EMPTY, "since": 1, "version": 2, "revoked_tokens": dead})


def test_a_thread_follows_the_list_from_the_first_verify_on() -> None:
    held, clock = Held(), FakeClock()
    server = publisher(TOKENS, held.answer)
    with Verifier(ISSUER, AUDIENCE, http=server.http(), clock=clock) as verifier:
        assert verifier.verify(GOOD).client_id == "reporter"
        until(lambda: held.polls == 2)
        held.news.set()
        until(lambda: verifier.version == 2)
        with pytest.raises(InvalidToken, match="revoked"):
            verifier.verify(GOOD)
    held.gone.set()


def test_start_tells_what_cannot_be_had() -> None:
    server = Server(lambda _: httpx.Response(503))
    with Verifier(ISSUER, AUDIENCE, http=server.http()) as verifier, pytest.raises(Unavailable):
        verifier.start()


def test_a_verifier_that_nobody_holds_ends_its_thread() -> None:
    held = Held()
    verifier: Verifier | None = Verifier(
        ISSUER, AUDIENCE, http=publisher(TOKENS, held.answer).http(), clock=FakeClock()
    )
    assert verifier is not None
    verifier.start()
    before = {thread for thread in threading.enumerate() if thread.name == "sealwright-feed"}
    assert before
    verifier = None
    gc.collect()
    held.gone.set()
    until(lambda: not any(thread.is_alive() for thread in before))


def test_a_hundred_threads_fetch_the_keys_once() -> None:
    issuer = Issuer(FakeClock())
    with Verifier(ISSUER, AUDIENCE, http=issuer.server.http(), clock=issuer.clock, wait=0) as verifier:
        outcomes: list[str] = []
        threads = [threading.Thread(target=lambda: outcomes.append(verifier.verify(GOOD).jti)) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 100
    assert issuer.count("/keys") == 1


def test_a_task_follows_the_list_and_ends_with_it() -> None:
    async def scenario() -> None:
        news = asyncio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path != "/feed" or "wait" not in request.url.params:
                return publisher(TOKENS, lambda _: httpx.Response(200, json=EMPTY))(request)
            await news.wait()
            dead = [{"jti": "0199f3a0-0000-7000-8000-000000000001", "exp": 1_900_000_000}]
            return httpx.Response(
                200, json={**EMPTY, "since": request.url.params["since"] and 1, "version": 2, "revoked_tokens": dead}
            )

        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with AsyncVerifier(ISSUER, AUDIENCE, http=http, clock=FakeClock()) as verifier:
            claims = await asyncio.gather(*[verifier.verify(GOOD) for _ in range(100)])
            assert {one.client_id for one in claims} == {"reporter"}
            news.set()
            while verifier.version != 2:
                await asyncio.sleep(0.01)
            with pytest.raises(InvalidToken, match="revoked"):
                await verifier.verify(GOOD)
        assert [task.get_name() for task in asyncio.all_tasks() if "sealwright" in task.get_name()] == []

    run(scenario())


def test_a_cancelled_caller_does_not_cancel_the_fetch_of_the_keys() -> None:
    async def scenario() -> None:
        gate, fetches = asyncio.Event(), 0

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal fetches
            if request.url.path == "/keys":
                fetches += 1
                await gate.wait()
            return publisher(TOKENS, lambda _: httpx.Response(200, json=EMPTY))(request)

        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with AsyncVerifier(ISSUER, AUDIENCE, http=http, clock=FakeClock(), wait=0) as verifier:
            first, second = (asyncio.create_task(verifier.verify(GOOD)) for _ in range(2))
            await asyncio.sleep(0.02)
            first.cancel()
            await asyncio.sleep(0)
            gate.set()
            assert (await second).client_id == "reporter"
            assert first.cancelled()
            assert fetches == 1

    run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_follows_the_list_itself() -> None:
    issuer = Issuer(FakeClock())
    verifier = Verifier(ISSUER, AUDIENCE, http=issuer.server.http(), clock=issuer.clock, wait=0)
    verifier.verify(GOOD)
    child = os.fork()
    if child == 0:
        accepted = verifier.verify(GOOD).client_id == "reporter"
        alive = any(thread.name == "sealwright-feed" for thread in threading.enumerate())
        os._exit(0 if accepted and alive else 1)
    _, status = os.waitpid(child, 0)
    verifier.close()
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", [Verifier, AsyncVerifier])
def test_the_processes_of_a_fork_report_under_names_of_their_own(kind: type[Verifier] | type[AsyncVerifier]) -> None:
    issuer = Issuer(FakeClock())
    http = issuer.server.http() if kind is Verifier else issuer.server.async_http()
    verifier: Any = kind(ISSUER, AUDIENCE, http=http, clock=issuer.clock, wait=0)  # type: ignore[arg-type]

    async def judged() -> None:
        await verifier.verify(GOOD)

    reader, writer = os.pipe()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            if kind is Verifier:
                verifier.verify(GOOD)
            else:
                run(judged())
            os.write(writer, f"{verifier._core._who}\n".encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as names:
        told = [*names.read().split(), verifier._core._who]
    assert len(set(told)) == 3, told


def test_ever_new_event_loops_leave_nothing_behind() -> None:
    issuer = Issuer(FakeClock())
    pollers: weakref.WeakSet[Any] = weakref.WeakSet()
    verifier = AsyncVerifier(ISSUER, AUDIENCE, http=issuer.server.async_http(), clock=issuer.clock, wait=0)

    async def judged() -> None:
        await verifier.verify(GOOD)
        pollers.add(verifier._poller)

    for _ in range(20):
        run(judged())
    gc.collect()
    assert len(pollers) == 1


def test_nothing_in_claims_can_be_changed() -> None:
    claims = Claims(
        {"iss": "i", "sub": "s", "client_id": "c", "jti": "j", "epoch": 1, "scope": "a", "later": {"list": [1, {"x": 2}]}},
        ("a",), 1, 2, 0,
    )  # fmt: skip
    with pytest.raises(AttributeError):
        claims.scopes = ("a", "b")
    with pytest.raises(AttributeError):
        del claims.scopes
    with pytest.raises(TypeError):
        claims["later"]["list"][1]["x"] = 3
    assert claims["later"]["list"] == (1, {"x": 2})
    assert claims.scopes == ("a",)


# --- the rest --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("auth.example", AUDIENCE), {}),
        ((ISSUER, ""), {}),
        ((ISSUER, AUDIENCE), {"wait": 26}),
        ((ISSUER, AUDIENCE), {"when_stale": "no"}),
    ],
)
def test_a_wrong_set_up_is_told_at_once(arguments: tuple[str, str], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Verifier(*arguments, **options)


@both_verifiers
def test_nothing_shows_a_token(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        _, verifier, _ = scene(kind)
        verifier.poll()
        verdict(verifier, GOOD)
        verdict(verifier, UNKNOWN)
    core = verifier._core
    shown = [repr(verifier), str(vars(verifier)), str(vars(core)), str(core._seen), caplog.text]
    assert not any("eyJ" in text for text in shown)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(verifier)


def test_both_kinds_have_the_same_words() -> None:
    words = [{name for name in vars(kind) if not name.startswith("_")} for kind in (Verifier, AsyncVerifier)]
    assert words[0] - {"close"} == words[1] - {"aclose"}
    assert StillAsyncVerifier.__mro__[1] is AsyncVerifier
