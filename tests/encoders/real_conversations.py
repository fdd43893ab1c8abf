"""Real conversations as agents write them: a run for each question, messages that grow token by token, and a stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from data_support import data_files, records

from chatstore import BlockDraft, History
from chatstore.formats.openai_chat import to_drafts


def conversations(file: str, count: int) -> list[list[BlockDraft]]:
    """The blocks of the first conversations of a file."""
    [path] = data_files(file)
    return [to_drafts(record["messages"]) for record in islice(records(path), count)]


def write(history: History, drafts: list[BlockDraft], *, piece: int = 40) -> list[str]:
    """Writes blocks as runs, the assistant's in pieces of so many characters; the ids of the runs."""
    runs = []
    for part in _turns(drafts):
        with history.run() as run:
            runs.append(run.id)
            write_all(history, part, piece=piece)
    return runs


def write_all(history: History, drafts: list[BlockDraft], *, piece: int = 40) -> None:
    """Writes blocks in order; those of the assistant grow in pieces of so many characters."""
    stored: dict[int, Any] = {}
    for draft in drafts:
        stored[id(draft)] = _write_block(history, draft, stored.get(id(draft.parent)), piece)


def _write_block(history: History, draft: BlockDraft, parent: Any, piece: int) -> Any:
    if draft.role != "assistant" or draft.parts:
        return history.append(draft.model_copy(update={"parent": parent}))
    options = {"author": draft.author, "data": draft.data, "internal": draft.internal, "parent": parent}
    with history.open_block(draft.type, role=draft.role, **options) as block:
        for text in re.findall(f"(?s).{{1,{piece}}}", draft.text):
            block.write(text)
            block.flush()
        return block.close()


def _turns(drafts: list[BlockDraft]) -> Iterator[list[BlockDraft]]:
    turn: list[BlockDraft] = []
    for draft in drafts:
        if draft.type == "message" and draft.role == "user" and turn:
            yield turn
            turn = []
        turn.append(draft)
    yield turn
