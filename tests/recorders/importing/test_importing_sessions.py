"""Sessions that the OpenAI Agents SDK wrote, as `chatstore import` reads them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession
from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import Result

from chatstore import ChatStore

Import = Callable[..., Result]

ITEMS: list[Any] = [
    {"role": "user", "content": "What is the weather in Paris?"},
    {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "I should look."}]},
    {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Paris"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "18 °C"},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "18 °C in Paris.", "annotations": []}],
    },
]
MORE: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "Thanks"}]}]
TYPES = ["message", "reasoning", "function_call", "function_result", "message"]


def shown(store: ChatStore, context: str) -> list[tuple[str | None, str]]:
    return [(block.role, block.text) for block in store.history(context).get_messages(kind="transcript")]


async def written(path: Path, *, custom: bool = False) -> None:
    names = {"sessions_table": "my_sessions", "messages_table": "my_messages"} if custom else {}
    for name in "alice", "bob":
        session = SQLiteSession(name, path, **names)
        await session.add_items(ITEMS)
        session.close()


@pytest.mark.parametrize("custom", [False, True])
def test_sessions_become_contexts_with_every_item(
    store: ChatStore, importing: Import, tmp_path: Path, custom: bool
) -> None:
    asyncio.run(written(tmp_path / "sessions.db", custom=custom))
    assert importing(tmp_path / "sessions.db").exit_code == 0
    blocks = store.history("alice").get_messages(kind="trace")
    assert [block.type for block in blocks] == TYPES
    assert [block.data["item"] for block in blocks] == ITEMS
    assert blocks[2].data["arguments"] == {"city": "Paris"}
    assert blocks[3].parent_id == blocks[2].id
    assert shown(store, "bob") == [("user", ITEMS[0]["content"]), ("assistant", "18 °C in Paris.")]


def test_sessions_of_sqlalchemy_are_read_too(store: ChatStore, importing: Import, tmp_path: Path) -> None:
    async def write() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/alchemy.db")
        await SQLAlchemySession("carol", engine=engine, create_tables=True).add_items(ITEMS)
        await engine.dispose()

    asyncio.run(write())
    assert importing(tmp_path / "alchemy.db").exit_code == 0
    assert [block.data["item"] for block in store.history("carol").get_messages(kind="trace")] == ITEMS


def test_a_session_that_went_on_is_gone_on_with(store: ChatStore, importing: Import, tmp_path: Path) -> None:
    asyncio.run(written(tmp_path / "s.db"))
    importing(tmp_path / "s.db")
    head = store.history("alice").head()
    assert "2 stored before" in importing(tmp_path / "s.db").stdout
    assert store.history("alice").head() == head

    async def go_on() -> None:
        session = SQLiteSession("alice", tmp_path / "s.db")
        await session.add_items(MORE)
        session.close()

    asyncio.run(go_on())
    result = importing(tmp_path / "s.db")
    assert result.stdout.startswith("imported 1 conversations: 1 messages, 1 blocks")
    assert shown(store, "alice")[-1] == ("user", "Thanks")
    assert store.history("alice").count() == len(ITEMS) + 1


def test_the_main_branch_is_imported_and_the_others_are_told(
    store: ChatStore, importing: Import, tmp_path: Path
) -> None:
    async def write() -> None:
        session = AdvancedSQLiteSession(session_id="dan", db_path=tmp_path / "a.db", create_tables=True)
        await session.add_items(ITEMS)
        await session.add_items(MORE)
        await session.create_branch_from_turn(2, "other")
        await session.add_items([{"role": "user", "content": "only there"}])
        session.close()

    asyncio.run(write())
    with sqlite3.connect(tmp_path / "a.db") as conn:
        conn.execute(
            "INSERT INTO turn_usage (session_id, branch_id, user_turn_number, requests, input_tokens, output_tokens,"
            " total_tokens) VALUES ('dan', 'main', 1, 2, 30, 12, 42)"
        )
    conn.close()
    result = importing(tmp_path / "a.db")
    assert result.exit_code == 0
    assert "session dan: left out: 1 items of the branch 'other'" in result.stderr
    blocks = store.history("dan").get_messages(kind="trace")
    assert [block.data["item"] for block in blocks] == ITEMS + MORE
    assert blocks[4].usage == {"requests": 2, "input_tokens": 30, "output_tokens": 12, "total_tokens": 42}
    head = store.history("dan").head()
    importing(tmp_path / "a.db")
    assert store.history("dan").head() == head


def test_a_session_that_is_written_meanwhile_is_read_and_left_as_it_is(
    store: ChatStore, importing: Import, tmp_path: Path
) -> None:
    async def write() -> tuple[Result, dict[str, bytes]]:
        session = SQLiteSession("eve", tmp_path / "live.db")
        await session.add_items(ITEMS)
        before = {path.name: path.read_bytes() for path in tmp_path.glob("live.db*") if not path.name.endswith("-shm")}
        assert before["live.db-wal"]
        result = await asyncio.to_thread(importing, tmp_path / "live.db")
        assert {name: (tmp_path / name).read_bytes() for name in before} == before
        session.close()
        return result, before

    result, _ = asyncio.run(write())
    assert result.exit_code == 0
    assert store.history("eve").count() == len(ITEMS)
