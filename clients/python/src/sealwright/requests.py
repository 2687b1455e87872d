"""Tokens for programs that use `requests`. It needs the extra `requests`."""

from __future__ import annotations

from typing import Any

import requests
import requests.auth
import requests.cookies

from .client import Client, Scopes, rejects

__all__ = ["BearerAuth"]


class BearerAuth(requests.auth.AuthBase):
    """Sends a token with each request: `requests.get(url, auth=BearerAuth(client, scope="db:read"))`.

    When the service rejects it as `invalid_token`, the request is sent once more with another one, unless its body cannot
    be sent again.
    """

    def __init__(
        self, client: Client, *, scope: Scopes = None, audience: str | None = None, resource: str | None = None
    ) -> None:
        self._client = client
        self._key: dict[str, Any] = {"scope": scope, "audience": audience, "resource": resource}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by `requests`."""
        token = self._client.token(**self._key)
        request.headers["Authorization"] = f"Bearer {token}"
        body = request.body
        start = body.tell() if hasattr(body, "tell") else None  # type: ignore[union-attr]

        def again(response: requests.Response, **options: Any) -> requests.Response:
            # A redirection takes this hook along, and to another host without the token, which must get no other one there.
            carried = response.request.headers.get("Authorization") == f"Bearer {token}"
            if not carried or not rejects(response.status_code, response.headers.get("www-authenticate", "")):
                return response
            rewindable = start is not None and hasattr(body, "seek")
            if not (body is None or isinstance(body, (bytes, str)) or rewindable):
                return response
            other = self._client.replace(token, **self._key)
            if other is None:
                return response
            # Read it to its end, so that the connection can be used again.
            response.content  # noqa: B018
            response.close()
            if rewindable:
                body.seek(start)  # type: ignore[union-attr]
            second = response.request.copy()
            second.deregister_hook("response", again)
            second.headers["Authorization"] = f"Bearer {other}"
            sent: requests.Response = response.connection.send(second, **options)
            sent.history.append(response)
            sent.request = second
            return sent

        request.register_hook("response", again)
        return request

    def __repr__(self) -> str:
        return f"BearerAuth({self._client!r}, {self._key})"
