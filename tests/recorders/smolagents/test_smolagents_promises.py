"""What holds for every recorder, of the one for smolagents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded import CONTEXT, Process, ended, follower, shapes
from scripted_model import ADDING, ANSWERING, PLAN, code_agent, tool_agent

from chatstore import AsyncChatStore, ChatStore
from chatstore.errors import RunCancelled, UsageError
from chatstore.recorders.smolagents import record

TASK = "Add 2 and 3"
HERE = Path(__file__).parent

_WRITE = """
    import sys, time
    from scripted_model import ADDING, code_agent
    from chatstore import ChatStore
    from chatstore.recorders.smolagents import record
    with ChatStore(sys.argv[1]) as store:
        agent = code_agent(ADDING)
        for number, event in enumerate(record(agent.run("go", stream=True), store.history("chat"), agent=agent)):
            if number == 2:
                time.sleep(600)
"""


def plain(event: Any) -> str:
    """An event without what differs from run to run."""
    fields = {name: str(value) for name, value in vars(event).items() if name not in ("timing", "model_input_messages")}
    return f"{type(event).__name__}{fields}"


def agents() -> list[Any]:
    calls = ("let me", [("add", '{"a": 2, "b": 3}')]), ("", [("final_answer", '{"answer": "5"}')])
    return [code_agent(PLAN, ADDING, ANSWERING, planning_interval=5), tool_agent(*calls)]


@pytest.mark.parametrize("number", [0, 1])
def test_events_are_the_same_as_without_the_recorder(store: ChatStore, number: int) -> None:
    expected = [plain(event) for event in agents()[number].run(TASK, stream=True)]
    agent = agents()[number]
    made = []

    def source() -> Any:
        for event in agent.run(TASK, stream=True):
            made.append(event)
            yield event

    given = [*record(source(), store.history(CONTEXT), agent=agent, prompt=TASK, strict=True)]
    assert all(one is other for one, other in zip(given, made, strict=True))
    assert [plain(event) for event in given] == expected


def test_a_second_process_follows_the_text_as_it_comes(path: Path, store: ChatStore) -> None:
    store.history(CONTEXT).append_status_message("begins")
    agent = code_agent(ADDING, ANSWERING)
    text = ""
    with follower(path) as other:
        for event in record(agent.run(TASK, stream=True), store.history(CONTEXT), agent=agent, strict=True):
            if type(event).__name__ == "ChatMessageStreamDelta" and event.content and len(text) < 40:
                text += event.content
                other.reads(text)


def test_a_process_that_is_killed_leaves_an_interrupted_run_with_its_text(path: Path, store: ChatStore) -> None:
    store.history(CONTEXT).append_status_message("begins")
    with follower(path) as other, Process(_WRITE, path, path=HERE) as writer:
        other.reads(ADDING[:21])
        writer.kill()
        assert ended(store).state == "interrupted"
    assert shapes(store.history(CONTEXT).get_messages())[1:] == [("reasoning", "interrupted", ADDING[:21])]


def test_cancelled_from_another_store_it_stops_the_agent(path: Path, store: ChatStore) -> None:
    agent = code_agent(ADDING, ANSWERING)
    recording = record(agent.run(TASK, stream=True), store.history(CONTEXT), agent=agent)
    with ChatStore(path) as other, pytest.raises(RunCancelled):
        for _ in recording:
            other.history(CONTEXT).cancel_run(recording.run_id)
    run = ended(store)
    assert run.state == "cancelled"
    assert not store.history(CONTEXT).get_messages(states=["open"])


def test_cancelling_stops_a_managed_agent_at_its_next_step(path: Path, store: ChatStore) -> None:
    def cancel(step: Any, agent: Any) -> None:
        with ChatStore(path) as other:
            other.history(CONTEXT).cancel_run(recording.run_id)

    steps = ["<code>print(1)</code>"] * 5
    worker = code_agent(*steps, name="worker", description="d", step_callbacks=[cancel], max_steps=5)
    agent = code_agent("<code>final_answer(worker(task='x'))</code>", tools=[], managed_agents=[worker])
    recording = record(agent.run(TASK, stream=True), store.history(CONTEXT), agent=agent)
    with pytest.raises(RunCancelled):
        list(recording)
    assert ended(store).state == "cancelled"
    assert len(worker.memory.steps) == 2


def test_leaving_the_loop_cancels_the_run(store: ChatStore) -> None:
    agent = code_agent(ADDING, ANSWERING)
    with record(agent.run(TASK, stream=True), store.history(CONTEXT), agent=agent) as recording:
        for _ in recording:
            break
    assert ended(store).state == "cancelled"


def test_a_store_that_is_gone_breaks_no_agent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    agent = code_agent(ADDING, ANSWERING)
    with ChatStore(tmp_path / "gone.db") as store:
        recording = record(agent.run(TASK, stream=True), store.history(CONTEXT), agent=agent)
        next(recording)
    assert type([*recording][-1]).__name__ == "FinalAnswerStep"
    assert "recording has stopped" in caplog.text


def test_events_of_another_version_are_passed_by(store: ChatStore) -> None:
    class Novelty:
        pass

    agent = code_agent("<code>final_answer(1)</code>")
    events = [Novelty(), *agent.run(TASK, stream=True), Novelty()]
    assert [*record(iter(events), store.history(CONTEXT), strict=True)] == events
    assert ended(store).state == "completed"


def test_a_stream_without_an_end_has_failed(store: ChatStore) -> None:
    events = [*code_agent("<code>final_answer(1)</code>").run(TASK, stream=True)][:-1]
    assert [*record(iter(events), store.history(CONTEXT), strict=True)] == events
    run = ended(store)
    assert (run.state, run.error and run.error.type) == ("failed", "StreamTruncated")


async def test_an_agent_of_threads_is_not_recorded_in_a_store_of_an_event_loop(async_store: AsyncChatStore) -> None:
    with pytest.raises(UsageError):
        record(iter([]), async_store.history(CONTEXT))  # type: ignore[arg-type]


def test_nothing_of_it_is_printed(store: ChatStore, capfd: pytest.CaptureFixture[str]) -> None:
    agent = code_agent(ADDING, ANSWERING)
    [*record(agent.run(TASK, stream=True), store.history(CONTEXT), agent=agent, strict=True)]
    assert capfd.readouterr() == ("", "")
