"""For MCP servers: protected resource metadata (RFC 9728), its challenge, and a verifier for the MCP SDK.

The first two need no SDK. `TokenVerifier` needs the extra `mcp`:

    server = MCPServer("database", token_verifier=TokenVerifier(verifier), auth=AuthSettings(…))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ._http import base_of
from .bearer import Refusal, refusal
from .errors import InvalidToken, SealwrightError
from .verifier import AsyncVerifier

if TYPE_CHECKING:
    from mcp.server.auth.provider import AccessToken

__all__ = ["TokenVerifier", "challenge", "metadata_url", "protected_resource_metadata"]


def metadata_url(resource: str) -> str:
    """Where clients look for the metadata of a resource (RFC 9728 §3.1): `https://mcp.example/mcp` has its own at
    `https://mcp.example/.well-known/oauth-protected-resource/mcp`.
    """  # noqa: D205
    base_of(resource, "resource")
    parts = urlsplit(resource)
    path = parts.path if parts.path != "/" else ""
    return urlunsplit((parts.scheme, parts.netloc, f"/.well-known/oauth-protected-resource{path}", "", ""))


def protected_resource_metadata(
    resource: str, issuer: str, scopes: Sequence[str] = (), **others: Any
) -> Mapping[str, Any]:
    """The document to serve there, as JSON. `scopes` are those that a client should ask for; `others` are further members."""
    told = {"resource": resource, "authorization_servers": [issuer], "bearer_methods_supported": ["header"]}
    if scopes:
        told["scopes_supported"] = list(scopes)
    return {**told, **others}


def challenge(error: SealwrightError, resource: str) -> Refusal:
    """How to answer an error of `verify`, so that a client finds the metadata of this resource."""
    return refusal(error, resource_metadata=metadata_url(resource))


class TokenVerifier:
    """Verifies the tokens of an MCP server offline, for `token_verifier=` of the MCP SDK.

    The verifier's audience is the address of the MCP server. When nobody knows whether a token is good, `Unavailable` goes
    up, and the SDK answers 500: a 401 would make clients throw good tokens away.
    """

    def __init__(self, verifier: AsyncVerifier) -> None:
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        """Called by the SDK."""
        from mcp.server.auth.provider import AccessToken

        try:
            claims = await self._verifier.verify(token)
        except InvalidToken:
            return None
        return AccessToken(
            token=token,
            client_id=claims.client_id,
            scopes=list(claims.scopes),
            expires_at=claims.expires_at,
            resource=self._verifier.audience,
        )
