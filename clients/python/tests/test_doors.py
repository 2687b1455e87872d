"""Doors: FastAPI, Starlette, MCP, and what any other framework is told."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from kit import AUDIENCE, FakeClock, run
from sealwright import Claims, InsufficientScope, InvalidToken, Unavailable
from sealwright.bearer import MissingToken, read_bearer, refusal
from sealwright.fastapi import Door
from sealwright.mcp import TokenVerifier, challenge, metadata_url, protected_resource_metadata
from test_vectors import EMPTY, StillAsyncVerifier, StillVerifier, both_verifiers, made, publisher, verdict
from test_verifier import BY_NAME, GOOD, TOKENS


def verifier_of(kind: Any, clock: FakeClock) -> Any:
    server = publisher(TOKENS, lambda _: httpx.Response(200, json=EMPTY))
    verifier = made(kind, server, TOKENS, clock)
    verifier.poll()
    assert verdict(verifier, GOOD)[0] == "accept"
    return verifier


def fastapi_app(verifier: Any, **options: Any) -> FastAPI:
    door, app = Door(verifier, **options), FastAPI()

    @app.get("/read")
    async def read(claims: Annotated[Claims, Depends(door.require("db:read"))]) -> str:
        return claims.client_id

    @app.get("/write")
    async def write(claims: Annotated[Claims, Depends(door.require("db:read", "db:write"))]) -> str:
        return claims.client_id

    return app


def starlette_app(verifier: Any, **options: Any) -> Starlette:
    door = Door(verifier, **options)

    async def read(request: Request) -> PlainTextResponse:
        claims = await door.require("db:read")(request)
        return PlainTextResponse(claims.client_id)

    async def write(request: Request) -> PlainTextResponse:
        claims = await door.require("db:read", "db:write")(request)
        return PlainTextResponse(claims.client_id)

    return Starlette(routes=[Route("/read", read), Route("/write", write)])


def ask(app: Any, path: str, *authorization: str) -> httpx.Response:
    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.example") as http:
            return await http.get(path, headers=[("Authorization", value) for value in authorization])

    return run(once())


@both_verifiers
@pytest.mark.parametrize("make", [fastapi_app, starlette_app])
def test_a_door_answers_as_rfc_6750_says(kind: Any, make: Any) -> None:
    clock = FakeClock()
    app = make(verifier_of(kind, clock))
    answer = ask(app, "/read", f"Bearer {GOOD}")
    assert (answer.status_code, answer.text.strip('"')) == (200, "reporter")
    assert ask(app, "/read", f"bearer   {GOOD} ").status_code == 200

    for headers in [(), ("",), ("Basic eDp5",), ("Bearer",), ("Bearer ",), (f"Bearer {GOOD}", f"Bearer {GOOD}")]:
        answer = ask(app, "/read", *headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), headers

    answer = ask(app, "/read", "Bearer garbage")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert answer.headers["cache-control"] == "no-store"

    answer = ask(app, "/write", f"Bearer {GOOD}")
    assert answer.status_code == 403
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="db:read db:write"' in challenge
    assert "the token lacks db:write" in challenge

    clock.advance(580)
    high = BY_NAME["high risk"]
    answer = ask(app, "/read", f"Bearer {high}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "www-authenticate" not in answer.headers


def test_a_refusal_says_nothing_of_a_token_and_breaks_no_header() -> None:
    told = refusal(InvalidToken("malformed", 'a "quoted" \\ line\r\nX: y'))
    assert told.headers["WWW-Authenticate"] == 'Bearer error="invalid_token", error_description="a quoted  lineX: y"'
    assert b"\r" not in told.body
    error = Unavailable("the keys of http://internal:3000 cannot be had")
    error.retry_after = 7.2
    told = refusal(error)
    assert (told.status, told.headers["Retry-After"]) == (503, "8")
    assert b"internal" not in told.body


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "bearerabc", "Token a"])
def test_no_token_is_told_apart_from_a_bad_one(header: str | None) -> None:
    with pytest.raises(MissingToken):
        read_bearer(header)


def test_mcp_metadata_is_where_rfc_9728_says() -> None:
    assert metadata_url("https://mcp.example/mcp") == "https://mcp.example/.well-known/oauth-protected-resource/mcp"
    assert metadata_url("https://mcp.example") == "https://mcp.example/.well-known/oauth-protected-resource"
    assert metadata_url("https://mcp.example/") == "https://mcp.example/.well-known/oauth-protected-resource"
    assert protected_resource_metadata(
        "https://mcp.example/mcp", "https://auth.example", ["db:read"], resource_name="Rows"
    ) == {
        "resource": "https://mcp.example/mcp",
        "authorization_servers": ["https://auth.example"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["db:read"],
        "resource_name": "Rows",
    }


def test_an_mcp_challenge_leads_to_the_metadata() -> None:
    where = 'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'
    assert challenge(MissingToken(), "https://mcp.example/mcp").headers["WWW-Authenticate"] == f"Bearer {where}"
    told = challenge(InsufficientScope(["db:read"], ["db:read"]), "https://mcp.example/mcp")
    assert told.status == 403
    assert 'scope="db:read"' in told.headers["WWW-Authenticate"]
    assert where in told.headers["WWW-Authenticate"]
    app = fastapi_app(
        verifier_of(StillAsyncVerifier, FakeClock()), resource_metadata=metadata_url("https://mcp.example/mcp")
    )
    assert ask(app, "/read").headers["www-authenticate"] == f"Bearer {where}"


def test_the_mcp_sdk_gets_what_it_expects() -> None:
    provider = pytest.importorskip("mcp.server.auth.provider")
    clock = FakeClock()
    verifier = verifier_of(StillAsyncVerifier, clock)
    sdk = TokenVerifier(verifier)
    token = run(sdk.verify_token(GOOD))
    assert isinstance(token, provider.AccessToken)
    assert (token.client_id, token.scopes, token.resource) == ("reporter", ["db:read"], AUDIENCE)
    assert run(sdk.verify_token("garbage")) is None
    clock.advance(580)
    with pytest.raises(Unavailable):
        run(sdk.verify_token(BY_NAME["high risk"]))


def test_a_threaded_verifier_serves_beside_an_event_loop() -> None:
    app = fastapi_app(verifier_of(StillVerifier, FakeClock()))
    assert ask(app, "/read", f"Bearer {GOOD}").status_code == 200
