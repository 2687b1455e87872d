"""The MCP SDK on both sides: a server that asks for tokens of ours, and a client that finds its way to them."""

import asyncio

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mcp.client.auth import OAuthTokenError
from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider, SignedJWTParameters

from given import CLIENT_ID, CLIENT_SECRET, ISSUER, SERVICE_ID, SERVICE_SECRET, WRONG_SECRET, answered, did, done
from given import free_port, give_key, introspect, request_token, revoke, sealwright

PORT = free_port()
RESOURCE = f"http://127.0.0.1:{PORT}/mcp"

# recipe: server
import httpx2
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer


class Introspection:
    """Asks about each token, so that a revocation holds on the very next call."""

    async def verify_token(self, token):
        async with httpx2.AsyncClient(auth=(SERVICE_ID, SERVICE_SECRET)) as service:
            answer = await service.post(f"{ISSUER}/api/v1/token/introspect", data={"token": token})
        told = answer.raise_for_status().json()
        if not told["active"]:
            return None
        audiences = told["aud"] if isinstance(told["aud"], list) else [told["aud"]]
        return AccessToken(
            token=token,
            client_id=told["client_id"],
            scopes=told["scope"].split(),
            expires_at=told["exp"],
            resource=RESOURCE if RESOURCE in audiences else None,
        )


server = MCPServer(
    "database",
    token_verifier=Introspection(),
    auth=AuthSettings(
        issuer_url=ISSUER,
        resource_server_url=RESOURCE,
        required_scopes=["db:read"],
        # A token that was issued for another service opens nothing here.
        validate_token_resource=True,
    ),
)


@server.tool()
def who_am_i() -> str:
    return get_access_token().client_id
# end of recipe


# recipe: client
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client


class Memory:
    """Where the client keeps its token."""

    tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens


async def ask_who_i_am(secret, memory):
    login = ClientCredentialsOAuthProvider(RESOURCE, memory, CLIENT_ID, secret, issuer=ISSUER)
    async with httpx2.AsyncClient(auth=login) as http:
        async with Client(streamable_http_client(RESOURCE, http_client=http)) as client:
            return (await client.call_tool("who_am_i")).content[0].text
# end of recipe


async def ask_who_i_am_by_key(memory):
    key = ec.generate_private_key(ec.SECP256R1())
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    give_key(key.public_key().public_bytes(*public).decode())
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    signed = SignedJWTParameters(
        issuer=CLIENT_ID,
        subject=CLIENT_ID,
        signing_key=key.private_bytes(*private).decode(),
        signing_algorithm="ES256",
        lifetime_seconds=60,
    )
    provider = signed.create_assertion_provider()
    login = PrivateKeyJWTOAuthProvider(RESOURCE, memory, CLIENT_ID, provider, issuer=ISSUER)
    async with httpx2.AsyncClient(auth=login) as http:
        async with Client(streamable_http_client(RESOURCE, http_client=http)) as client:
            return (await client.call_tool("who_am_i")).content[0].text


async def status_with(token):
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "reporter", "version": "1"}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    async with httpx2.AsyncClient(headers=headers) as client:
        return (await client.post(RESOURCE, json=request)).status_code


async def main():
    global ISSUER
    elsewhere = request_token(scope="db:read")
    sealwright("agent", "update", CLIENT_ID, "--scope", "db:read", "--audience", RESOURCE)
    memory = Memory()
    before = answered("/.well-known/oauth-authorization-server")
    client_id = await ask_who_i_am(CLIENT_SECRET, memory)
    # Nobody told it where the tokens are.
    assert answered("/.well-known/oauth-authorization-server") == before + 1
    did("discovery (RFC 9728, 8414)")
    token = memory.tokens.access_token
    told = introspect(token)
    # It asks for what the resource demands, for that resource.
    assert (told["scope"], told["aud"]) == ("db:read", RESOURCE), told
    assert client_id == CLIENT_ID
    did("token for the resource, tool call")
    assert await status_with(token) == 200
    assert await status_with(elsewhere) == 401
    did("401 for another audience")
    revoke(token)
    assert await status_with(token) == 401
    did("401 after revocation")
    # The client that keeps the dead token gets another.
    assert await ask_who_i_am(CLIENT_SECRET, memory) == CLIENT_ID
    assert memory.tokens.access_token != token
    did("another token after a 401")
    assert await ask_who_i_am_by_key(Memory()) == CLIENT_ID
    did("`private_key_jwt`")
    issuer, ISSUER = ISSUER, "http://127.0.0.1:1"
    assert await status_with(memory.tokens.access_token) == 500
    ISSUER = issuer
    did("500, not 401, while the server cannot be asked")
    try:
        await ask_who_i_am(WRONG_SECRET, Memory())
        raise SystemExit("a wrong secret got a token")
    except* OAuthTokenError as failures:
        assert "invalid_client" in str(failures.exceptions), failures
    did("a wrong secret is `OAuthTokenError`")


# recipe: serve
import uvicorn

app = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), port=PORT, log_level="error"))
# end of recipe


async def serve_and_run():
    serving = asyncio.create_task(app.serve())
    while not app.started:
        await asyncio.sleep(0.01)
    await main()
    app.should_exit = True
    await serving


asyncio.run(serve_and_run())

done("mcp")
