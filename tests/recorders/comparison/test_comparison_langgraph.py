"""LangGraph: what its checkpointer keeps of an answer, and the same answer in a store of ours."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest
from comparing import (
    ANSWER,
    CONTEXT,
    PARTIAL,
    QUESTION,
    Follower,
    die,
    elsewhere,
    iterating,
    kept,
    killed,
    parameters,
    public,
    run_states,
    stored,
)
from gated_model import Gated
from typing_extensions import TypedDict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_core.runnables import RunnableLambda
    from langgraph.channels.delta import DeltaChannel
    from langgraph.checkpoint.base import empty_checkpoint
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.types import Command, interrupt

from chatstore import AsyncChatStore, ChatStore, History

pytestmark = pytest.mark.filterwarnings("ignore")
HERE = "test_comparison_langgraph"
CONFIG: Any = {"configurable": {"thread_id": CONTEXT}}
HalfWay = Callable[[Any], Awaitable[None]]


def graph(saver: Any, model: Gated, state: Any = MessagesState) -> Any:
    """One node, which asks the model."""

    async def ask(given: Any) -> Any:
        return {"messages": [await model.ainvoke(given["messages"])]}

    def ask_now(given: Any) -> Any:
        return {"messages": [model.invoke(given["messages"])]}

    builder = StateGraph(state).add_node("ask", RunnableLambda(ask_now, ask)).add_edge(START, "ask")
    return builder.compile(checkpointer=saver)


def saved(directory: str) -> dict[str, Any]:
    """What the newest checkpoint holds, and which nodes are to come."""
    with SqliteSaver.from_conn_string(f"{directory}/graph.db") as saver:
        state = graph(saver, Gated()).get_state(CONFIG)
        roles = {"human": "user"}
        said = [(roles.get(one.type, "assistant"), one.content) for one in state.values.get("messages", [])]
        return {"messages": said, "next": [*state.next]}


def go_on(directory: str) -> str:
    """Works at what is to come, and gives the last message."""
    with SqliteSaver.from_conn_string(f"{directory}/graph.db") as saver:
        return str(graph(saver, Gated()).invoke(None, CONFIG)["messages"][-1].content)


def answer(directory: Path | str, half_way: HalfWay, *, stops: bool = False) -> None:
    """A graph answers with checkpoints and into a store of ours. `half_way` is given what streams."""

    async def work() -> None:
        model = Gated()
        async with AsyncSqliteSaver.from_conn_string(f"{directory}/graph.db") as saver:
            given = {"messages": [HumanMessage(QUESTION)]}
            stream = graph(saver, model).astream(given, CONFIG, stream_mode="messages", durability="sync")

            async def tokens() -> AsyncIterator[str]:
                async for chunk, _ in stream:
                    yield chunk.content

            async def called() -> None:
                await half_way(stream)
                model.go_on.set()

            await kept(Path(directory) / "chat.db", tokens(), called, stops=stops)

    asyncio.run(work())


async def stop(stream: Any) -> None:
    await stream.aclose()


async def perish(_: Any) -> None:
    die()


def die_half_way(directory: str) -> None:
    answer(directory, perish)


def test_of_an_answer_that_is_stopped_a_checkpoint_has_the_question(tmp_path: Path) -> None:
    answer(tmp_path, stop, stops=True)
    assert saved(str(tmp_path))["messages"] == [("user", QUESTION)]
    assert stored(tmp_path / "chat.db") == [("user", QUESTION, "closed"), ("assistant", PARTIAL, "cancelled")]


def test_while_an_answer_comes_others_read_the_question_alone_in_a_checkpoint(tmp_path: Path) -> None:
    with ExitStack() as stack:

        async def look(_: Any) -> None:
            assert (await asyncio.to_thread(elsewhere, f"{HERE}:saved", tmp_path))["messages"] == [["user", QUESTION]]
            await asyncio.to_thread(stack.enter_context(Follower(tmp_path / "chat.db")).until, PARTIAL)

        answer(tmp_path, look)
    assert elsewhere(f"{HERE}:saved", tmp_path)["messages"][1:] == [["assistant", ANSWER]]


def test_a_killed_graph_is_taken_up_again_and_an_interrupted_run_is_not(tmp_path: Path) -> None:
    killed(f"{HERE}:die_half_way", tmp_path)
    assert saved(str(tmp_path)) == {
        "messages": [("user", QUESTION)],
        "next": ["ask"],  # whether its worker is dead or at work
    }
    with Follower(tmp_path / "chat.db") as follower:
        assert follower.ended() == "interrupted"
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "interrupted")]
    assert elsewhere(f"{HERE}:go_on", tmp_path) == ANSWER
    assert run_states(tmp_path / "chat.db") == ["interrupted"]  # nobody does its work again


def test_a_checkpointer_cannot_be_followed(tmp_path: Path) -> None:
    assert iterating(SqliteSaver) <= {"list", "alist", "cursor", "from_conn_string"}
    assert not {"subscribe", "follow", "watch", "tail", "listen"} & public(SqliteSaver)
    assert parameters(SqliteSaver.list) == {"config", "filter", "before", "limit"}
    with SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
        graph(saver, Gated()).invoke({"messages": [HumanMessage(QUESTION)]}, CONFIG)
        listed = [*saver.list(CONFIG)]  # what there is, the newest first, and then it ends
    assert len(listed) == 3


class Growing(TypedDict):
    """Messages of which each checkpoint holds what is new."""

    messages: Annotated[list[Any], DeltaChannel(lambda state, writes: [*state, *(one for w in writes for one in w)])]


def size_of_graph(path: Path, state: Any, turns: int) -> int:
    with SqliteSaver.from_conn_string(str(path)) as saver:
        compiled = graph(saver, Gated(), state)
        for number in range(turns):
            compiled.invoke({"messages": [HumanMessage(f"{number} {'question ' * 50}", id=str(number))]}, CONFIG)
        return _size(saver.conn)


def _size(conn: sqlite3.Connection) -> int:
    return sum(
        conn.execute(f"SELECT coalesce(sum(length({column})), 0) FROM {table}").fetchone()[0]
        for table, column in (("checkpoints", "checkpoint"), ("writes", "value"))
    )


def size_of_store(path: Path, turns: int) -> int:
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        for number in range(turns):
            history.append_user_message(f"{number} {'question ' * 50}")
            history.append_assistant_message(ANSWER)
        store.compact()
    return path.stat().st_size


def test_checkpoints_of_messages_grow_with_the_square_of_the_turns(tmp_path: Path) -> None:
    few, many = (size_of_graph(tmp_path / f"{turns}.db", MessagesState, turns) for turns in (50, 100))
    assert many > 3 * few
    ours = [size_of_store(tmp_path / f"ours-{turns}.db", turns) for turns in (50, 100)]
    assert ours[1] < 2.5 * ours[0]


def test_with_a_delta_channel_they_grow_with_the_turns(tmp_path: Path) -> None:
    few, many = (size_of_graph(tmp_path / f"{turns}.db", Growing, turns) for turns in (20, 40))
    assert many < 2.5 * few
    assert "is in beta" in (DeltaChannel.__doc__ or "")


class Asking(TypedDict):
    """What a person said."""

    said: str


def _asking(saver: Any) -> Any:
    def ask(_: Asking) -> Asking:
        return {"said": interrupt("May I?")}

    return StateGraph(Asking).add_node("ask", ask).add_edge(START, "ask").compile(checkpointer=saver)


def say(directory: str, said: str) -> str:
    """A person answers, in another process."""
    with SqliteSaver.from_conn_string(f"{directory}/graph.db") as saver:
        return str(_asking(saver).invoke(Command(resume=said), CONFIG)["said"])


def test_a_graph_waits_for_a_person_and_a_run_does_not(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
        _asking(saver).invoke({"said": ""}, CONFIG)
        assert _asking(saver).get_state(CONFIG).next == ("ask",)
    assert elsewhere(f"{HERE}:say", tmp_path, "yes") == "yes"
    assert not {name for name in public(History) if "wait" in name or "resume" in name}


def test_a_graph_goes_back_to_a_checkpoint_and_a_history_only_forward(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
        compiled = graph(saver, Gated())
        compiled.invoke({"messages": [HumanMessage(QUESTION)]}, CONFIG)
        before = next(one for one in compiled.get_state_history(CONFIG) if one.next == ("ask",))
        assert [one.content for one in before.values["messages"]] == [QUESTION]
        other = compiled.update_state(before.config, {"messages": [AIMessage("Rain.")]}, as_node="ask")
        assert [one.content for one in compiled.get_state(other).values["messages"]] == [QUESTION, "Rain."]
    assert not {name for name in public(History) if "branch" in name or "fork" in name or "state" in name}


async def test_a_checkpointer_of_files_is_for_threads_or_for_event_loops(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
        saver.put({"configurable": {"thread_id": CONTEXT, "checkpoint_ns": ""}}, empty_checkpoint(), {}, {})
        assert saver.get_tuple(CONFIG) is not None
        with pytest.raises(NotImplementedError):
            await saver.aget_tuple(CONFIG)
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as other:
        assert await other.aget_tuple(CONFIG) is not None
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        async with AsyncChatStore(tmp_path / "chat.db") as both:  # the same file, at the same time
            assert [block.text for block in await both.history(CONTEXT).get_messages()] == [QUESTION]


def test_a_thread_is_deleted_and_nothing_prunes_it_in_a_file(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
        graph(saver, Gated()).invoke({"messages": [HumanMessage(QUESTION)]}, CONFIG)
        with pytest.raises(NotImplementedError):
            saver.prune([CONTEXT])
        saver.delete_thread(CONTEXT)
        assert not [*saver.list(CONFIG)]
    with ChatStore(tmp_path / "chat.db") as store:
        store.history(CONTEXT).append_user_message(QUESTION)
        store.history(CONTEXT).erase()
    assert not any(QUESTION.encode() in path.read_bytes() for path in tmp_path.glob("chat.db*"))
