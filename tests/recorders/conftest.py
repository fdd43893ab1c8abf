"""The promises of all recorders explain themselves where they fail; and a clock for streams that are idle."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from chatstore.recorders.machine import course

pytest.register_assert_rewrite("recorder_plays", "recorder_promises", "stored_streams")


@pytest.fixture
def begin_idling(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Recordings count time as idle only behind its call, so that a machine without time is no idle stream."""
    since: list[float] = []

    def monotonic() -> float:
        return time.monotonic() - since[0] if since else 0.0

    monkeypatch.setattr(course, "time", SimpleNamespace(monotonic=monotonic))
    return lambda: since.append(time.monotonic())
