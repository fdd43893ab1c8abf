"""DBOS: streams of durable workflows, in its SQLite system database, and the same in a store of ours."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from comparing import (
    ANSWER,
    CONTEXT,
    PARTIAL,
    QUESTION,
    TOKENS,
    Follower,
    as_they_come,
    die,
    elsewhere,
    kept,
    killed,
    parameters,
    run_states,
    stored,
)
from dbos import DBOS, DBOSClient, SetWorkflowID, error

from chatstore import AsyncHistory, ChatStore, History

pytestmark = pytest.mark.filterwarnings("ignore")
HERE = "test_comparison_dbos"
WORKFLOW = "w1"
HALF = TOKENS[:3]
SILENCE = "(nothing for a second)"


def _url(directory: Path | str) -> str:
    return f"sqlite:///{directory}/dbos.sqlite"


@contextmanager
def application(directory: Path | str, half_way: Callable[[], None]) -> Iterator[Callable[[], str]]:
    """Gives a workflow that writes the tokens into its stream, and calls back half-way."""

    @DBOS.step()
    def look_up() -> None:
        with (Path(directory) / "looked_up").open("a") as file:
            file.write("once\n")

    @DBOS.workflow()
    def answer() -> str:
        look_up()
        for number, token in enumerate(TOKENS):
            DBOS.write_stream("answer", token)
            if "".join(TOKENS[: number + 1]) == PARTIAL:
                half_way()
        DBOS.close_stream("answer")
        return ANSWER

    DBOS(config={"name": "comparison", "system_database_url": _url(directory), "log_level": "ERROR"})
    try:
        DBOS.launch()
        yield answer
    finally:
        DBOS.destroy(destroy_registry=True)


def nothing() -> None:
    pass


def read(directory: str, workflow: str, offset: int, wanted: int) -> list[str]:
    """The values of a stream from an offset on, as many as are wanted, or those that come within a second."""
    client = DBOSClient(system_database_url=_url(directory))
    values: list[str] = []
    patience = 1 if wanted > len(HALF) else 30
    try:
        for value in client.read_stream(
            workflow, "answer", offset=offset, polling_interval_sec=0.05, timeout_seconds=patience
        ):
            values.append(value)
            if len(values) == wanted:
                break
    except error.DBOSStreamTimeoutError:
        values.append(SILENCE)
    finally:
        client.destroy()
    return values


def die_half_way(directory: str) -> None:
    with application(directory, die) as answer, SetWorkflowID(WORKFLOW):
        answer()


def take_up(directory: str) -> str:
    """The same application is started again, and does what was not done to the end."""
    with application(directory, nothing):
        handle: Any = DBOS.retrieve_workflow(WORKFLOW)
        return str(handle.get_result())


def write_ours_and_die(path: str) -> None:
    async def half_way() -> None:
        die()

    asyncio.run(kept(path, as_they_come(TOKENS), half_way))


def test_a_stream_of_a_workflow_is_followed_from_another_process_and_resumed_at_an_offset(tmp_path: Path) -> None:
    at_half, go_on = threading.Event(), threading.Event()

    def half_way() -> None:
        at_half.set()
        go_on.wait(30)

    with application(tmp_path, half_way) as answer:
        with SetWorkflowID(WORKFLOW):
            handle = DBOS.start_workflow(answer)
        assert at_half.wait(30)
        assert elsewhere(f"{HERE}:read", tmp_path, WORKFLOW, 0, 3) == [*HALF]
        assert elsewhere(f"{HERE}:read", tmp_path, WORKFLOW, 2, 1) == [HALF[2]]
        go_on.set()
        assert handle.get_result() == ANSWER
    with Follower(tmp_path / "chat.db") as follower:

        async def look() -> None:
            await asyncio.to_thread(follower.until, PARTIAL)

        asyncio.run(kept(tmp_path / "chat.db", as_they_come(TOKENS), look, stops=False))


def test_a_killed_workflow_goes_on_where_it_was_and_an_interrupted_run_does_not(tmp_path: Path) -> None:
    killed(f"{HERE}:die_half_way", tmp_path)
    assert read(str(tmp_path), WORKFLOW, 0, 100) == [*HALF, SILENCE]  # its reader waits until it is taken up
    assert elsewhere(f"{HERE}:take_up", tmp_path) == ANSWER
    assert read(str(tmp_path), WORKFLOW, 0, 100) == [*TOKENS]  # each once
    assert read(str(tmp_path), WORKFLOW, 3, 100) == [*TOKENS[3:]]  # the offset of before still holds
    assert (tmp_path / "looked_up").read_text() == "once\n"  # the step was not done again
    killed(f"{HERE}:write_ours_and_die", tmp_path / "chat.db")
    with Follower(tmp_path / "chat.db") as follower:
        assert follower.ended() == "interrupted"
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "interrupted")]
    assert run_states(tmp_path / "chat.db") == ["interrupted"]  # nobody does its work again


def test_of_a_cancelled_workflow_the_stream_stays_and_its_readers_end(tmp_path: Path) -> None:
    with application(tmp_path, lambda: DBOS.cancel_workflow(WORKFLOW)) as answer:
        with SetWorkflowID(WORKFLOW):
            handle = DBOS.start_workflow(answer)
        with pytest.raises(error.DBOSException):
            handle.get_result()
        assert read(str(tmp_path), WORKFLOW, 0, 100) == [*HALF]

    async def at_once() -> None:
        pass

    asyncio.run(kept(tmp_path / "chat.db", as_they_come(TOKENS), at_once, stops=True))
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "cancelled")]


def test_a_stream_belongs_to_one_workflow_and_a_history_has_all_turns(tmp_path: Path) -> None:
    with application(tmp_path, nothing) as answer:
        with pytest.raises(error.DBOSException):
            DBOS.write_stream("answer", QUESTION)  # outside of a workflow
        for name in ("turn-1", "turn-2"):
            with SetWorkflowID(name):
                answer()
        for name in ("turn-1", "turn-2"):
            assert read(str(tmp_path), name, 0, 100) == [*TOKENS]
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        for _ in range(2):
            history.append_user_message(QUESTION)
            with history.run():
                history.append_assistant_message(ANSWER)
        assert [block.text for block in history.get_messages(kind="transcript")] == [QUESTION, ANSWER] * 2


def test_a_stream_of_a_workflow_is_read_by_key_and_offset_alone() -> None:
    waiting = {"polling_interval_sec", "timeout_seconds", "shard_key"}
    assert parameters(DBOSClient.read_stream) - waiting == {"workflow_id", "key", "offset"}
    assert {"kind", "after"} <= parameters(History.subscribe)


def test_dbos_is_there_for_threads_and_event_loops_and_so_is_ours() -> None:
    assert inspect.isgeneratorfunction(DBOS.read_stream) and inspect.isasyncgenfunction(DBOS.read_stream_async)
    assert inspect.iscoroutinefunction(DBOS.write_stream_async) and not inspect.iscoroutinefunction(DBOS.write_stream)
    assert inspect.iscoroutinefunction(AsyncHistory.append) and not inspect.iscoroutinefunction(History.append)


def test_a_stream_is_deleted_with_its_workflow(tmp_path: Path) -> None:
    with application(tmp_path, nothing) as answer:
        with SetWorkflowID(WORKFLOW):
            answer()
        DBOS.delete_workflow(WORKFLOW)
        with pytest.raises(error.DBOSNonExistentWorkflowError):
            read(str(tmp_path), WORKFLOW, 0, 1)
    with closing(sqlite3.connect(tmp_path / "dbos.sqlite")) as conn:
        assert conn.execute("SELECT count(*) FROM streams").fetchone() == (0,)
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        store.history(CONTEXT).erase()
        assert not [*store.contexts()]
