"""Time, as an argument: tests set it by hand."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The two times that this library reads."""

    def now(self) -> float:
        """The time of day, in Unix seconds. It may be set, forwards and back."""

    def monotonic(self) -> float:
        """Seconds since some moment. They never go back, and no setting of the time of day changes them."""


class SystemClock:
    """The clocks of the machine. Where the system has such a clock, `monotonic` counts its sleep as well."""

    now = staticmethod(time.time)

    if hasattr(time, "CLOCK_BOOTTIME"):

        @staticmethod
        def monotonic() -> float:
            """Seconds since the machine started."""
            return time.clock_gettime(time.CLOCK_BOOTTIME)

    else:
        monotonic = staticmethod(time.monotonic)

    def __repr__(self) -> str:
        return "SystemClock()"
