"""The live steps of clients/live/README.md, with the installed library. `live` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import os
import pickle
import pprint
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import requests

import sealwright
from sealwright import (
    AgentSuspended,
    AsyncClient,
    AsyncVerifier,
    Client,
    InvalidClient,
    InvalidToken,
    QuotaReached,
    ScopeDenied,
    Unavailable,
    Verifier,
)
from sealwright.requests import BearerAuth

URL, SECOND_URL = os.environ["SEALWRIGHT_URL"], os.environ["SEALWRIGHT_URL_2"]
AUDIENCE = os.environ["SEALWRIGHT_AUDIENCE"]
AGENT, SECRET = os.environ["SEALWRIGHT_CLIENT_ID"], os.environ["SEALWRIGHT_CLIENT_SECRET"]
PROGRAM = os.environ["SEALWRIGHT_BIN"]
EXAMPLES = Path(os.environ["SEALWRIGHT_EXAMPLES"])
NOWHERE = "http://127.0.0.1:9"


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    # A wrong import would test the tree, and not what was built.
    assert "site-packages" in str(sealwright.__file__), sealwright.__file__
    steps = figures() if os.environ.get("LIVE_PART") == "figures" else Live().steps()
    name = "start"
    try:
        for name, step in steps:
            print(f"ok {name}: {step()}", flush=True)
    except Exception as error:
        logging.exception("a step failed")
        print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)
        sys.exit(1)


def operate(*arguments: str) -> Any:
    """A command of the operator, with `--json`."""
    done = subprocess.run([PROGRAM, "--json", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


class Counted(httpx.Client):
    """Counts what it sends."""

    def __init__(self) -> None:
        self.sent = 0
        super().__init__(event_hooks={"request": [self.count]})

    def count(self, _: httpx.Request) -> None:
        self.sent += 1


def until(holds: Callable[[], bool], seconds: float) -> float:
    """The seconds until it holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - began


def refuses(verifier: Verifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken:
        return True
    return False


def raises(kind: type[Exception], call: Callable[[], Any]) -> Any:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"it raised no {kind.__name__}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def service(url: str, example: str = "service", path: str = "") -> Iterator[str]:
    """An example, as a process of its own. Its audience is its own address if it has a path."""
    port = free_port()
    audience = f"http://127.0.0.1:{port}{path}" if path else AUDIENCE
    environment = {**os.environ, "LISTEN": f"127.0.0.1:{port}", "SEALWRIGHT_URL": url, "SEALWRIGHT_AUDIENCE": audience}
    process = subprocess.Popen([sys.executable, "-I", str(EXAMPLES / example / "main.py")], env=environment)
    try:
        until(lambda: process.poll() is not None or answers(port), 30)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        process.terminate()
        process.wait(10)


def run_quickstart() -> str:
    """The lines of README.md, with the addresses of this run."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("agent.py", "service.py"):
            text = (EXAMPLES / "quickstart" / name).read_text()
            text = text.replace("http://localhost:3000", URL).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            Path(folder, name).write_text(text)
        with serving("service:app", folder, port):
            return printed_by("agent.py", folder)


@contextlib.contextmanager
def serving(app: str, folder: str, port: int) -> Iterator[None]:
    """An application of a module in the folder."""
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=folder)
    try:
        until(lambda: process.poll() is not None or answers(port), 30)
        yield
    finally:
        process.terminate()
        process.wait(10)


def printed_by(script: str, folder: str) -> str:
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def mcp_statuses(url: str, *tokens: str) -> list[int]:
    """What an MCP server answers to a client with each of these tokens."""
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "live", "version": "1"}}
    start = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    statuses = []
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        statuses.append(httpx.post(url, json=start, headers=headers, timeout=20).status_code)
    return statuses


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def call(url: str, token: str | None = None) -> httpx.Response:
    return httpx.get(url, headers={} if token is None else {"Authorization": f"Bearer {token}"}, timeout=20)


class Live:
    """What the steps hand on to each other."""

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        self.held = contextlib.ExitStack()
        with self.held:
            for name in STEPS:
                yield name, getattr(self, name.replace("-", "_"))

    def chain(self) -> str:
        self.http = Counted()
        self.client = Client(URL, http=self.http)
        self.token = self.client.token(scope="db:read", audience=AUDIENCE)
        assert self.client.token(scope="db:read", audience=AUDIENCE) == self.token
        assert self.http.sent == 1
        return "a token by the environment's credentials, and the same again without a request"

    def one_request(self) -> str:
        keys = [
            {"scope": scope, "audience": audience}
            for scope in ("db:read", "db:write")
            for audience in ("https://one.example", "https://two.example")
        ]
        counts = []
        for kind in (Client, AsyncClient):
            before = operate("agent", "show", AGENT)["usage"]["issued"]
            if kind is Client:
                client = Client(URL)
                with ThreadPoolExecutor(200) as pool:
                    tokens = list(pool.map(lambda key, client=client: client.token(**key), keys * 250))
            else:
                tokens = asyncio.run(self.all_at_once(keys * 250))
            issued = operate("agent", "show", AGENT)["usage"]["issued"] - before
            assert len(tokens) == 1000
            assert len(set(tokens)) == issued == 4, (len(set(tokens)), issued)
            counts.append(issued)
        return f"1,000 calls at once, in threads and in tasks: {counts[0]} and {counts[1]} tokens"

    async def all_at_once(self, keys: list[dict[str, str]]) -> list[str]:
        async with AsyncClient(URL) as client:
            return await asyncio.gather(*[client.token(**key) for key in keys])

    def verify(self) -> str:
        self.verifier = self.held.enter_context(Verifier(URL, AUDIENCE))
        self.verifier.start()
        claims = self.verifier.verify(self.token)
        assert (claims.client_id, claims.scopes) == (AGENT, ("db:read",))
        self.jti = claims.jti
        changed = self.token[:-10] + ("A" if self.token[-10] != "A" else "B") + self.token[-9:]
        assert raises(InvalidToken, lambda: self.verifier.verify(changed)).reason == "signature"
        other = self.client.token(scope="db:read", audience="https://other.example")
        assert raises(InvalidToken, lambda: self.verifier.verify(other)).reason == "audience"
        assert asyncio.run(self.verify_in_a_task()) == claims.jti
        return "accepted, with client_id, scope and jti; another signature and another audience are refused"

    async def verify_in_a_task(self) -> str:
        async with AsyncVerifier(URL, AUDIENCE) as verifier:
            return (await verifier.verify(self.token)).jti

    def replica(self) -> str:
        client = Client(SECOND_URL)
        self.second = client.token(scope="db:read", audience=AUDIENCE)
        assert self.second != self.token
        assert self.verifier.verify(self.second).issuer == URL
        return "a token of the other replica is accepted"

    def door(self) -> str:
        self.service = self.held.enter_context(service(URL))
        read, write = f"{self.service}/read", f"{self.service}/write"
        assert call(read, self.token).status_code == 200
        answer = call(write, self.token)
        challenge = answer.headers["www-authenticate"]
        assert answer.status_code == 403
        assert "insufficient_scope" in challenge
        assert "db:write" in challenge
        answer = call(read)
        challenge = answer.headers["www-authenticate"]
        assert answer.status_code == 401
        assert challenge.startswith("Bearer")
        assert "error" not in challenge
        answer = call(read, "garbage")
        assert answer.status_code == 401
        assert "invalid_token" in answer.headers["www-authenticate"]
        self.mcp_server()
        return (
            "200; 403 insufficient_scope for db:write; 401 without a token and with a bad one; an MCP server likewise"
        )

    def mcp_server(self) -> None:
        with service(URL, "mcp", "/mcp") as url:
            statuses = mcp_statuses(url, self.client.token(scope="db:read", audience=url), self.token, "garbage")
        assert statuses == [200, 401, 401], statuses

    def agent(self) -> str:
        environment = {**os.environ, "SCOPES": "db:read,db:write", "CALLERS": "50"}
        command = [sys.executable, "-I", str(EXAMPLES / "agent" / "main.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        lines = done.stdout.splitlines()
        assert lines[-1] == "tokens=100 distinct=2", lines
        assert AGENT in lines[0]
        assert SECRET not in done.stdout + done.stderr
        told = run_quickstart()
        assert told == '"rows"', told
        return lines[-1]

    def readme(self) -> str:
        page = metadata("sealwright")["Description"]
        agent, door, mcp = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        ports = free_port(), free_port()
        read = f'"http://127.0.0.1:{ports[0]}/read"'
        start = f"client_id, client_secret = {AGENT!r}, {SECRET!r}\n"
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            for name, code in (("agent", start + agent), ("door", door), ("mcp_server", mcp)):
                code = code.replace("https://auth.example", URL).replace('"https://api.example/read"', read)
                Path(folder, f"{name}.py").write_text(code.replace("https://api.example", AUDIENCE))
            stack.enter_context(serving("door:app", folder, ports[0]))
            stack.enter_context(serving("mcp_server:app", folder, ports[1]))
            told = printed_by("agent.py", folder)
            assert told == f'"rows for {AGENT}"', told
            assert call(read.strip('"'), "garbage").status_code == 401
            token = self.client.token(scope="db:read", audience="https://mcp.example/mcp")
            statuses = mcp_statuses(f"http://127.0.0.1:{ports[1]}/mcp", token, "garbage")
            assert statuses == [200, 401], statuses
        return f"its three blocks run on Python {sys.version.split()[0]}: an agent, a service and an MCP server"

    def revoke_one(self) -> str:
        self.long_poll = "since" in httpx.get(f"{URL}/api/v1/token/revoked", params={"since": "0"}).json()
        self.bound = 2.0 if self.long_poll else 16.0
        began = time.monotonic()
        operate("token", "revoke", "--jti", self.jti)
        until(lambda: refuses(self.verifier, self.token), self.bound)
        took = time.monotonic() - began
        assert took <= self.bound, took
        self.verifier.verify(self.second)
        return f"refused after {took * 1000:.0f} ms, {'by long poll' if self.long_poll else 'by polling'}; the other is accepted"

    def renew_once(self) -> str:
        until(lambda: call(f"{self.service}/read", self.token).status_code == 401, self.bound)
        assert self.client.token(scope="db:read", audience=AUDIENCE) == self.token
        before, calls = self.http.sent, []
        auth = self.client.auth(scope="db:read", audience=AUDIENCE)
        with httpx.Client(
            auth=auth, event_hooks={"response": [lambda answer: calls.append(answer.status_code)]}
        ) as http:
            assert http.get(f"{self.service}/read").status_code == 200
        assert calls == [401, 200], calls
        assert self.http.sent == before + 1
        with rejecting() as (url, seen):
            with httpx.Client(auth=auth) as http:
                assert http.get(url).status_code == 401
            with_requests = requests.get(
                url, auth=BearerAuth(Client(URL), scope="db:read", audience=AUDIENCE), timeout=10
            )
            assert with_requests.status_code == 401
            # The first has just been replaced, and is not replaced again.
            assert len(seen) <= 4, seen
        return "200 after one 401 and one new token; a service that rejects everything sees two calls at most"

    def suspend(self) -> str:
        began = time.monotonic()
        operate("agent", "suspend", AGENT)
        until(lambda: refuses(self.verifier, self.second), self.bound)
        took = time.monotonic() - began
        assert took <= self.bound, took
        until(lambda: call(f"{self.service}/read", self.second).status_code == 401, self.bound)
        raises(AgentSuspended, lambda: Client(URL).token(scope="db:read", audience=AUDIENCE))
        return f"refused after {took * 1000:.0f} ms, by the service too; no token"

    def reactivate(self) -> str:
        operate("agent", "reactivate", AGENT)
        token = Client(URL).token(scope="db:read", audience=AUDIENCE)
        assert self.verifier.verify(token).client_id == AGENT
        assert refuses(self.verifier, self.second)
        self.third = token
        return "a new token is accepted, the old one stays dead"

    def suspend_org(self) -> str:
        org = f"org-{os.urandom(4).hex()}"
        operate("org", "create", "--id", org, "--name", org)
        made = operate("agent", "create", "--org", org, "--name", "member", "--plan", "unlimited", "--scope", "db:read")
        member = (made["agentId"], made["clientSecret"])
        token = Client(URL, *member).token(scope="db:read", audience=AUDIENCE)
        assert self.verifier.verify(token).org_id == org
        began = time.monotonic()
        operate("org", "suspend", org)
        until(lambda: refuses(self.verifier, token), self.bound)
        took = time.monotonic() - began
        assert took <= self.bound, took
        raises(AgentSuspended, lambda: Client(URL, *member).token(scope="db:read", audience=AUDIENCE))
        assert self.verifier.verify(self.third).client_id == AGENT
        return f"refused after {took * 1000:.0f} ms; no token; another organization's token is still accepted"

    def rotated_key(self) -> str:
        operate("key", "rotate", "--now")
        kid = jwt.get_unverified_header(self.third)["kid"]
        began = time.monotonic()
        while True:
            token = Client(URL).token(scope="db:read", audience=AUDIENCE)
            if jwt.get_unverified_header(token)["kid"] != kid:
                break
            assert time.monotonic() - began < 5
            time.sleep(0.1)
        began = time.monotonic()
        assert self.verifier.verify(token).client_id == AGENT
        took = time.monotonic() - began
        assert took < 2
        return f"a token of the new key is accepted after {took * 1000:.0f} ms"

    def wrong_secret(self) -> str:
        error = raises(InvalidClient, lambda: Client(URL, AGENT, "sw_wrong").token(scope="db:read"))
        assert "sw_wrong" not in str(error)
        return f"InvalidClient: {error}"

    def scope_denied(self) -> str:
        return f"ScopeDenied: {raises(ScopeDenied, lambda: Client(URL).token(scope='files:read'))}"

    def quota(self) -> str:
        http = Counted()
        client = Client(URL, os.environ["QUOTA_CLIENT_ID"], os.environ["QUOTA_CLIENT_SECRET"], http=http)
        for audience in ("https://one.example", "https://two.example"):
            client.token(scope="db:read", audience=audience)
        error = raises(QuotaReached, lambda: client.token(scope="db:read", audience="https://three.example"))
        assert error.resets_at is not None
        now = datetime.now(timezone.utc)
        month = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=timezone.utc)
        assert abs((error.resets_at - month).total_seconds()) <= 5, error.resets_at
        raises(QuotaReached, lambda: client.token(scope="db:read", audience="https://four.example"))
        assert http.sent == 3
        return f"QuotaReached until {error.resets_at:%Y-%m-%d}, and no request after it"

    def outage(self) -> str:
        raises(Unavailable, lambda: Client(NOWHERE).token(scope="db:read"))
        with Verifier(NOWHERE, AUDIENCE) as verifier:
            raises(Unavailable, lambda: verifier.verify(self.third))
        with service(NOWHERE) as url:
            answer = call(f"{url}/read", self.third)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
        return "Unavailable from the client and the verifier, 503 with Retry-After from the service"

    def shows_nothing(self) -> str:
        token = self.client.token(scope="db:read", audience=AUDIENCE)
        auth = self.client.auth(scope="db:read", audience=AUDIENCE)
        for thing in (self.client, self.verifier, auth, AsyncClient(URL)):
            for value in (thing, vars(thing), *vars(thing).values()):
                for text in (repr(value), str(value), f"{value}", pprint.pformat(value)):
                    assert token not in text
                    assert SECRET not in text
                    assert "eyJ" not in text
        for thing in (self.client, self.verifier):
            for dump in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
                raises(TypeError, lambda thing=thing, dump=dump: dump(thing))  # type: ignore[misc]
        return "neither repr, str, vars, pprint, pickle nor a copy has a secret or a token"


STEPS = [
    "chain", "one-request", "verify", "replica", "door", "agent", "readme", "revoke-one", "renew-once", "suspend",
    "reactivate", "suspend-org", "rotated-key", "wrong-secret", "scope-denied", "quota", "outage", "shows-nothing",
]  # fmt: skip


@contextlib.contextmanager
def rejecting() -> Iterator[tuple[str, list[str]]]:
    """A service that rejects every token, with the calls that it saw."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Bearer error="invalid_token"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", seen
    finally:
        server.shutdown()
        server.server_close()


# --- figures ---------------------------------------------------------------------------------------------------------


def figures() -> Iterator[tuple[str, Callable[[], str]]]:
    """What is measured, one after the other."""
    logging.getLogger().setLevel(logging.WARNING)
    yield "warm-token", warm_token
    yield "verification", verification
    yield "seen-token", seen_token
    yield "verifiers-long-poll", lambda: verifiers(25, 2.0)
    yield "verifiers-polling", lambda: verifiers(0, 16.0)
    yield "convergence", lambda: asyncio.run(Convergence().measure())


def time_of(call: Callable[[], Any], calls: int, rounds: int = 15) -> float:
    """The median of the rounds, in microseconds for a call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - began) / calls * 1e6)
    return statistics.median(times)


def bounded(what: str, measured: float, bound: float, unit: str) -> str:
    assert measured <= bound, f"{what} {measured:.2f} {unit}, and should take {bound:.2f}"
    return f"{what} {measured:.2f} {unit} (at most {bound:.2f})"


def warm_token() -> str:
    client = Client(URL)
    client.token(scope="db:read", audience=AUDIENCE)
    threaded = time_of(lambda: client.token(scope="db:read", audience=AUDIENCE), 10_000)

    async def of_tasks() -> float:
        client = AsyncClient(URL)
        await client.token(scope="db:read", audience=AUDIENCE)
        times = []
        for _ in range(15):
            began = time.perf_counter()
            for _ in range(10_000):
                await client.token(scope="db:read", audience=AUDIENCE)
            times.append((time.perf_counter() - began) / 10_000 * 1e6)
        await client.aclose()
        return statistics.median(times)

    tasks = asyncio.run(of_tasks())
    return f"{bounded('Client', threaded, 5, 'µs')}, {bounded('AsyncClient', tasks, 5, 'µs')}"


def verification() -> str:
    token = Client(URL).token(scope="db:read", audience=AUDIENCE)
    with Verifier(URL, AUDIENCE) as verifier:
        verifier.verify(token)
        core = verifier._core  # noqa: SLF001
        key = next(iter(core.keys.keys.values()))
        kid = jwt.get_unverified_header(token)["kid"]
        key = core.keys.keys[kid]

        def whole() -> None:
            core._seen.clear()  # noqa: SLF001
            verifier.verify(token)

        def alone() -> None:
            jwt.decode(token, key, algorithms=["RS256"], issuer=URL, audience=AUDIENCE)

        # In turns, so that a busy machine slows both.
        pairs = [(time_of(whole, 500, 1), time_of(alone, 500, 1)) for _ in range(15)]
        ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    return bounded(f"PyJWT alone {theirs:.1f} µs, verify", ours, 1.5 * theirs, "µs")


def seen_token() -> str:
    token = Client(URL).token(scope="db:read", audience=AUDIENCE)
    with Verifier(URL, AUDIENCE) as verifier:
        verifier.verify(token)
        return bounded("verify", time_of(lambda: verifier.verify(token), 5_000), 20, "µs")


def verifiers(wait: int, bound: float) -> str:
    count = int(os.environ.get("LIVE_VERIFIERS", "200"))

    async def measure() -> float:
        operate("agent", "reactivate", AGENT)
        # Each its own HTTP client, as if each were a process: httpx takes long to look through hundreds of connections.
        context = ssl.create_default_context()
        https = [httpx.AsyncClient(verify=context) for _ in range(count)]
        async with AsyncClient(URL) as client:
            token = await client.token(scope="db:read", audience=AUDIENCE)
        made = [AsyncVerifier(URL, AUDIENCE, http=http, wait=wait) for http in https]
        await asyncio.gather(*[one.start() for one in made])
        for one in made:
            await one.verify(token)
        # Until every one of them has its poll held.
        await asyncio.sleep(2)
        began = time.monotonic()
        suspending = asyncio.create_task(asyncio.to_thread(operate, "agent", "suspend", AGENT))
        left = made
        while left:
            assert time.monotonic() - began < bound, f"{len(left)} of {count} still accept the token after {bound} s"
            await asyncio.sleep(0.01)
            left = [one for one in left if await accepts(one, token)]
        took = time.monotonic() - began
        await suspending
        for one, http in zip(made, https, strict=True):
            await one.aclose()
            await http.aclose()
        return took

    return f"{count} verifiers refuse after {bounded('', asyncio.run(measure()), bound, 's')}"


class Convergence:
    """Looks at what the servers say of the verifiers, beside what the verifiers do."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("LIVE_VERIFIERS", "200"))
        self.services = AsyncClient(URL, os.environ["SERVICES_CLIENT_ID"], os.environ["SERVICES_CLIENT_SECRET"])
        self.admin = AsyncClient(URL, os.environ["ADMIN_CLIENT_ID"], os.environ["ADMIN_CLIENT_SECRET"])
        self.http = httpx.AsyncClient(base_url=URL, timeout=20)

    async def measure(self) -> str:
        await self.forget_others()
        operate("agent", "reactivate", AGENT)
        async with AsyncClient(URL) as client:
            token = await client.token(scope="db:read", audience=AUDIENCE)
        context = ssl.create_default_context()
        https = [httpx.AsyncClient(verify=context) for _ in range(self.count)]
        # Half of them poll, so that they converge at different times.
        made = [
            AsyncVerifier(URL, AUDIENCE, http=http, wait=25 * (at % 2), client=self.services, name="live")
            for at, http in enumerate(https)
        ]
        await asyncio.gather(*[one.start() for one in made])
        for one in made:
            await one.verify(token)
        version = max(int(one.version or 0) for one in made)
        # The first of them are complete before the others have reported.
        ends = time.monotonic() + 60
        while (found := await self.look_until("complete", version, 60))["verifiers"]["total"] != self.count:
            assert time.monotonic() < ends, found
            await asyncio.sleep(0.2)

        crashed = f"{self.services_id}/live/crashed"
        await self.report("live/crashed", version, self.services)
        await self.report("live/eager", version + 10**9, self.services)
        brief, ends_at = await self.brief_token()
        await asyncio.sleep(ends_at - 2 - time.time())
        operate("token", "revoke", "--jti", brief)
        began = time.monotonic()
        version = operate("agent", "suspend", AGENT)["revocationVersion"]
        looks = 0
        while True:
            found = await self.look(version)
            refusing = [await accepts(one, token) for one in made].count(False)
            looks += 1
            assert found["state"] in ("pending", "partial"), found
            assert found["verifiers"]["converged"] <= refusing, (found, refusing)
            assert found["verifiers"]["total"] == self.count + 1, found
            if found["state"] == "partial":
                break
            assert time.monotonic() - began < 60, found
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        assert refusing == self.count, refusing
        assert time.time() > ends_at
        # Nobody speaks for the crashed one without a token of its agent.
        await self.report("live/crashed", version, None)
        await asyncio.sleep(5)
        found = await self.look(version)
        assert found["state"] == "partial", found
        assert found["verifiers"]["unauthenticated"] >= 1, found
        await self.forget(crashed)
        found = await self.look_until("complete", version, 10)
        for one, http in zip(made, https, strict=True):
            await one.aclose()
            await http.aclose()
        return (
            f"{self.count} verifiers, every second by polling: half enforce it after {found['p50Ms']} ms and all after "
            f"{found['p100Ms']} ms; partial after {took:.1f} s while one has crashed, complete once it is forgotten; "
            f"none of {looks} looks was ahead of the verifiers"
        )

    @property
    def services_id(self) -> str:
        return os.environ["SERVICES_CLIENT_ID"]

    async def look(self, version: int | None = None) -> Any:
        """What the replica whose turn it is says."""
        token = await self.admin.token(scope="audit:read admin:orgs")
        query = {} if version is None else {"version": str(version)}
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.http.get("/api/v1/revocations/convergence", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def look_until(self, state: str, version: int, seconds: float) -> Any:
        ends = time.monotonic() + seconds
        while True:
            found = await self.look(version)
            if found["state"] == state:
                return found
            assert time.monotonic() < ends, found
            await asyncio.sleep(0.2)

    async def forget(self, verifier: str) -> None:
        token = await self.admin.token(scope="audit:read admin:orgs")
        url = f"/api/v1/revocations/verifiers/{quote(verifier, safe='')}"
        answer = await self.http.delete(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (200, 404), answer.text

    async def forget_others(self) -> None:
        """Verifiers of another language's figures have ended, and are forgotten once they are silent."""
        ends = time.monotonic() + 120
        while (found := await self.look())["verifiers"]["total"]:
            assert time.monotonic() < ends, found
            for one in found["slowest"]:
                await self.forget(one["verifier"])
            await asyncio.sleep(0.5)

    async def report(self, name: str, version: int, client: AsyncClient | None) -> None:
        """One report, as of a verifier that comes again in 5 s, and ends before that."""
        headers = {"Sealwright-Verifier": f"{name}; version={version}"}
        if client is not None:
            headers["Authorization"] = f"Bearer {await client.token()}"
        answer = await self.http.get("/api/v1/token/revoked", params={"since": "0", "wait": "5"}, headers=headers)
        assert answer.status_code == 200, answer.text

    async def brief_token(self) -> tuple[str, int]:
        """The id of a token that is about to expire, and the second in which it does."""
        at = datetime.fromtimestamp(int(time.time()) + 20, timezone.utc)
        ends = ["--expires-at", f"{at:%Y-%m-%dT%H:%M:%SZ}"]
        made = operate("agent", "create", "--name", "brief", "--scope", "db:read", *ends)
        async with AsyncClient(URL, made["agentId"], made["clientSecret"]) as client:
            token = await client.token(scope="db:read", audience=AUDIENCE)
        claims = jwt.decode(token, options={"verify_signature": False})
        return claims["jti"], claims["exp"]


async def accepts(verifier: AsyncVerifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except InvalidToken:
        return False
    return True


if __name__ == "__main__":
    main()
