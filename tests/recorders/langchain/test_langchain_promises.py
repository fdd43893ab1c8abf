"""What holds for every recorder, of the handlers for LangChain."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import other_processes
import pytest
from langchain_core.runnables import RunnableLambda
from recorded import CONTEXT, DEADLINE, Process, ended, follower, shapes
from scripted_chat import FACES, Recorded, add, adder, ask, call, model, plain

from chatstore import AsyncChatStore, ChatStore, ChatStoreError, RunCancelled
from chatstore.recorders.langchain import AsyncHistoryCallbackHandler, HistoryCallbackHandler
from chatstore.recorders.langchain.runs import Cast
from chatstore.recorders.langchain.script import LangChainScript
from chatstore.recorders.langchain.tools import Results

HERE = Path(__file__).parent
_WRITE = """
    import asyncio, sys, time
    from scripted_chat import Recorded, adder, ask
    path, face = sys.argv[1:]
    def hang():
        return time.sleep(600) if face == "sync" else asyncio.sleep(600)
    Recorded(face, path).stream(adder(["half ", "of it", hang]), ask())
"""
_CANCEL = """
    import sys
    from chatstore import ChatStore
    with ChatStore(sys.argv[1]) as store:
        history = store.history("chat")
        history.cancel_run(history.runs()[-1].id)
"""


def within(face: str, work: Callable[[], Any]) -> Callable[[], Any]:
    """Something that a model does in the middle of an answer, which may take a while."""
    return work if face == "sync" else lambda: asyncio.to_thread(work)


@pytest.mark.parametrize("mode", ["messages", "values", "updates", ["messages", "values"]])
def test_what_comes_out_is_the_same_as_without_the_handler(recorded: Recorded, mode: Any) -> None:
    def known(found: Any) -> Any:
        return [one[0] if mode == "messages" else one for one in plain(found)]

    expected = known([*adder().stream(ask(), stream_mode=mode)])
    given = known(recorded.stream(adder(), ask(), mode))
    if isinstance(mode, list):
        expected, given = ([one[1] for one in found if one[0] == "values"] for found in (expected, given))
    assert given == expected


def test_the_very_objects_come_out(recorded: Recorded) -> None:
    chunks = recorded.stream(model(["a ", "b"]), "hi", None)
    assert [chunk.content for chunk in chunks] == ["a ", "b", ""]


@pytest.mark.parametrize("face", FACES)
def test_a_second_process_follows_the_text_as_it_comes(face: str, path: Path) -> None:
    with ChatStore(path) as store:
        store.history(CONTEXT).append_status_message("begins")
        with follower(path) as other:
            watching = within(face, lambda: other.reads("half of it"))
            Recorded(face, path).stream(adder(["half ", "of it", watching, ", and more"]), ask())
        assert store.history(CONTEXT).get_messages()[-1].text == "half of it, and more"


@pytest.mark.parametrize("face", FACES)
def test_a_writer_that_is_killed_leaves_an_interrupted_run(face: str, path: Path, store: ChatStore) -> None:
    store.history(CONTEXT).append_status_message("begins")
    with follower(path) as other, Process(_WRITE, path, face, path=HERE) as writer:
        other.reads("half of it")
        writer.kill()
    assert ended(store).state == "interrupted"
    assert shapes(store.history(CONTEXT).get_messages())[-1] == ("message", "interrupted", "half of it")


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_who_cancels_in_another_process_stops_the_agent(face: str, path: Path, streaming: bool) -> None:
    stop = within(face, lambda: other_processes.run(_CANCEL, path))
    heard: list[str] = []
    answers = ["half ", "of it", stop, *["x "] * 500, lambda: heard.append("all of it"), call("add", "{}")]
    recorded = Recorded(face, path)
    with pytest.raises(RunCancelled):
        if streaming:
            recorded.stream(adder(answers), ask())
        else:
            recorded.invoke(adder([*answers[:3], call("add", '{"a": 1, "b": 2}')], ["never"]), ask())
    assert [run.state for run in recorded.runs()] == ["cancelled"]
    last = recorded.blocks()[-1]
    if streaming:
        assert last.state == "cancelled"
        assert last.text.startswith("half of it")
    assert "never" not in [block.text for block in recorded.blocks()]
    assert heard == []


@pytest.mark.parametrize("kind", ["agent", "sequence", "model"])
def test_who_stops_reading_cancels(recorded: Recorded, kind: str) -> None:
    words = [f"{number} " for number in range(50)]
    chat = model(words)
    source, given = {
        "agent": (adder(words), ask()),
        "sequence": (RunnableLambda(str) | chat, "hi"),
        "model": (chat, "hi"),
    }[kind]
    more = {"stream_mode": "messages"} if kind == "agent" else {}

    def read(_: Any, config: Any) -> None:
        stream = source.stream(given, config, **more)
        assert [next(stream), next(stream)]
        stream.close()

    async def aread(handler: Any, config: Any) -> None:
        stream = source.astream(given, config, **more)
        assert [await anext(stream), await anext(stream)]
        await stream.aclose()
        async for _ in handler._history.subscribe(run=handler.run_id, timeout=DEADLINE):
            pass  # a sequence closes what it consists of a moment later

    recorded.run(read if recorded.face == "sync" else aread)
    assert [run.state for run in recorded.runs()] == ["cancelled"]
    last = recorded.blocks()[-1]
    assert last.text.startswith("0 1 ")
    if kind != "agent":  # which a graph lets come to its end before it is closed
        assert last.state == "cancelled"


def test_a_loop_that_breaks_cancels(path: Path) -> None:
    with ChatStore(path) as store:
        handler = HistoryCallbackHandler(store.history(CONTEXT), strict=True)
        for _ in model([f"{number} " for number in range(50)]).stream("hi", {"callbacks": [handler]}):
            break
        gc.collect()
        assert store.history(CONTEXT).runs()[0].state == "cancelled"


async def test_a_task_that_is_cancelled(async_store: AsyncChatStore) -> None:
    history = async_store.history(CONTEXT)
    handler = AsyncHistoryCallbackHandler(history, strict=True)
    waiting = asyncio.Event()

    async def hang() -> None:
        waiting.set()
        await asyncio.sleep(600)

    working = asyncio.create_task(adder(["half ", "of it", hang]).ainvoke(ask(), {"callbacks": [handler]}))
    await asyncio.wait_for(waiting.wait(), DEADLINE)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert [run.state for run in await history.runs()] == ["cancelled"]


@pytest.mark.parametrize("live", [False, True])
async def test_a_task_that_is_cancelled_in_the_middle_of_an_event(path: Path, live: bool) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history(CONTEXT)
        for pauses in range(12):
            handler = AsyncHistoryCallbackHandler(history, strict=True, live=live)
            working = asyncio.create_task(adder().ainvoke(ask(), {"callbacks": [handler]}))
            for _ in range(pauses):
                await asyncio.sleep(0)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
        assert {run.state for run in await history.runs()} <= {"cancelled"}
        assert not await history.get_messages(states=["open"])


@pytest.mark.parametrize("face", FACES)
def test_an_agent_that_is_idle_has_failed_and_goes_on(face: str, path: Path, begin_idling: Callable[[], None]) -> None:
    def until_it_ended() -> None:
        begin_idling()
        with ChatStore(path) as store:
            history = store.history(CONTEXT)
            for _ in history.subscribe(run=history.runs()[-1].id, timeout=DEADLINE):
                pass

    recorded = Recorded(face, path)
    out = recorded.stream(adder(["half ", within(face, until_it_ended), "whole"]), ask(), idle_limit=0.3)
    assert "".join(chunk.content for chunk, _ in out) == "half whole"
    [run] = recorded.runs()
    assert (run.state, run.error.type) == ("failed", "StreamIdle")
    assert shapes(recorded.blocks())[-1] == ("message", "failed", "half ")


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("face", FACES)
def test_a_store_that_is_closed_meanwhile(face: str, path: Path, strict: bool) -> None:
    def read(handler: Any, config: Any) -> Any:
        agent = adder(["half ", handler._history._store.close, "whole"])
        return agent.invoke(ask(), config)["messages"][-1].content

    async def aread(handler: Any, config: Any) -> Any:
        agent = adder(["half ", handler._history._store.close, "whole"])
        return (await agent.ainvoke(ask(), config))["messages"][-1].content

    recorded = Recorded(face, path)
    work = read if face == "sync" else aread
    if strict:
        with pytest.raises(ChatStoreError):
            recorded.run(work, live=True, strict=True)
    else:
        assert recorded.run(work, live=True, strict=False) == "half whole"
    assert [run.state for run in recorded.runs()] == ["interrupted"]
    assert recorded.blocks()[-1].text == "half "


class Broken(LangChainScript):
    """A script that cannot read anything."""

    def read(self, event: Any) -> Any:
        raise RuntimeError("broken")


@pytest.mark.parametrize("strict", [False, True])
def test_what_the_recorder_cannot_read(recorded: Recorded, strict: bool) -> None:
    def read(handler: Any, config: Any) -> Any:
        handler._script = lambda: Broken(Cast(None, None), Results())
        return adder().invoke(ask(), config)["messages"][-1].content

    async def aread(handler: Any, config: Any) -> Any:
        handler._script = lambda: Broken(Cast(None, None), Results())
        return (await adder().ainvoke(ask(), config))["messages"][-1].content

    work = read if recorded.face == "sync" else aread
    if strict:
        with pytest.raises(RuntimeError, match="broken"):
            recorded.run(work)
    else:
        assert recorded.run(work, strict=False) == "It is 5."
    assert [run.state for run in recorded.runs()] == ["failed"]


def test_a_run_can_be_part_of_another(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        handler = HistoryCallbackHandler(history)
        with history.run() as outer:
            adder().invoke(ask(), {"callbacks": [handler]})
        add.invoke({"a": 1, "b": 2}, {"callbacks": [handler]})
        assert [run.parent_run_id for run in history.runs()] == [None, outer.id, None]
        assert history.runs()[-1].id == handler.run_id
        assert handler.run_ids == []
