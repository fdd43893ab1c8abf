"""Messages that LangChain's SQLChatMessageHistory wrote, as `chatstore import` reads them."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)
from sqlalchemy import create_engine
from typer.testing import Result

from chatstore import ChatStore

with warnings.catch_warnings():  # the package is on its way out, and says so
    warnings.simplefilter("ignore")
    from langchain_community.chat_message_histories import SQLChatMessageHistory
    from langchain_community.chat_message_histories.sql import DefaultMessageConverter

Import = Callable[..., Result]

PIXEL = "iVBORw0KGgo="
MESSAGES: list[BaseMessage] = [
    SystemMessage("Be short."),
    HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        ],
        name="ann",
    ),
    AIMessage(
        "Let me look.",
        id="run-1",
        tool_calls=[{"name": "look", "args": {"at": 1}, "id": "c1"}],
        invalid_tool_calls=[{"name": "look", "args": "{oops", "id": "c2", "error": "no JSON"}],
        usage_metadata={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
    ),
    ToolMessage("a pixel", tool_call_id="c1", name="look"),
    ToolMessage("broken", tool_call_id="c2", status="error"),
    AIMessage(
        [
            {"type": "thinking", "thinking": "It is small.", "signature": "sig"},
            {"type": "text", "text": "One pixel."},
        ]
    ),
    AIMessage("", additional_kwargs={"function_call": {"name": "old", "arguments": "{}"}}),
    FunctionMessage("done", name="old"),
    ChatMessage("As the critic says.", role="critic"),
    AIMessageChunk("In pieces."),
]


def write(path: Path, session: str, messages: list[BaseMessage], table: str = "message_store") -> None:
    engine = create_engine(f"sqlite:///{path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = DefaultMessageConverter(table)
        history = SQLChatMessageHistory(
            session, connection=engine, table_name=table, custom_message_converter=converter
        )
        history.add_messages(messages)
    engine.dispose()


@pytest.mark.parametrize("table", ["message_store", "my chats"])
def test_every_message_is_kept_and_told_as_blocks(
    store: ChatStore, importing: Import, tmp_path: Path, table: str
) -> None:
    write(tmp_path / "chats.sqlite", "s1", MESSAGES, table)
    write(tmp_path / "chats.sqlite", "s2", MESSAGES[:2], table)
    result = importing(tmp_path / "chats.sqlite")
    assert (result.exit_code, result.stderr) == (0, "")
    blocks = store.history("s1").get_messages(kind="trace")
    kept = [block.data["item"] for block in blocks if isinstance(block.data, dict) and "item" in block.data]
    assert kept == [json.loads(json.dumps(message_to_dict(message))) for message in MESSAGES]
    assert [(block.type, block.role, block.text) for block in blocks] == [
        ("message", "system", "Be short."),
        ("message", "user", "What is this?"),
        ("message", "assistant", "Let me look."),
        ("function_call", "assistant", '{"at":1}'),
        ("function_call", "assistant", "{oops"),
        ("function_result", "tool", "a pixel"),
        ("function_result", "tool", "broken"),
        ("reasoning", "assistant", "It is small."),
        ("message", "assistant", "One pixel."),
        ("function_call", "assistant", "{}"),
        ("function_result", "tool", "done"),
        ("message", "critic", "As the critic says."),
        ("message", "assistant", "In pieces."),
    ]
    assert [block.parent_id for block in blocks[5:7]] == [blocks[3].id, blocks[4].id]
    assert blocks[10].parent_id == blocks[9].id
    assert (blocks[1].author, blocks[1].parts[0].size, blocks[6].data["is_error"]) == ("ann", 8, True)
    assert blocks[2].usage == {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    assert blocks[7].data["signature"] == "sig"
    assert store.history("s2").count() == 2


def test_a_broken_row_is_refused_and_the_others_are_imported(
    store: ChatStore, importing: Import, tmp_path: Path
) -> None:
    write(tmp_path / "a.db", "s", MESSAGES[:1])
    with sqlite3.connect(tmp_path / "a.db") as conn:
        for message in ('{"type": "human", "data"', b"\x00\xff", None, "[]", '{"type": "human", "data": 1}'):
            conn.execute("INSERT INTO message_store (session_id, message) VALUES ('s', ?)", (message,))
    conn.close()
    write(tmp_path / "a.db", "s", MESSAGES[3:4])
    result = importing(tmp_path / "a.db")
    assert result.exit_code == 1
    assert [line.partition("message_store ")[2].partition(":")[0] for line in result.stderr.splitlines()] == [
        f"row {number}" for number in range(2, 7)
    ]
    assert [block.text for block in store.history("s").get_messages(kind="trace")] == ["Be short.", "a pixel"]
