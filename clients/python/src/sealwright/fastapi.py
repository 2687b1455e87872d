"""Doors for FastAPI: the same as `sealwright.starlette`."""

from .claims import Claims
from .starlette import Door

__all__ = ["Claims", "Door"]
