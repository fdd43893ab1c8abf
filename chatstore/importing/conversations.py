"""Conversations that are there as a whole, stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from chatstore.checks import MAX_BATCH
from chatstore.history import History
from chatstore.model import Block, BlockDraft

_KEY: Final = "import/openai-chat"
"""How the keys of appends begin: they are in every store that was imported into, and stay as they are."""


def append(history: History, drafts: Sequence[BlockDraft], *, batch: int = MAX_BATCH) -> Block:
    """Appends a conversation under keys, so that it is there once however often this is called; its first block.

    What one append does not hold goes in several. A parent that is stored by then is named by its id.
    """
    first: Block | None = None
    current: dict[int, BlockDraft | str] = {}
    for number, start in enumerate(range(0, len(drafts), batch)):
        chunk = drafts[start : start + batch]
        for draft in chunk:
            current[id(draft)] = _with_parent(draft, current.get(id(draft.parent)))
        stored = history.append([cast("BlockDraft", current[id(draft)]) for draft in chunk], key=f"{_KEY}/{number}")
        current |= {id(draft): block.id for draft, block in zip(chunk, stored, strict=True)}
        first = first or stored[0]
    assert first is not None
    return first


def _with_parent(draft: BlockDraft, parent: BlockDraft | str | None) -> BlockDraft:
    return draft if parent is None or parent is draft.parent else draft.model_copy(update={"parent": parent})
