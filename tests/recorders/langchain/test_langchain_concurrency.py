"""One handler for many invocations at once, threads in event loops, and event loops in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import START, MessagesState, StateGraph
from recorded import CONTEXT, DEADLINE
from scripted_chat import Model, Recorded, add, adder, ask, call, lines, model

from chatstore import AsyncChatStore, ChatStore, InvalidInput, RunCancelled, UsageError
from chatstore.recorders.langchain import AsyncHistoryCallbackHandler, HistoryCallbackHandler

WORDS = [f"{number} " for number in range(200)]


class Echo(Model):
    """Says what it was asked, in many pieces."""

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Iterator[Any]:
        for piece in [*WORDS, messages[-1].content]:
            yield ChatGenerationChunk(message=AIMessageChunk(piece))

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> AsyncIterator[Any]:
        for chunk in self._stream(messages):
            await asyncio.sleep(0)
            yield chunk


def talks(path: Path) -> dict[str, list[str]]:
    """What was asked and answered in each run."""
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        assert {run.state for run in history.runs()} == {"completed"}
        found = [[block.text for block in history.get_messages(run=run.id)] for run in history.runs()]
    return {asked: rest for asked, *rest in found}


def test_many_invocations_at_once(recorded: Recorded) -> None:
    agents = [adder([*WORDS, f"for {number}"]) for number in range(8)]

    def work(handler: Any, config: Any) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: agents[number].invoke(ask(f"ask {number}"), config), range(8)))
        assert handler.run_ids == []

    async def awork(handler: Any, config: Any) -> None:
        await asyncio.gather(*(agents[number].ainvoke(ask(f"ask {number}"), config) for number in range(8)))
        assert handler.run_ids == []

    recorded.run(work if recorded.face == "sync" else awork, live=True)
    assert talks(recorded.path) == {f"ask {number}": ["".join(WORDS) + f"for {number}"] for number in range(8)}


@pytest.mark.parametrize("chained", [False, True])
def test_batches(recorded: Recorded, chained: bool) -> None:
    chat = Echo(answers=[], asked=[])
    source: Any = RunnableLambda(str) | chat if chained else chat
    given = [f"ask {number}" for number in range(6)]
    batch = source.batch if recorded.face == "sync" else source.abatch
    recorded.run(lambda _, config: batch(given, config), live=True)
    assert talks(recorded.path) == {one: ["".join(WORDS) + one] for one in given}


def test_branches_at_once_are_one_run(recorded: Recorded) -> None:
    both = RunnableParallel(a=model(["a ", *WORDS]), b=model(["b ", *WORDS]))
    recorded.invoke(both, "hi", live=True)
    asked, *said = [block.text for block in recorded.blocks()]
    assert (asked, sorted(said)) == ("hi", [f"{name} {''.join(WORDS)}" for name in "ab"])
    assert len(recorded.runs()) == 1


def with_sync_node(*answers: Any) -> Any:
    """A graph whose node is a plain function, which an event loop runs in a thread."""
    chat = model(*answers)
    graph = StateGraph(MessagesState)
    graph.add_node("one", lambda state: {"messages": [chat.invoke(state["messages"])]})
    graph.add_edge(START, "one")
    return graph.compile()


def test_plain_functions_in_an_event_loop_keep_their_order(path: Path) -> None:
    recorded = Recorded("async", path)
    recorded.stream(with_sync_node(WORDS), ask())
    assert lines(recorded.blocks())[1:] == [("message", "one", "".join(WORDS))]


async def test_a_handler_for_threads_in_an_event_loop_keeps_the_order(path: Path) -> None:
    with ChatStore(path) as store:
        config = {"callbacks": [HistoryCallbackHandler(store.history(CONTEXT), strict=True)]}
        agents = [adder([f"{number} of ", *WORDS]) for number in range(4)]
        await asyncio.gather(*(_read(agent, config) for agent in agents))
        said = store.history(CONTEXT).get_messages(roles=["assistant"])
    assert sorted(block.text for block in said) == [f"{number} of {''.join(WORDS)}" for number in range(4)]


async def _read(agent: Any, config: Any) -> None:
    async for _ in agent.astream(ask(), config, stream_mode="messages"):
        pass


async def test_a_graph_in_a_thread_beside_the_event_loop(async_store: AsyncChatStore) -> None:
    history = async_store.history(CONTEXT)
    await history.append_status_message("begins")
    handler = AsyncHistoryCallbackHandler(history, strict=True, live=True)
    await asyncio.to_thread(adder().invoke, ask(), {"callbacks": [handler]})
    assert [run.state for run in await history.runs()] == ["completed"]
    assert (await history.get_messages())[-1].text == "It is 5."


async def test_a_graph_that_keeps_the_event_loop_busy(
    async_store: AsyncChatStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chatstore.recorders.langchain.async_handler._MOST", 0.05)
    history = async_store.history(CONTEXT)
    await history.append_status_message("begins")
    handler = AsyncHistoryCallbackHandler(history, live=True)
    assert adder().invoke(ask(), {"callbacks": [handler]})["messages"][-1].content == "It is 5."
    async for _ in history.subscribe(run=handler.run_id, timeout=DEADLINE):
        pass
    assert [run.state for run in await history.runs()] == ["completed"]
    assert (await history.get_messages())[-1].text == "It is 5."
    assert "await ainvoke" in caplog.text


def test_a_handler_for_event_loops_where_there_is_none(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handler = AsyncHistoryCallbackHandler(AsyncChatStore(path).history(CONTEXT))
    for runnable, given in [(adder(), ask()), (model(["whole"]), "hi")]:
        runnable.invoke(given, {"callbacks": [handler]})
    assert "take a HistoryCallbackHandler" in caplog.text
    assert not path.exists()


def test_who_cancels_stops_plain_functions_at_the_next_node(path: Path) -> None:
    def stop() -> None:
        with ChatStore(path) as store:
            history = store.history(CONTEXT)
            history.cancel_run(history.runs()[-1].id)

    heard: list[str] = []
    chat = model(["half", stop, *WORDS])
    graph = StateGraph(MessagesState)
    graph.add_node("one", lambda state: {"messages": [chat.invoke(state["messages"])]})
    graph.add_node("two", lambda state: heard.append("two"))
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    recorded = Recorded("async", path)
    with pytest.raises(RunCancelled):
        recorded.stream(graph.compile(), ask())
    assert ([run.state for run in recorded.runs()], heard) == (["cancelled"], [])


def test_a_model_that_has_the_handler_for_itself(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        chat = model([call("add", '{"a": 2, "b": 3}')], ["It is ", "5."])
        chat.callbacks = [HistoryCallbackHandler(history, strict=True)]
        create_agent(chat, [add]).invoke(ask())
        types = [block.type for block in history.get_messages()]
        assert types == ["message", "function_call", "function_result", "message"]
        assert [run.state for run in history.runs()] == ["completed"] * 2


def test_what_cannot_be_recorded_is_refused_at_once(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        with pytest.raises(InvalidInput, match="unknown option 'promt'; a handler takes prompt, author"):
            HistoryCallbackHandler(history, promt="What?")  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="takes a HistoryCallbackHandler"):
            AsyncHistoryCallbackHandler(history)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="not ChatStore"):
            HistoryCallbackHandler(store)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="shown= takes a list of names"):
            HistoryCallbackHandler(history, shown="writer")
    other = AsyncChatStore(path).history(CONTEXT)
    with pytest.raises(UsageError, match="takes an AsyncHistoryCallbackHandler"):
        HistoryCallbackHandler(other)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="not int"):
        AsyncHistoryCallbackHandler(7)  # type: ignore[arg-type]
