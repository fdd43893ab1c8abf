"""Every real conversation comes back with equal JSON values, and its blocks are what readers expect."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from data_support import canonical, conversation_files, records, report
from typer.testing import Result

from chatstore import Block, ChatStore

pytestmark = pytest.mark.slow

Run = Callable[..., Result]

BYTES_ON_DISK_PER_BYTE_OF_TEXT = 1.6
BASE64 = re.compile(r"[A-Za-z0-9+/]{400,}")


@pytest.fixture
def conversations() -> dict[str, list[dict[str, Any]]]:
    """The messages of all real conversations that have any, by id."""
    found = [record for file in conversation_files() for record in records(file) if record["messages"]]
    by_id = {record["id"]: record["messages"] for record in found}
    assert len(by_id) == len(found)
    return by_id


def test_every_real_conversation_comes_back_equal_and_its_transcript_is_what_was_said(
    run: Run, path: Path, tmp_path: Path, conversations: dict[str, list[dict[str, Any]]]
) -> None:
    start = time.monotonic()
    imported = run("import", *conversation_files())
    assert imported.exit_code == 0, imported.output
    middle = time.monotonic()
    file = tmp_path / "export.jsonl.gz"
    assert run("export", "--output", file).exit_code == 0
    end = time.monotonic()
    assert _compared(file, conversations) == len(conversations)
    messages = sum(map(len, conversations.values()))
    with ChatStore(path) as store:
        blocks, text = _read(store)
        for id, sent in conversations.items():
            said = _said(sent)
            transcript = store.history(id).get_messages(kind="transcript")
            texts = {*said}
            assert [block.text for block in transcript if block.text in texts] == said
    ratio = path.stat().st_size / text
    report(
        f"{len(conversations):,} conversations, {messages:,} messages, {blocks:,} blocks: all equal",
        f"import {middle - start:.1f} s, export {end - middle:.1f} s",
        f"{path.stat().st_size:,} bytes on disk for {text:,} bytes of text: {ratio:.2f}",
    )
    assert ratio <= BYTES_ON_DISK_PER_BYTE_OF_TEXT


def _compared(file: Path, conversations: dict[str, list[dict[str, Any]]]) -> int:
    count = 0
    with gzip.open(file) as lines:
        for line in lines:
            record = json.loads(line)
            assert canonical(record["messages"]) == canonical(conversations[record["id"]]), record["id"]
            count += 1
    return count


def _said(messages: list[dict[str, Any]]) -> list[str]:
    """What people and models said, where it is plain text."""
    texts = [message.get("content") for message in messages if message["role"] in ("user", "assistant")]
    return [text for text in texts if isinstance(text, str) and text]


def _read(store: ChatStore) -> tuple[int, int]:
    """How many blocks there are and the bytes of their text and parts, after a look at each."""
    count = text = 0
    for block in _blocks(store):
        count += 1
        text += len(block.text.encode()) + sum(
            (part.size or 0) + len((part.text or "").encode()) for part in block.parts
        )
        assert not any(part.url and part.url.startswith("data:") for part in block.parts)
    return count, text


def _blocks(store: ChatStore) -> Iterator[Block]:
    for context in store.contexts(limit=100_000):
        yield from store.history(context.context_id).get_messages()


def test_calls_and_results_of_real_conversations_belong_together(run: Run, store: ChatStore) -> None:
    files = [file for file in conversation_files() if file.name.startswith(("tau_bench", "toolbench", "swe_agent"))]
    assert run("import", *files).exit_code == 0
    blocks = {block.id: block for block in _blocks(store)}
    results = [block for block in blocks.values() if block.type == "function_result"]
    answered = [blocks[result.parent_id] for result in results if result.parent_id]
    for result, call in zip(results, answered, strict=True):
        assert (call.type, call.data["call_id"]) == ("function_call", result.data["call_id"])
        assert call.index < result.index
    assert len({call.id for call in answered}) == len(results)


def test_no_base64_of_real_conversations_is_kept_as_text(run: Run, store: ChatStore) -> None:
    files = [file for file in conversation_files() if file.name.startswith("pydantic_ai_multimodal")]
    assert run("import", *files).exit_code == 0
    assert not any(BASE64.search(block.model_dump_json()) for block in _blocks(store))
