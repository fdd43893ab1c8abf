"""What every recorder promises, of the events that teams and agents of AutoGen were seen to yield."""

from __future__ import annotations

import pytest
import recorder_promises
from recorder_promises import Poison, RecorderPromises, Subject


@pytest.fixture(autouse=True)
def poison_of_a_class_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of unknown classes are passed by."""
    monkeypatch.setattr(recorder_promises, "Poison", type("BaseChatMessage", (Poison,), {}))


class TestTeam(RecorderPromises):
    subject = Subject("autogen_events:of_a_team", begun=5, partial="the sum ")


class TestAgent(RecorderPromises):
    subject = Subject("autogen_events:of_an_agent", begun=2, partial="hello there ")
