"""The token source: gets tokens, keeps them, and renews them on use.

`Client` and `AsyncClient` share everything but how they wait. The rules are in `_cache`, the words of the server in
`_answers`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from types import TracebackType
from typing import Generic, TypeVar

import httpx

from . import _answers, _credentials
from ._cache import Entry, Fetch, Hand, Key, Refuse, TokenCache
from ._http import FAILURES, Answer, Ask, base_of, send, send_async, why
from .clock import Clock, SystemClock
from .errors import ConfigurationError, SealwrightError, Unavailable, again

__all__ = ["AsyncClient", "Client"]

_log = logging.getLogger("sealwright")
_F = TypeVar("_F")
_PATH = "/oauth/token"
ENVIRONMENT_URL = "SEALWRIGHT_URL"

Scopes = str | Sequence[str] | None
"""Scopes: a text with spaces between them, or several texts."""


class _Source(Generic[_F]):
    """What both clients are, without a way to wait."""

    def __init__(
        self,
        base_url: str | None,
        client_id: str | None,
        client_secret: str | None,
        client_secret_file: str | os.PathLike[str] | None,
        assertion_file: str | os.PathLike[str] | None,
        timeout: float,
        clock: Clock | None,
        environment: Mapping[str, str] | None,
    ) -> None:
        environment = os.environ if environment is None else environment
        base_url = base_url or environment.get(ENVIRONMENT_URL)
        if not base_url:
            raise ConfigurationError(f"no server: give base_url, or set {ENVIRONMENT_URL}")
        self._base_url = base_of(base_url, "base_url")
        self._credentials = _credentials.find(client_id, client_secret, client_secret_file, assertion_file, environment)
        self._timeout = timeout
        self._clock: Clock = clock or SystemClock()
        self._monotonic = self._clock.monotonic
        self._cache: TokenCache[_F] = TokenCache()
        self._entries = self._cache.entries
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def base_url(self) -> str:
        """The server."""
        return self._base_url

    @property
    def client_id(self) -> str:
        """The agent."""
        return self._credentials.client_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r}, client_id={self.client_id!r})"

    def __reduce__(self) -> str:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds a secret. Make one in each process.")

    def _kept(self, scope: Scopes, audience: str | None, resource: str | None) -> str | None:
        """The way of nearly every call: a token that needs no renewal. It takes no lock."""
        try:
            entry = self._entries.get((scope, audience, resource))
        except TypeError:
            # A list cannot be a key; the slow way makes a text of it.
            return None
        if entry is not None and self._monotonic() < entry.renew_at:
            return entry.token
        return None

    def _ask(self, key: Key) -> tuple[Ask, str]:
        """The request for a token, and the secret or assertion in it."""
        proven, proof = self._credentials.form()
        form = {"grant_type": "client_credentials", **proven}
        form.update({name: value for name, value in key._asdict().items() if value})
        ask = Ask("POST", self._base_url + _PATH, form=form, timeout=self._timeout, max_bytes=_answers.MAX_BYTES)
        return ask, proof

    def _unreachable(self, error: BaseException) -> Unavailable:
        return Unavailable(f"the token endpoint of {self._base_url} cannot be asked ({why(error)})")

    def _settle(self, key: Key, entry: Entry[_F], asked_at: float, outcome: _answers.Granted | SealwrightError) -> None:
        """Takes in what a request has come to. The caller holds the lock."""
        if isinstance(outcome, _answers.Granted):
            self._cache.granted(entry, asked_at, outcome)
            _log.debug("a token for %s, which lives %.0f s", _named(key), outcome.expires_in)
        else:
            self._cache.failed(entry, outcome, self._monotonic(), self._clock.now())
            _log.warning("no token for %s: %s", _named(key), outcome)

    def _read(self, answer: Answer, secret: str) -> _answers.Granted | SealwrightError:
        return _answers.read(answer.status, answer.headers, answer.body, self._clock.now(), secret)


class _Flight:
    """A request that is under way, for all who wait for it. Without an outcome, the thread that sent it was interrupted."""

    __slots__ = ("done", "outcome")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.outcome: _answers.Granted | SealwrightError | None = None


class Client(_Source[_Flight]):
    """Tokens of one agent, for threads.

    Without an id and a secret it takes those of the environment (`SEALWRIGHT_CLIENT_ID`, `SEALWRIGHT_CLIENT_SECRET` or
    `SEALWRIGHT_CLIENT_SECRET_FILE`, or else `SEALWRIGHT_IDENTITY_TOKEN_FILE`, a file with an assertion), and without `base_url` that of `SEALWRIGHT_URL`. One client serves a whole process and
    all its threads: it makes one request for a token, however many ask for it.

    `http` is an `httpx.Client` of your own, for proxies and certificates; it is then yours to close. `timeout` is in seconds.
    """

    def __init__(
        self,
        base_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        client_secret_file: str | os.PathLike[str] | None = None,
        assertion_file: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
        http: httpx.Client | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            base_url, client_id, client_secret, client_secret_file, assertion_file, timeout, clock, environment
        )
        self._given_http = http
        self._own_http: httpx.Client | None = None

    def token(self, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None) -> str:
        """An access token for these scopes and this audience; without scopes, for all that the agent may have.

        It comes from memory nearly always. After three quarters of its life a use renews it, beside the caller, who gets
        the live one. An error is raised only when there is no live token: see `sealwright.errors`.
        """
        token = self._kept(scope, audience, resource)
        return token if token is not None else self._obtain(_key(scope, audience, resource))

    def replace(
        self, token: str, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None
    ) -> str | None:
        """Another token in place of one that a service answered with 401 `invalid_token`.

        `None` means that there is none now, and that the 401 stands: a token is replaced once in 30 s at most. Raises
        `AgentSuspended` and `InvalidClient`. The adapters call this; call it yourself only with another HTTP library.
        """
        key = _key(scope, audience, resource)
        self._mind_forks()
        with self._lock:
            entry = self._entry(key)
            decision = self._cache.decide_rejected(entry, token, self._monotonic())
            flight, leads = self._board(entry) if isinstance(decision, Fetch) else (None, False)
        if isinstance(decision, Hand):
            return decision.token
        if flight is None:
            return None
        outcome = self._outcome(key, entry, flight, leads)
        if isinstance(outcome, _answers.Granted):
            return outcome.token
        if outcome is None:
            return None
        with self._lock:
            dropped = self._cache.drop_rejected(entry, token, outcome)
        if dropped:
            raise again(outcome)
        return None

    def auth(self, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None) -> httpx.Auth:
        """Authentication for an `httpx.Client`: `httpx.get(url, auth=client.auth(scope="db:read"))`."""
        return _Auth(self, scope, audience, resource)

    def close(self) -> None:
        """Closes the connections. The client can be used again afterwards."""
        with self._lock:
            http, self._own_http = self._own_http, None
        if http is not None:
            http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _obtain(self, key: Key) -> str:
        self._mind_forks()
        while True:
            # The decision and the flight are one step: else a thread that decided to ask could find that another has asked
            # and landed meanwhile, and ask again.
            with self._lock:
                entry = self._entry(key)
                decision = self._cache.decide(entry, self._monotonic())
                asks = isinstance(decision, Fetch) or (isinstance(decision, Hand) and decision.renew)
                flight, leads = self._board(entry) if asks else (None, False)
            if isinstance(decision, Refuse):
                raise decision.error
            if isinstance(decision, Hand):
                if flight is not None and leads:
                    self._renew(key, entry, flight)
                return decision.token
            outcome = self._outcome(key, entry, flight, leads) if flight is not None else None
            if isinstance(outcome, _answers.Granted):
                return outcome.token
            if outcome is not None:
                raise again(outcome)

    def _board(self, entry: Entry[_Flight]) -> tuple[_Flight, bool]:
        """The flight under this key, and whether it is the caller's to fly. The caller holds the lock."""
        if entry.flight is not None:
            return entry.flight, False
        entry.flight = _Flight()
        return entry.flight, True

    def _outcome(
        self, key: Key, entry: Entry[_Flight], flight: _Flight, leads: bool
    ) -> _answers.Granted | SealwrightError | None:
        if leads:
            self._fly(key, entry, flight)
        else:
            flight.done.wait()
        return flight.outcome

    def _renew(self, key: Key, entry: Entry[_Flight], flight: _Flight) -> None:
        try:
            threading.Thread(
                target=self._fly, args=(key, entry, flight), name="sealwright-renewal", daemon=True
            ).start()
        except RuntimeError:
            # The interpreter is ending, or has no thread left. The live token is handed out, and a later use tries again.
            with self._lock:
                entry.flight = None
            flight.done.set()

    def _fly(self, key: Key, entry: Entry[_Flight], flight: _Flight) -> None:
        outcome: _answers.Granted | SealwrightError | None = None
        asked_at = self._monotonic()
        try:
            outcome = self._fetch(key)
        finally:
            # Also when this thread is interrupted: the others would wait for ever.
            with self._lock:
                entry.flight = None
                if outcome is not None:
                    self._settle(key, entry, asked_at, outcome)
                    flight.outcome = outcome
            flight.done.set()

    def _fetch(self, key: Key) -> _answers.Granted | SealwrightError:
        try:
            ask, secret = self._ask(key)
        except ConfigurationError as error:
            return again(error)
        try:
            return self._read(send(self._http(), ask), secret)
        except FAILURES as error:
            return self._unreachable(error)

    def _http(self) -> httpx.Client:
        if self._given_http is not None:
            return self._given_http
        with self._lock:
            if self._own_http is None:
                self._own_http = httpx.Client()
            return self._own_http

    def _entry(self, key: Key) -> Entry[_Flight]:
        return self._cache.entry(key, self._monotonic())

    def _mind_forks(self) -> None:
        """In the child of a fork: the threads that flew are not here, and the connections are the parent's."""
        if self._pid == os.getpid():
            return
        self._lock = threading.Lock()
        self._own_http = None
        for entry in self._entries.values():
            entry.flight = None
        self._pid = os.getpid()


class AsyncClient(_Source["asyncio.Task[_answers.Granted | SealwrightError]"]):
    """Tokens of one agent, for asyncio. As `Client`, with `await client.token(…)`.

    A caller that is cancelled does not cancel the request for the others. `http` is an `httpx.AsyncClient` of your own.
    """

    def __init__(
        self,
        base_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        client_secret_file: str | os.PathLike[str] | None = None,
        assertion_file: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
        http: httpx.AsyncClient | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            base_url, client_id, client_secret, client_secret_file, assertion_file, timeout, clock, environment
        )
        self._given_http = http
        self._own_http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def token(self, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None) -> str:
        """As `Client.token`."""
        token = self._kept(scope, audience, resource)
        return token if token is not None else await self._obtain(_key(scope, audience, resource))

    async def replace(
        self, token: str, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None
    ) -> str | None:
        """As `Client.replace`."""
        key = _key(scope, audience, resource)
        self._mind_loops()
        entry = self._cache.entry(key, self._monotonic())
        decision = self._cache.decide_rejected(entry, token, self._monotonic())
        if isinstance(decision, Hand):
            return decision.token
        if isinstance(decision, Refuse):
            return None
        outcome = await asyncio.shield(self._flight(key, entry))
        if isinstance(outcome, _answers.Granted):
            return outcome.token
        if self._cache.drop_rejected(entry, token, outcome):
            raise again(outcome)
        return None

    def auth(self, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None) -> httpx.Auth:
        """Authentication for an `httpx.AsyncClient`."""
        return _AsyncAuth(self, scope, audience, resource)

    async def aclose(self) -> None:
        """Closes the connections. The client can be used again afterwards."""
        http, self._own_http = self._own_http, None
        if http is not None:
            await http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _obtain(self, key: Key) -> str:
        self._mind_loops()
        entry = self._cache.entry(key, self._monotonic())
        decision = self._cache.decide(entry, self._monotonic())
        if isinstance(decision, Hand):
            if decision.renew:
                self._flight(key, entry)
            return decision.token
        if isinstance(decision, Refuse):
            raise decision.error
        outcome = await asyncio.shield(self._flight(key, entry))
        if isinstance(outcome, _answers.Granted):
            return outcome.token
        raise again(outcome)

    def _flight(
        self, key: Key, entry: Entry[asyncio.Task[_answers.Granted | SealwrightError]]
    ) -> asyncio.Task[_answers.Granted | SealwrightError]:
        """The task that asks; the entry keeps it, so that nobody collects it."""
        if entry.flight is None:
            entry.flight = asyncio.get_running_loop().create_task(self._fly(key, entry), name="sealwright-renewal")
        return entry.flight

    async def _fly(
        self, key: Key, entry: Entry[asyncio.Task[_answers.Granted | SealwrightError]]
    ) -> _answers.Granted | SealwrightError:
        asked_at = self._monotonic()
        task = asyncio.current_task()
        try:
            outcome = await self._fetch(key)
            self._settle(key, entry, asked_at, outcome)
            return outcome
        finally:
            if entry.flight is task:
                entry.flight = None

    async def _fetch(self, key: Key) -> _answers.Granted | SealwrightError:
        try:
            ask, secret = self._ask(key)
        except ConfigurationError as error:
            return again(error)
        try:
            return self._read(await send_async(self._http(), ask), secret)
        except FAILURES as error:
            return self._unreachable(error)

    def _http(self) -> httpx.AsyncClient:
        if self._given_http is not None:
            return self._given_http
        if self._own_http is None:
            self._own_http = httpx.AsyncClient()
        return self._own_http

    def _mind_loops(self) -> None:
        """In another event loop, or in the child of a fork: tasks and connections belong to the one before."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._pid == os.getpid():
            return
        self._own_http = None
        for entry in self._entries.values():
            entry.flight = None
        self._loop, self._pid = loop, os.getpid()


class _Bearing(httpx.Auth):
    """Sends a token with each request."""

    def __init__(self, scope: Scopes, audience: str | None, resource: str | None) -> None:
        key = _key(scope, audience, resource)
        self._key = key._asdict()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._key})"


class _Auth(_Bearing):
    def __init__(self, client: Client, scope: Scopes, audience: str | None, resource: str | None) -> None:
        super().__init__(scope, audience, resource)
        self._client = client

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._client.token(**self._key)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if _rejects(response, token):
            other = self._client.replace(token, **self._key)
            if other is not None and _can_be_sent_again(request):
                request.headers["Authorization"] = f"Bearer {other}"
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        raise RuntimeError("use the auth of a sealwright.AsyncClient with an httpx.AsyncClient")
        yield request


class _AsyncAuth(_Bearing):
    def __init__(self, client: AsyncClient, scope: Scopes, audience: str | None, resource: str | None) -> None:
        super().__init__(scope, audience, resource)
        self._client = client

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("use the auth of a sealwright.Client with an httpx.Client")
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._client.token(**self._key)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if _rejects(response, token):
            other = await self._client.replace(token, **self._key)
            if other is not None and _can_be_sent_again(request):
                request.headers["Authorization"] = f"Bearer {other}"
                yield request


def _can_be_sent_again(request: httpx.Request) -> bool:
    """Whether the body is bytes, and not a stream that has been read."""
    return isinstance(request.stream, httpx.ByteStream)


def _rejects(response: httpx.Response, token: str) -> bool:
    """Whether this token was refused. Where a redirection led to another host, the request went there without it."""
    carried = response.request.headers.get("Authorization") == f"Bearer {token}"
    return carried and rejects(response.status_code, response.headers.get("www-authenticate", ""))


def rejects(status: int, challenge: str) -> bool:
    """Whether a service refused the token itself (RFC 6750 §3.1): 401 with `error="invalid_token"`."""
    return status == 401 and "invalid_token" in challenge


def _key(scope: Scopes, audience: str | None, resource: str | None) -> Key:
    if scope is not None:
        scope = " ".join((scope if isinstance(scope, str) else " ".join(scope)).split()) or None
    return Key(scope, audience or None, resource or None)


def _named(key: Key) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in key._asdict().items() if value) or "all scopes"
