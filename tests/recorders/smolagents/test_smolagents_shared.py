"""What every recorder promises, of the events that agents of smolagents were seen to yield."""

from __future__ import annotations

import pytest
import recorder_promises
from recorder_promises import Poison, RecorderPromises, Subject


@pytest.fixture(autouse=True)
def poison_of_a_class_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of unknown classes are passed by."""
    monkeypatch.setattr(recorder_promises, "Poison", type("ActionStep", (Poison,), {}))


class TestTools(RecorderPromises):
    subject = Subject("smolagents_events:with_tools", begun=2, partial="let me add")


class TestCode(RecorderPromises):
    subject = Subject("smolagents_events:with_code", begun=2, partial="1. add the num")
