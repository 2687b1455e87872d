"""Verifies tokens offline: the signature with the issuer's keys, and revocation with a list that it follows.

`Verifier` and `AsyncVerifier` share everything but how they ask and wait: see `_core`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from types import TracebackType

import httpx
import jwt

from . import _feed, _jwt, _keys
from ._core import FIRST_LIST_WITHIN, REPORT_PATIENCE, Core, Endpoints, Proof
from ._http import FAILURES, Answer, Ask, send, send_async, why
from .claims import Claims
from .client import AsyncClient, Client, Scopes
from .clock import Clock
from .errors import SealwrightError

__all__ = ["AsyncVerifier", "Verifier"]

_log = logging.getLogger("sealwright")


class _Base:
    """What both verifiers are."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pid = os.getpid()

    @property
    def issuer(self) -> str:
        """Whose tokens it accepts."""
        return self._core.issuer

    @property
    def audience(self) -> str:
        """For whom they must be."""
        return self._core.audience

    @property
    def version(self) -> int | str | None:
        """The version of the revocation list that it enforces; `None` before the first."""
        return self._core.feed.version

    @property
    def silence(self) -> float | None:
        """Seconds since it last heard of the list, for a metric; `None` before the first."""
        return self._core.feed.silence

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self.issuer!r}, audience={self.audience!r})"

    def __reduce__(self) -> str:
        raise TypeError(f"{type(self).__name__} cannot be pickled. Make one in each process.")


def _demand(claims: Claims, scope: Scopes) -> Claims:
    if scope is not None:
        claims.demand(*(scope.split() if isinstance(scope, str) else scope))
    return claims


class Verifier(_Base):
    """Says whether a token is good, in threads. One serves a whole process.

    The first `verify` fetches the keys and the revocation list, and starts a thread that follows the list: each poll is
    held by the server until there is news, so that a revocation is known within two seconds. Where no poll is held, it
    asks every 12 to 15 s.

    - `wait`: how long a poll is held, in seconds (25 at most). 0 is a poll every 15 s instead.
    - `stale_after`: after how many seconds of silence high-risk tokens, and all tokens, are refused with `Unavailable`.
    - `when_stale`: `"accept"` goes on with the last list for ever instead.
    - `cache`: a file that keeps the list for the next start.
    - `base_url`: where the server is reached, if not at the issuer's address.
    - `client`: credentials of an agent, with which the server counts this verifier when it says who enforces a
      revocation; `name` is how it is shown then.
    - `typ`: what the server writes into the header of its tokens (`token.typ`).
    - `http`: an `httpx.Client` of your own, for proxies and certificates.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        wait: int = _feed.WAIT,
        stale_after: tuple[float, float] = (60.0, 900.0),
        when_stale: str = "refuse",
        cache: str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        client: Client | None = None,
        name: str | None = None,
        typ: str = _jwt.TYPE,
        http: httpx.Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            Core(
                issuer, audience, base_url=base_url, typ=typ, wait=wait, stale_after=stale_after, when_stale=when_stale,
                cache=cache, name=name, clock=clock,
            )
        )  # fmt: skip
        self._given_http, self._client = http, client
        self._lock = threading.Lock()
        self._poller: Poller | None = None

    def verify(self, token: str, *, scope: Scopes = None) -> Claims:
        """What a good token says. With `scope`, it must have all these scopes.

        Raises `InvalidToken` (answer 401), `InsufficientScope` (403), or `Unavailable` (503): nobody knows whether it is good.
        """
        poller = self._poller
        if poller is None or self._pid != os.getpid():
            poller = self._start()
        claims = self._core.remembered(token)
        if claims is None:
            parsed = _jwt.parse(token, self._core.typ)
            key = self._core.keys.keys.get(parsed.kid) or poller.find_key(parsed.kid)
            if self._core.feed.silence is None:
                poller.await_list()
            claims = self._core.accept(token, parsed, key)
        return _demand(claims, scope)

    def start(self) -> None:
        """Fetches keys and list now, and not with the first token. Raises `Unavailable` if they cannot be had."""
        poller = self._start()
        poller.fetch_keys_once()
        poller.await_list()
        self._core.feed.check_fresh(2**53, high_risk=True)

    def close(self) -> None:
        """Ends the thread. A later `verify` starts it again."""
        with self._lock:
            poller, self._poller = self._poller, None
        if poller is not None:
            poller.stop()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> Poller:
        if self._pid != os.getpid():
            # In the child of a fork: the thread is not here, and the connections are the parent's.
            self._lock, self._poller, self._pid = threading.Lock(), None, os.getpid()
            self._core.name_process()
        with self._lock:
            if self._poller is None:
                self._poller = Poller(self._core, self._given_http, self._client)
                self._poller.start()
                # A verifier that nobody holds any longer ends its thread. The thread itself holds no verifier.
                weakref.finalize(self, self._poller.stop)
            return self._poller


class Poller:
    """Asks for keys and list. Its thread holds the core, and never the verifier."""

    def __init__(self, core: Core, http: httpx.Client | None, client: Client | None) -> None:
        self._core = core
        self._given_http, self._client = http, client
        self._http = http or httpx.Client()
        self._fetching = threading.Lock()
        self._stopped = threading.Event()
        self._first = threading.Event()

    def start(self) -> None:
        """Starts the thread."""
        threading.Thread(target=self._run, name="sealwright-feed", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread, after the poll that is under way."""
        self._stopped.set()

    def await_list(self) -> None:
        """Waits a moment for the answer to the first poll."""
        self._first.wait(FIRST_LIST_WITHIN)

    def find_key(self, kid: str) -> jwt.PyJWK:
        """A key that is not known yet. Raises `InvalidToken` or `Unavailable`."""
        core = self._core
        with self._fetching:
            # Another thread may have fetched it while this one waited.
            found = core.keys.keys.get(kid)
            if found is None and core.keys.may_fetch(core.clock.monotonic()):
                core.keys.asked_for_unknown(core.clock.monotonic())
                self._fetch_keys()
                if core.keys.lacks(kid) and not self._stopped.wait(_keys.SECOND_LOOK_AFTER):
                    core.keys.asked_for_unknown(core.clock.monotonic())
                    self._fetch_keys()
                found = core.keys.keys.get(kid)
        if found is None:
            core.refuse_unknown_key()
        assert found is not None  # noqa: S101
        return found

    def fetch_keys_once(self) -> None:
        """Fetches the keys if there are none. Raises `Unavailable`."""
        with self._fetching:
            if not self._core.keys.keys:
                self._fetch_keys()
        if not self._core.keys.keys:
            self._core.refuse_unknown_key()

    def _fetch_keys(self) -> None:
        answer = None
        try:
            endpoints = self._find_endpoints()
            if endpoints is not None:
                answer = send(self._http, self._core.keys_ask(endpoints))
        except FAILURES as error:
            _log.warning("the keys of %s cannot be had: %s", self._core.issuer, why(error))
        self._core.learn_keys(answer)

    def _find_endpoints(self) -> Endpoints | None:
        core = self._core
        if core.endpoints is None:
            for ask in core.metadata_asks():
                if core.learn_endpoints(send(self._http, ask)):
                    break
        return core.endpoints

    def poll_once(self) -> None:
        """One poll of the list, and new keys if they have grown old."""
        core = self._core
        poll = core.feed.poll()
        try:
            endpoints = self._find_endpoints()
            if endpoints is None:
                core.feed.failed(poll)
            else:
                answer = send(self._http, core.feed_ask(endpoints, poll, self._proof(poll)))
                if core.feed.answered(poll, answer.status, answer.headers, answer.body):
                    core.keep()
                elif core.feed.delay:
                    _log.warning("the revocation list cannot be had: an answer with %s", answer.status)
        except FAILURES as error:
            core.feed.failed(poll)
            _log.warning("the revocation list cannot be had: %s", why(error))
        if core.keys.is_old(core.clock.monotonic()) and self._fetching.acquire(blocking=False):
            try:
                self._fetch_keys()
            finally:
                self._fetching.release()

    def _proof(self, poll: _feed.Poll) -> Proof:
        client, issuer = self._client, self._core.issuer
        if client is None or poll.since is None:
            return Proof()
        proofs: list[Proof] = []

        def ask() -> None:
            try:
                proofs.append(Proof(client.token(audience=issuer)))
            except SealwrightError as error:
                proofs.append(Proof.without(error))

        asking = threading.Thread(target=ask, name="sealwright-report", daemon=True)
        asking.start()
        asking.join(REPORT_PATIENCE)
        return proofs[0] if proofs else Proof(reports=False)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    self.poll_once()
                except Exception:
                    # The list must be followed, whatever happens.
                    _log.exception("a poll of the revocation list failed")
                    self._core.feed.delay = _feed.LAST_RETRY
                self._first.set()
                self._stopped.wait(self._core.feed.delay)
        finally:
            if self._given_http is None:
                self._http.close()


class AsyncVerifier(_Base):
    """As `Verifier`, for asyncio, with `await verifier.verify(token)`. A task follows the list."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        wait: int = _feed.WAIT,
        stale_after: tuple[float, float] = (60.0, 900.0),
        when_stale: str = "refuse",
        cache: str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        client: AsyncClient | None = None,
        name: str | None = None,
        typ: str = _jwt.TYPE,
        http: httpx.AsyncClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            Core(
                issuer, audience, base_url=base_url, typ=typ, wait=wait, stale_after=stale_after, when_stale=when_stale,
                cache=cache, name=name, clock=clock,
            )
        )  # fmt: skip
        self._given_http, self._client = http, client
        self._poller: AsyncPoller | None = None
        self._finalizer: weakref.finalize[[], AsyncVerifier] | None = None

    async def verify(self, token: str, *, scope: Scopes = None) -> Claims:
        """As `Verifier.verify`."""
        poller = self._start()
        claims = self._core.remembered(token)
        if claims is None:
            parsed = _jwt.parse(token, self._core.typ)
            key = self._core.keys.keys.get(parsed.kid) or await poller.find_key(parsed.kid)
            if self._core.feed.silence is None:
                await poller.await_list()
            claims = self._core.accept(token, parsed, key)
        return _demand(claims, scope)

    async def start(self) -> None:
        """As `Verifier.start`."""
        poller = self._start()
        await poller.fetch_keys_once()
        await poller.await_list()
        self._core.feed.check_fresh(2**53, high_risk=True)

    async def aclose(self) -> None:
        """Ends the task and closes the connections. A later `verify` starts again."""
        poller, self._poller = self._poller, None
        if poller is not None:
            await poller.aclose()

    async def __aenter__(self) -> AsyncVerifier:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start(self) -> AsyncPoller:
        loop = asyncio.get_running_loop()
        poller = self._poller
        if self._pid != os.getpid():
            # In the child of a fork: the task and the connections are the parent's.
            poller, self._pid = None, os.getpid()
            self._core.name_process()
        if poller is None or poller.loop is not loop:
            if self._finalizer is not None:
                # It ends what followed the list in another loop, and keeps nothing of it.
                self._finalizer()
            poller = self._poller = AsyncPoller(self._core, self._given_http, self._client, loop)
            poller.start()
            self._finalizer = weakref.finalize(self, poller.stop)
        return poller


class AsyncPoller:
    """As `Poller`, with tasks of one event loop."""

    def __init__(
        self, core: Core, http: httpx.AsyncClient | None, client: AsyncClient | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self._core = core
        self._given_http, self._client = http, client
        self._http = http or httpx.AsyncClient()
        self._first = asyncio.Event()
        self._keys: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the task."""
        self._task = self.loop.create_task(self._run(), name="sealwright-feed")

    def stop(self) -> None:
        """Ends the task, from whatever thread."""
        if self._task is not None and not self.loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._task.cancel)

    async def aclose(self) -> None:
        """Ends the task and waits for its end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def await_list(self) -> None:
        """Waits a moment for the answer to the first poll."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._first.wait(), FIRST_LIST_WITHIN)

    async def find_key(self, kid: str) -> jwt.PyJWK:
        """A key that is not known yet. Raises `InvalidToken` or `Unavailable`."""
        core = self._core
        for under in (self._keys, self._look):
            if under is not None and kid not in core.keys.keys:
                await asyncio.shield(under)
        if kid not in core.keys.keys and self._look is None and core.keys.may_fetch(core.clock.monotonic()):
            self._look = self.loop.create_task(self._look_for(kid), name="sealwright-keys")
            await asyncio.shield(self._look)
        found = core.keys.keys.get(kid)
        if found is None:
            core.refuse_unknown_key()
        assert found is not None  # noqa: S101
        return found

    async def fetch_keys_once(self) -> None:
        """Fetches the keys if there are none. Raises `Unavailable`."""
        if not self._core.keys.keys:
            await self._fetch_keys()
        if not self._core.keys.keys:
            self._core.refuse_unknown_key()

    async def _look_for(self, kid: str) -> None:
        """Fetches the keys because of an unknown kid, and once more if they lack it."""
        core = self._core
        try:
            core.keys.asked_for_unknown(core.clock.monotonic())
            await self._fetch_keys()
            if core.keys.lacks(kid):
                await asyncio.sleep(_keys.SECOND_LOOK_AFTER)
                core.keys.asked_for_unknown(core.clock.monotonic())
                await self._fetch_keys()
        finally:
            self._look = None

    async def _fetch_keys(self) -> None:
        """One fetch for all who wait; a caller that is cancelled does not cancel it."""
        if self._keys is None:
            self._keys = self.loop.create_task(self._fetch_keys_now(), name="sealwright-keys")
        await asyncio.shield(self._keys)

    async def _fetch_keys_now(self) -> None:
        answer: Answer | None = None
        try:
            endpoints = await self._find_endpoints()
            if endpoints is not None:
                answer = await self._send(self._core.keys_ask(endpoints))
        except FAILURES as error:
            _log.warning("the keys of %s cannot be had: %s", self._core.issuer, why(error))
        finally:
            self._keys = None
        self._core.learn_keys(answer)

    async def _find_endpoints(self) -> Endpoints | None:
        core = self._core
        if core.endpoints is None:
            for ask in core.metadata_asks():
                if core.learn_endpoints(await self._send(ask)):
                    break
        return core.endpoints

    async def _send(self, ask: Ask) -> Answer:
        return await send_async(self._http, ask)

    async def poll_once(self) -> None:
        """One poll of the list, and new keys if they have grown old."""
        core = self._core
        poll = core.feed.poll()
        try:
            endpoints = await self._find_endpoints()
            if endpoints is None:
                core.feed.failed(poll)
            else:
                answer = await self._send(core.feed_ask(endpoints, poll, await self._proof(poll)))
                if core.feed.answered(poll, answer.status, answer.headers, answer.body):
                    core.keep()
                elif core.feed.delay:
                    _log.warning("the revocation list cannot be had: an answer with %s", answer.status)
        except FAILURES as error:
            core.feed.failed(poll)
            _log.warning("the revocation list cannot be had: %s", why(error))
        if core.keys.is_old(core.clock.monotonic()):
            await self._fetch_keys()

    async def _proof(self, poll: _feed.Poll) -> Proof:
        if self._client is None or poll.since is None:
            return Proof()
        try:
            return Proof(await asyncio.wait_for(self._client.token(audience=self._core.issuer), REPORT_PATIENCE))
        except asyncio.TimeoutError:
            return Proof(reports=False)
        except SealwrightError as error:
            return Proof.without(error)

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self.poll_once()
                except Exception:
                    # The list must be followed, whatever happens.
                    _log.exception("a poll of the revocation list failed")
                    self._core.feed.delay = _feed.LAST_RETRY
                self._first.set()
                await asyncio.sleep(self._core.feed.delay)
        finally:
            if self._given_http is None:
                await self._http.aclose()
