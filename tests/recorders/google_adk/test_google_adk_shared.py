"""What every recorder promises, of the events that a runner of Google's ADK gives."""

from __future__ import annotations

from recorder_promises import RecorderPromises, Subject


class TestRunner(RecorderPromises):
    subject = Subject("scripted_adk:whole", begun=1, partial="Let ")
