"""The token source: threads, tasks, forks, adapters, credentials, and what it never shows."""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import os
import pickle
import pprint
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from kit import AUDIENCE, ISSUER, FakeClock, Server, grant, run, until
from sealwright import (
    AgentSuspended,
    AsyncClient,
    Client,
    ConfigurationError,
    InvalidClient,
    QuotaReached,
    RateLimited,
    Unavailable,
)
from sealwright._http import Ask, send, send_async
from sealwright.requests import BearerAuth

SECRET = "s3cret-0123456789"
ENVIRONMENT = {"SEALWRIGHT_URL": ISSUER, "SEALWRIGHT_CLIENT_ID": "reporter", "SEALWRIGHT_CLIENT_SECRET": SECRET}


def client_of(server: Server, clock: FakeClock | None = None) -> Client:
    return Client(ISSUER, "reporter", SECRET, http=server.http(), clock=clock or FakeClock())


def async_client_of(server: Server, clock: FakeClock | None = None) -> AsyncClient:
    return AsyncClient(ISSUER, "reporter", SECRET, http=server.async_http(), clock=clock or FakeClock())


def numbered() -> Server:
    def answer(_: httpx.Request) -> httpx.Response:
        return grant(f"t{len(server.requests)}")

    server = Server(answer)
    return server


def form_of(request: httpx.Request) -> dict[str, str]:
    return dict(httpx.QueryParams(request.content.decode()))


def test_a_request_is_what_the_server_expects() -> None:
    server = numbered()
    client = client_of(server)
    assert client.token(scope=["db:read", "db:write"], audience=AUDIENCE, resource="https://r.example") == "t1"
    request = server.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://auth.example/oauth/token")
    assert form_of(request) == {
        "grant_type": "client_credentials",
        "client_id": "reporter",
        "client_secret": SECRET,
        "scope": "db:read db:write",
        "audience": AUDIENCE,
        "resource": "https://r.example",
    }
    assert "authorization" not in request.headers
    assert request.headers["user-agent"].startswith("sealwright-python/")


def test_a_list_of_scopes_and_a_text_are_one_key() -> None:
    server = numbered()
    client = client_of(server)
    tokens = {client.token(scope=scope) for scope in ["a b", ["a", "b"], ("a", "b"), " a  b "]}
    assert tokens == {"t1"}


def test_a_thousand_threads_make_one_request_a_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        form = form_of(request)
        return grant(f"{form['scope']}@{form['audience']}")

    server = Server(answer)
    client = client_of(server)
    keys = [{"scope": scope, "audience": audience} for scope in "ab" for audience in "xy"] * 250
    with ThreadPoolExecutor(200) as pool:
        tokens = list(pool.map(lambda key: client.token(**key), keys))
    assert tokens == [f"{key['scope']}@{key['audience']}" for key in keys]
    assert len(server.requests) == 4


def test_a_thousand_tasks_make_one_request_a_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        form = form_of(request)
        return grant(f"{form['scope']}@{form['audience']}")

    server = Server(answer)
    client = async_client_of(server)
    keys = [{"scope": scope, "audience": audience} for scope in "ab" for audience in "xy"] * 250

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*[client.token(**key) for key in keys])

    assert run(all_of_them()) == [f"{key['scope']}@{key['audience']}" for key in keys]
    assert len(server.requests) == 4


def test_a_cancelled_caller_does_not_cancel_the_others() -> None:
    gate = asyncio.Event()
    sent = 0

    async def handle(_: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        await gate.wait()
        return grant("t1")

    async def scenario() -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
        client = AsyncClient(ISSUER, "reporter", SECRET, http=http, clock=FakeClock())
        first, second = (asyncio.create_task(client.token(scope="a")) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        assert await second == "t1"
        assert await client.token(scope="a") == "t1"
        assert sent == 1

    run(scenario())


def test_what_all_callers_left_is_kept_for_the_next() -> None:
    async def scenario() -> None:
        server = numbered()
        client = async_client_of(server)
        task = asyncio.create_task(client.token(scope="a"))
        await asyncio.sleep(0)
        task.cancel()
        while any(entry.flight for entry in client._entries.values()):
            await asyncio.sleep(0)
        assert await client.token(scope="a") == "t1"
        assert len(server.requests) == 1

    run(scenario())


def test_an_interrupted_thread_leaves_the_request_to_another() -> None:
    waits, interrupted = threading.Event(), threading.Event()

    def answer(_: httpx.Request) -> httpx.Response:
        if len(server.requests) == 1:
            waits.set()
            interrupted.wait()
            raise KeyboardInterrupt
        return grant("t2")

    server = Server(answer)
    client = client_of(server)
    outcomes: list[Any] = []

    def ask() -> None:
        try:
            outcomes.append(client.token(scope="a"))
        except KeyboardInterrupt:
            outcomes.append("interrupted")

    first = threading.Thread(target=ask)
    first.start()
    waits.wait()
    second = threading.Thread(target=ask)
    second.start()
    interrupted.set()
    first.join()
    second.join()
    assert sorted(outcomes) == ["interrupted", "t2"]


def test_one_client_serves_one_event_loop_after_the_other() -> None:
    server = numbered()
    clock = FakeClock()
    client = async_client_of(server, clock)
    assert run(client.token(scope="a")) == "t1"
    clock.advance(481)

    async def renew() -> str:
        # The loop ends while the renewal is under way.
        return await client.token(scope="a")

    assert run(renew()) == "t1"
    clock.advance(200)
    assert run(client.token(scope="a")) in ("t2", "t3")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_waits_for_no_thread_of_its_parent() -> None:
    answered = threading.Event()

    def answer(_: httpx.Request) -> httpx.Response:
        if os.getpid() == parent:
            answered.wait()
        return grant(f"of-{os.getpid()}")

    parent = os.getpid()
    client = client_of(Server(answer))
    thread = threading.Thread(target=lambda: client.token(scope="a"))
    thread.start()
    until(lambda: any(entry.flight for entry in client._entries.values()))
    child = os.fork()
    if child == 0:
        # Nothing but the exit code leaves the child.
        os._exit(0 if client.token(scope="a") == f"of-{os.getpid()}" else 1)
    deadline = time.monotonic() + 20
    status = 0
    done = 0
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not done:
        os.kill(child, 9)
        os.waitpid(child, 0)
    answered.set()
    thread.join()
    assert done
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.long
def test_many_audiences_do_not_grow_for_ever() -> None:
    server = numbered()
    clock = FakeClock()
    client = client_of(server, clock)
    for number in range(3_000):
        client.token(audience=f"https://{number}.example")
        clock.advance(60)
    assert len(client._entries) <= 600


# --- adapters --------------------------------------------------------------------------------------------------------


def service(good: str) -> tuple[Any, list[str]]:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        if request.headers["authorization"] == f"Bearer {good}":
            return httpx.Response(200, text=request.content.decode() or "rows")
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    return answer, seen


def test_httpx_sends_the_token_and_replaces_a_rejected_one_once() -> None:
    answer, seen = service("t2")
    client = client_of(numbered())
    with httpx.Client(transport=httpx.MockTransport(answer), auth=client.auth(scope="a")) as http:
        assert http.post("https://api.example/rows", content=b"body").text == "body"
        assert http.get("https://api.example/rows").text == "rows"
    assert seen == ["Bearer t1", "Bearer t2", "Bearer t2"]


def test_httpx_makes_no_loop_of_a_service_that_rejects_everything() -> None:
    answer, seen = service("none")
    server = numbered()
    with httpx.Client(transport=httpx.MockTransport(answer), auth=client_of(server).auth(scope="a")) as http:
        assert [http.get("https://api.example/rows").status_code for _ in range(5)] == [401] * 5
    assert seen == ["Bearer t1", "Bearer t2", "Bearer t2", "Bearer t2", "Bearer t2", "Bearer t2"]
    assert len(server.requests) == 2


def test_httpx_leaves_another_401_to_the_caller() -> None:
    server = numbered()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401, headers={"WWW-Authenticate": "Basic"})

    with httpx.Client(transport=httpx.MockTransport(answer), auth=client_of(server).auth()) as http:
        assert http.get("https://api.example/rows").status_code == 401
    assert len(server.requests) == 1


class Stream(httpx.BaseTransport):
    """Sends a body as it comes, as a network does."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        assert b"".join(request.stream)
        answer: httpx.Response = self.answer(httpx.Request(request.method, request.url, headers=request.headers))
        return answer


def test_a_body_that_was_read_is_not_sent_again() -> None:
    answer, seen = service("t2")
    client = client_of(numbered())
    with httpx.Client(transport=Stream(answer), auth=client.auth(scope="a")) as http:
        assert http.post("https://api.example/rows", content=iter([b"body"])).status_code == 401
    assert seen == ["Bearer t1"]


def test_async_httpx_does_the_same() -> None:
    async def scenario() -> None:
        answer, seen = service("t2")
        client = async_client_of(numbered())
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=client.auth(scope="a")) as http:
            assert (await http.get("https://api.example/rows")).text == "rows"
        assert seen == ["Bearer t1", "Bearer t2"]

    run(scenario())


def test_an_auth_of_the_wrong_kind_says_so() -> None:
    with (
        httpx.Client(transport=httpx.MockTransport(service("t1")[0])) as http,
        pytest.raises(RuntimeError, match="Client"),
    ):
        http.get("https://api.example/rows", auth=async_client_of(numbered()).auth())


def test_a_suspended_agent_is_told_through_the_adapter() -> None:
    told = {"error": {"code": "AUTH_AGENT_SUSPENDED"}, "error_description": "Agent is currently suspended."}

    def tokens(_: httpx.Request) -> httpx.Response:
        return grant("t1") if len(server.requests) == 1 else httpx.Response(403, json=told)

    server = Server(tokens)
    answer, _ = service("none")
    with (
        httpx.Client(transport=httpx.MockTransport(answer), auth=client_of(server).auth(scope="a")) as http,
        pytest.raises(AgentSuspended, match="suspended"),
    ):
        http.get("https://api.example/rows")


class Adapter(requests.adapters.HTTPAdapter):
    """A service for `requests`, in memory."""

    def __init__(self, good: str) -> None:
        super().__init__()
        self.good, self.seen, self.bodies = good, list[Any](), list[Any]()

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        self.seen.append(request.headers["Authorization"])
        body = request.body
        self.bodies.append(body.read() if hasattr(body, "read") else body)  # type: ignore[union-attr]
        answer = requests.Response()
        answer.request, answer.url, answer.raw = request, str(request.url), io.BytesIO(b"rows")
        answer.connection = self
        answer.status_code = 200 if request.headers["Authorization"] == f"Bearer {self.good}" else 401
        if answer.status_code == 401:
            answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return answer

    def close(self) -> None:
        pass


def test_requests_sends_the_token_and_replaces_a_rejected_one_once() -> None:
    adapter = Adapter("t2")
    with requests.Session() as session:
        session.mount("https://", adapter)
        session.auth = BearerAuth(client_of(numbered()), scope="a")
        assert session.get("https://api.example/rows").text == "rows"
        assert session.post("https://api.example/rows", data=io.BytesIO(b"body")).status_code == 200
    assert adapter.seen == ["Bearer t1", "Bearer t2", "Bearer t2"]


def test_requests_sends_a_file_again_from_where_it_began() -> None:
    adapter = Adapter("t2")
    file = io.BytesIO(b"headbody")
    file.seek(4)
    with requests.Session() as session:
        session.mount("https://", adapter)
        answer = session.post("https://api.example/rows", data=file, auth=BearerAuth(client_of(numbered())))
    assert answer.status_code == 200
    assert adapter.bodies == [b"body", b"body"]


def test_requests_sends_no_token_to_where_a_redirection_leads() -> None:
    seen: list[Any] = []

    class Leading(Adapter):
        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
            seen.append((request.url, request.headers.get("Authorization")))
            answer = requests.Response()
            answer.request, answer.url, answer.raw = request, str(request.url), io.BytesIO(b"")
            answer.connection = self
            answer.status_code = 302 if "api.example" in str(request.url) else 401
            answer.headers["Location"] = "https://evil.example/rows"
            answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
            return answer

    server = numbered()
    with requests.Session() as session:
        session.mount("https://", Leading(""))
        answer = session.get("https://api.example/rows", auth=BearerAuth(client_of(server)))
    assert answer.status_code == 401
    assert seen == [("https://api.example/rows", "Bearer t1"), ("https://evil.example/rows", None)]
    assert len(server.requests) == 1


def test_httpx_repeats_nothing_for_where_a_redirection_leads() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example":
            return httpx.Response(302, headers={"Location": "https://evil.example/rows"})
        assert "Authorization" not in request.headers
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    service, server = Server(answer), numbered()
    with service.http() as http:
        sent = http.get("https://api.example/rows", auth=client_of(server).auth(), follow_redirects=True)
    assert sent.status_code == 401
    assert len(service.requests) == 2
    assert len(server.requests) == 1


def test_requests_makes_no_loop() -> None:
    adapter = Adapter("none")
    server = numbered()
    with requests.Session() as session:
        session.mount("https://", adapter)
        session.auth = BearerAuth(client_of(server), scope="a")
        assert [session.get("https://api.example/rows").status_code for _ in range(3)] == [401] * 3
    assert len(adapter.seen) == 4
    assert len(server.requests) == 2


# --- credentials -----------------------------------------------------------------------------------------------------


def sent_with(environment: dict[str, str], **arguments: Any) -> dict[str, str]:
    server = numbered()
    Client(http=server.http(), environment=environment, **arguments).token()
    return form_of(server.requests[0])


def test_explicit_credentials_come_before_the_environment() -> None:
    form = sent_with(ENVIRONMENT, client_id="other", client_secret="theirs")
    assert (form["client_id"], form["client_secret"]) == ("other", "theirs")
    form = sent_with(ENVIRONMENT)
    assert (form["client_id"], form["client_secret"]) == ("reporter", SECRET)


def test_a_secret_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    server, clock = numbered(), FakeClock()
    environment = {"SEALWRIGHT_URL": ISSUER, "SEALWRIGHT_CLIENT_ID": "a", "SEALWRIGHT_CLIENT_SECRET_FILE": str(file)}
    client = Client(http=server.http(), clock=clock, environment=environment)
    client.token()
    file.write_bytes(b"second\r\n")
    clock.advance(600)
    client.token()
    assert [form_of(request)["client_secret"] for request in server.requests] == ["first", "second"]


def test_a_file_that_is_gone_leaves_the_live_token(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    clock = FakeClock()
    client = Client(ISSUER, "a", client_secret_file=file, http=numbered().http(), clock=clock)
    assert client.token() == "t1"
    file.unlink()
    clock.advance(500)
    assert client.token() == "t1"
    until(lambda: all(entry.flight is None for entry in client._entries.values()))
    clock.advance(100)
    with pytest.raises(ConfigurationError, match="No such file"):
        client.token()
    file.write_text("second")
    clock.advance(31)
    assert client.token() == "t2"


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({}, {}, "no server"),
        ({"SEALWRIGHT_URL": ISSUER}, {}, "no credentials"),
        ({"SEALWRIGHT_URL": ISSUER, "SEALWRIGHT_CLIENT_ID": "a"}, {}, "no credentials"),
        ({"SEALWRIGHT_URL": ISSUER, "SEALWRIGHT_CLIENT_SECRET": "s"}, {}, "no credentials"),
        ({**ENVIRONMENT, "SEALWRIGHT_CLIENT_SECRET_FILE": "f"}, {}, "both set"),
        (ENVIRONMENT, {"client_secret": "s", "client_secret_file": "f"}, "both given"),
        ({"SEALWRIGHT_URL": ISSUER}, {"client_secret": "s"}, "without client_id"),
        (ENVIRONMENT, {"client_secret": ""}, "empty"),
        (ENVIRONMENT, {"base_url": "auth.example"}, "http or https"),
        (ENVIRONMENT, {"base_url": "https://user:word@auth.example"}, "no user"),
        (ENVIRONMENT, {"base_url": "https://auth.example/?a=b"}, "query"),
        (ENVIRONMENT, {"base_url": "file:///etc/passwd"}, "http or https"),
    ],
)
def test_a_wrong_set_up_is_told_at_once(environment: dict[str, str], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Client(environment=environment, **arguments)


# --- what it never shows ---------------------------------------------------------------------------------------------


def test_nothing_shows_a_token_or_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    token = "eyJ0b2tlbg.c2VjcmV0.dG9rZW4"
    server = Server(lambda _: grant(token))
    client = client_of(server)
    async_client = async_client_of(server)
    with caplog.at_level(logging.DEBUG):
        assert client.token(scope="a") == token
        assert run(async_client.token(scope="a")) == token
    shown = [caplog.text]
    for thing in (client, async_client):
        auth = thing.auth(scope="a")
        for value in (thing, auth, vars(thing), vars(auth), thing._entries, thing._credentials, vars(thing._cache)):
            shown += [repr(value), str(value), f"{value!r}", pprint.pformat(value)]
        for dump in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled"):
                dump(thing)
    shown.append(repr(BearerAuth(client, scope="a")))
    for text in shown:
        assert token not in text
        assert SECRET not in text
    assert "reporter" in repr(client)


def test_no_error_shows_a_secret_that_the_server_repeats() -> None:
    told = {"error": "invalid_client", "error_description": f"{SECRET} is wrong\r\nX: y"}
    with pytest.raises(InvalidClient) as caught:
        client_of(Server(lambda _: httpx.Response(401, json=told))).token()
    assert str(caught.value) == "… is wrong  X: y"


def test_no_traceback_shows_a_token_or_a_secret() -> None:
    # The body is half a token response, with the token in it.
    def answer(request: httpx.Request) -> httpx.Response:
        if len(server.requests) == 1:
            return httpx.Response(200, text='{"access_token":"eyJ0b2tlbg.a.b"')
        raise httpx.ReadError("broken", request=request)

    server = Server(answer)
    clock = FakeClock()
    client = client_of(server, clock)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            client.token()
        text = "".join(traceback.format_exception(caught.value))
        assert "eyJ" not in text
        assert SECRET not in text
        assert caught.value.__cause__ is None
        clock.advance(31)


def test_errors_can_be_pickled_and_are_raised_anew() -> None:
    client = client_of(Server(lambda _: httpx.Response(429, headers={"Retry-After": "9"})))
    errors: list[RateLimited] = []
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            client.token()
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    copied = pickle.loads(pickle.dumps(errors[0]))
    assert (copied.retry_after, str(copied)) == (9.0, str(errors[0]))


def test_a_quota_tells_when_it_ends() -> None:
    headers = {"RateLimit": '"month";r=0;t=3600'}
    told = {"error": {"code": "QUOTA_EXCEEDED"}, "error_description": "used up"}
    clock = FakeClock()
    client = client_of(Server(lambda _: httpx.Response(403, headers=headers, json=told)), clock)
    with pytest.raises(QuotaReached) as caught:
        client.token()
    assert caught.value.resets_at is not None
    assert caught.value.resets_at.timestamp() == clock.now() + 3600
    assert caught.value.resets_at.utcoffset() is not None


def test_an_answer_without_end_is_not_read() -> None:
    with pytest.raises(Unavailable, match="TooLong"):
        client_of(Server(lambda _: httpx.Response(200, content=b"x" * 100_000))).token()


def test_an_answer_that_comes_by_drops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 0.0
    monkeypatch.setattr("sealwright._http.time.monotonic", lambda: passed)

    class Drops(httpx.SyncByteStream, httpx.AsyncByteStream):
        sent = 0

        def drop(self) -> bytes:
            nonlocal passed
            passed += 4.0
            self.sent += 1
            assert self.sent < 100, "nobody gives up"
            return b" "

        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield self.drop()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield self.drop()

    ask = Ask("POST", "https://auth.example/oauth/token", timeout=10.0)
    server = Server(lambda _: httpx.Response(200, stream=Drops()))
    with pytest.raises(httpx.ReadTimeout):
        send(server.http(), ask)
    with pytest.raises(httpx.ReadTimeout):
        run(send_async(server.async_http(), ask))


def test_a_redirection_is_not_followed() -> None:
    server = Server(lambda _: httpx.Response(307, headers={"Location": "https://evil.example/"}))
    with pytest.raises(Unavailable, match="307"):
        client_of(server).token()
    assert [request.url.host for request in server.requests] == ["auth.example"]


@pytest.mark.long
def test_a_months_tokens_leave_memory_flat() -> None:
    server, clock = numbered(), FakeClock()
    client = client_of(server, clock)
    for minute in range(30 * 24 * 60):
        if minute % 997 == 0:
            clock.step((-1) ** minute * 7_200)
        token = client.token(scope="a", audience=AUDIENCE)
        assert token
        clock.advance(60)
    until(lambda: all(entry.flight is None for entry in client._entries.values()))
    assert len(client._entries) == 1
    # Renewed after seven to eight minutes of ten.
    assert 30 * 24 * 60 / 9 <= len(server.requests) <= 30 * 24 * 60 / 7
