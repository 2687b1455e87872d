"""An MCP server that verifies tokens offline.

    pip install './clients/python[mcp]' uvicorn
    SEALWRIGHT_URL=http://localhost:3000 SEALWRIGHT_AUDIENCE=http://127.0.0.1:8001/mcp python main.py

`SEALWRIGHT_AUDIENCE` is the address of this server as its clients know it.
"""

import os

import uvicorn

# recipe: mcp
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from sealwright import AsyncVerifier
from sealwright.mcp import TokenVerifier

ISSUER, RESOURCE = os.environ["SEALWRIGHT_URL"], os.environ["SEALWRIGHT_AUDIENCE"]
server = MCPServer(
    "database",
    token_verifier=TokenVerifier(AsyncVerifier(ISSUER, RESOURCE)),
    auth=AuthSettings(
        # As texts: an AnyHttpUrl would put a slash behind the issuer, and it would be another one.
        issuer_url=ISSUER,  # type: ignore[arg-type]
        resource_server_url=RESOURCE,  # type: ignore[arg-type]
        required_scopes=["db:read"],
        # A token that was issued for another service opens nothing here.
        validate_token_resource=True,
    ),
)


@server.tool()
def who_am_i() -> str:
    token = get_access_token()
    return token.client_id if token else "nobody"


app = server.streamable_http_app()
# end of recipe

if __name__ == "__main__":
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:8001").rpartition(":")
    uvicorn.run(app, host=host.strip("[]") or "127.0.0.1", port=int(port), log_level="warning")
