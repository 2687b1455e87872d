"""Tokens for agents, and their verification in services, with Sealwright.

An agent has one `Client` (or `AsyncClient`) and asks it for a token before each call. A service has one `Verifier` (or
`AsyncVerifier`), and a door for its framework: `sealwright.starlette` for FastAPI and Starlette, `sealwright.mcp` for MCP
servers, `sealwright.bearer` for any other.
"""

__version__ = "0.1.0"

from .claims import Claims
from .client import AsyncClient, Client
from .clock import Clock, SystemClock
from .errors import (
    AgentSuspended,
    ConfigurationError,
    InsufficientScope,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    QuotaReached,
    RateLimited,
    ScopeDenied,
    SealwrightError,
    TokenError,
    Unavailable,
)
from .verifier import AsyncVerifier, Verifier

__all__ = [
    "AgentSuspended",
    "AsyncClient",
    "AsyncVerifier",
    "Claims",
    "Client",
    "Clock",
    "ConfigurationError",
    "InsufficientScope",
    "InvalidClient",
    "InvalidRequest",
    "InvalidToken",
    "QuotaReached",
    "RateLimited",
    "ScopeDenied",
    "SealwrightError",
    "SystemClock",
    "TokenError",
    "Unavailable",
    "Verifier",
    "__version__",
]
