"""What all tests need."""

from __future__ import annotations

import pytest

from sealwright import _keys


@pytest.fixture(autouse=True)
def _no_pause_before_a_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keys, "SECOND_LOOK_AFTER", 0.0)
