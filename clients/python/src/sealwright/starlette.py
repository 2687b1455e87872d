"""Doors for FastAPI and Starlette. They need the extra `fastapi` or `starlette`.

FastAPI:

    door = Door(verifier)

    @app.get("/rows")
    async def rows(claims: Annotated[Claims, Depends(door.require("db:read"))]) -> str: ...

Starlette: `claims = await door.require("db:read")(request)` within an endpoint.

Refusals are exceptions of the framework: 401 and 403 with the challenge of RFC 6750, and 503.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from .bearer import MissingToken, read_bearer, refusal
from .claims import Claims
from .errors import SealwrightError
from .verifier import AsyncVerifier, Verifier

__all__ = ["Door"]


class Door:
    """Lets requests in whose token is good, and has the scopes that a route demands.

    `resource_metadata` is the address of a document of RFC 9728, which the challenges then name.
    """

    def __init__(self, verifier: AsyncVerifier | Verifier, *, resource_metadata: str | None = None) -> None:
        self._verifier = verifier
        self._resource_metadata = resource_metadata

    def require(self, *scopes: str) -> Callable[[Request], Awaitable[Claims]]:
        """A dependency, whose value is what the token says."""

        async def claims_of(request: Request) -> Claims:
            try:
                return await self._verify(request, scopes)
            except SealwrightError as error:
                told = refusal(error, resource_metadata=self._resource_metadata)
                headers = {name: value for name, value in told.headers.items() if name != "Content-Type"}
                raise HTTPException(told.status, told.description, headers) from None

        return claims_of

    async def _verify(self, request: Request, scopes: tuple[str, ...]) -> Claims:
        given = request.headers.getlist("authorization")
        if len(given) > 1:
            raise MissingToken("there are several Authorization headers")
        token = read_bearer(given[0] if given else None)
        if isinstance(self._verifier, AsyncVerifier):
            return await self._verifier.verify(token, scope=scopes)
        # It may wait for the keys.
        return await run_in_threadpool(self._verifier.verify, token, scope=scopes)
