"""The promises of all recorders, with the events that runs of the SDK yielded."""

from __future__ import annotations

from recorder_promises import RecorderPromises, StreamPromises, Subject

from chatstore.recorders.openai_agents import record


class TestARun(RecorderPromises):
    subject = Subject("agent_events:of_a_run", begun=22, partial="The sum ", ends=26)


class TestAnAnswer(StreamPromises):
    subject = Subject("agent_events:of_an_answer", begun=5, partial="Roses are ", ends=8, record=record)
