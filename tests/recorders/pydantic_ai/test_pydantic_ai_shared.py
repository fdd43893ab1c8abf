"""What every recorder promises, of the events that an agent of pydantic-ai gives."""

from __future__ import annotations

from recorder_promises import RecorderPromises, Subject


class TestAgent(RecorderPromises):
    subject = Subject("scripted_agents:whole", begun=1, partial="Let ")
