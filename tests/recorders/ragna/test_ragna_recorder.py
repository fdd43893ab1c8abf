"""Answers of real assistants of Ragna become messages with their sources, and come out as they are."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from data_support import data_files
from ragna_chats import PIECES, Dying, InTheLoop, Threaded, answering

from chatstore import AsyncChatStore, BlockAdded, ChatStore, RunCancelled
from chatstore.errors import InvalidInput
from chatstore.recorders.ragna import record, record_lines

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it is made of
    from ragna.assistants import RagnaDemoAssistant
    from ragna.core import Assistant

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("assistant", [Threaded, InTheLoop])
async def test_sources_are_there_before_the_text(
    async_store: AsyncChatStore, tmp_path: Path, assistant: type[Assistant]
) -> None:
    history = async_store.history("chat")
    async with answering(tmp_path, assistant) as message:
        assert [piece async for piece in record(message, history, prompt="hi", author="ragna")] == [*PIECES]
    asked, answer = await history.get_messages()
    assert (asked.role, asked.author, asked.text) == ("user", None, "hi")
    assert (answer.role, answer.author, answer.state, answer.text) == ("assistant", "ragna", "closed", "".join(PIECES))
    [source] = answer.data["sources"]
    assert (source["document"]["name"], source["num_tokens"]) == ("doc.txt", 17)
    async with history.subscribe(follow=False) as changes:
        added = [change.block async for change in changes if isinstance(change, BlockAdded)]
    assert added[1].data["sources"] == [source]
    assert [run.state for run in await history.runs()] == ["completed"]


async def test_the_demo_assistant_answers_in_one_piece(async_store: AsyncChatStore, tmp_path: Path) -> None:
    history = async_store.history("chat")
    async with answering(tmp_path, RagnaDemoAssistant) as message:
        pieces = [piece async for piece in record(message, history)]
    assert len(pieces) == 1
    assert [block.text for block in await history.get_messages()] == pieces


async def test_an_answer_that_breaks_off_is_kept_and_raises(async_store: AsyncChatStore, tmp_path: Path) -> None:
    history = async_store.history("chat")
    seen = []
    async with answering(tmp_path, Dying) as message:
        with pytest.raises(LookupError, match="died"):
            async for piece in record(message, history, prompt="hi"):
                seen.append(piece)
    [run], blocks = await history.runs(), await history.get_messages()
    assert (seen, run.state, run.error and run.error.type) == (["par"], "failed", "LookupError")
    assert [(block.state, block.text) for block in blocks] == [("closed", "hi"), ("failed", "par")]


async def test_who_stops_reading_cancels_the_run(async_store: AsyncChatStore, tmp_path: Path) -> None:
    history = async_store.history("chat")
    async with answering(tmp_path, InTheLoop) as message, record(message, history) as pieces:
        assert await anext(pieces) == PIECES[0]
    assert [run.state for run in await history.runs()] == ["cancelled"]
    assert [(block.state, block.text) for block in await history.get_messages()] == [("cancelled", PIECES[0])]


async def test_a_cancelled_run_ends_the_answer(async_store: AsyncChatStore, tmp_path: Path) -> None:
    history = async_store.history("chat")
    async with answering(tmp_path, InTheLoop) as message:
        pieces = record(message, history)
        await anext(pieces)
        await history.cancel_run(pieces.run_id)
        with pytest.raises(RunCancelled):
            async for _ in pieces:
                pass
    assert [run.state for run in await history.runs()] == ["cancelled"]


def test_lines_of_the_api_become_the_same(store: ChatStore) -> None:
    [file] = data_files("framework_events/ragna_events.json")
    rest = json.loads(file.read_text())["rest"]
    lines = [json.dumps(line) for line in rest["stream_lines"]]
    history = store.history("lines")
    assert [*record_lines(lines, history)] == lines
    [answer] = history.get_messages()
    assert (answer.state, answer.text) == ("closed", rest["nonstream"]["content"])
    first = rest["stream_lines"][0]
    kept = {"message_id": first["id"], "timestamp": first["timestamp"], "sources": first["sources"]}
    assert answer.data == kept


async def test_what_is_no_message_is_refused(async_store: AsyncChatStore) -> None:
    with pytest.raises(InvalidInput, match="a message of Ragna, not str"):
        record("Ragna", async_store.history("chat"))
