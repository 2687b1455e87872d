"""What a token says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .errors import InsufficientScope

__all__ = ["Claims"]


def _frozen(value: Any) -> Any:
    """A JSON value in which nothing can be changed: an object as a view, an array as a tuple."""
    if isinstance(value, dict):
        return MappingProxyType({name: _frozen(member) for name, member in value.items()})
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return value


class Claims(Mapping[str, Any]):
    """The claims of a token that is good: `claims.client_id`, and any other by its name, `claims["jti"]`."""

    __slots__ = (
        "_claims", "audience", "client_id", "epoch", "expires_at", "high_risk", "issued_at", "issuer", "jti",
        "not_before", "org_epoch", "org_id", "scopes", "subject",
    )  # fmt: skip

    issuer: str
    """Who issued it."""
    subject: str
    """The agent, or the user on whose behalf it acts."""
    client_id: str
    """The agent."""
    audience: tuple[str, ...]
    """For whom it was issued."""
    _claims: Mapping[str, Any]
    scopes: tuple[str, ...]
    """What it may be used for."""
    jti: str
    """Its name."""
    epoch: int
    """The agent's epoch when it was issued."""
    org_id: str | None
    """The agent's organization, if it is not the default one."""
    org_epoch: int
    """The organization's epoch when it was issued."""
    issued_at: int
    """In Unix seconds."""
    expires_at: int
    """In Unix seconds; from this second on it is worth nothing."""
    not_before: int
    """In Unix seconds; 0 if it does not say."""
    high_risk: bool
    """Whether a scope of it is high-risk."""

    def __init__(
        self, claims: dict[str, Any], audience: tuple[str, ...], issued_at: int, expires_at: int, not_before: int
    ) -> None:
        # Whoever verifies the same token later gets the same object, so nothing in it can be changed.
        told = {
            "_claims": _frozen(claims),
            "issuer": claims["iss"],
            "subject": claims["sub"],
            "client_id": claims["client_id"],
            "audience": audience,
            "scopes": tuple(scope for scope in claims.get("scope", "").split(" ") if scope),
            "jti": claims["jti"],
            "epoch": claims["epoch"],
            "org_id": claims.get("org_id"),
            "org_epoch": claims.get("org_epoch", 0),
            "issued_at": issued_at,
            "expires_at": expires_at,
            "not_before": not_before,
            "high_risk": claims.get("risk") == "high",
        }
        for name, value in told.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("the claims of a token cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("the claims of a token cannot be changed")

    def demand(self, *scopes: str) -> None:
        """Raises `InsufficientScope` unless the token has all these scopes."""
        missing: Sequence[str] = [scope for scope in scopes if scope not in self.scopes]
        if missing:
            raise InsufficientScope(scopes, missing)

    def __getitem__(self, name: str) -> Any:
        return self._claims[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def __repr__(self) -> str:
        return f"Claims(client_id={self.client_id!r}, scopes={self.scopes!r}, jti={self.jti!r})"
