"""Blocks as a history has them, made without a store; and any history, for Hypothesis to draw."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from chatstore import Block, BlockDraft, Cursor, Part
from chatstore.writing import drafts as writing

TIME = datetime(2026, 1, 2, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def stored(drafts: Iterable[BlockDraft]) -> list[Block]:
    """The blocks that a history would have after an append of the drafts; parts keep their bytes."""
    given = list(drafts)
    ids = {id(draft): block_id(place) for place, draft in enumerate(given)}
    return [stored_block(draft, place, ids) for place, draft in enumerate(given)]


def stored_block(draft: BlockDraft, place: int, ids: dict[int, str]) -> Block:
    """One block; a parent given as an id stays as it is."""
    fields = {name: getattr(draft, name) for name in BlockDraft.model_fields if name not in ("parent", "parts")}
    parent = draft.parent if draft.parent is None or isinstance(draft.parent, str) else ids[id(draft.parent)]
    return Block(
        **{**fields, "usage": None},
        id=block_id(place),
        context_id="c",
        index=place,
        parent_id=parent,
        parts=draft.parts,
        state="closed",
        created_at=TIME,
        updated_at=TIME,
        cursor=Cursor(f"c{place}"),
    )


def block_id(place: int) -> str:
    return str(UUID(int=place + 1))


def said(role: str, text: str, **fields: Any) -> BlockDraft:
    return BlockDraft(role=role, text=text, **fields)


def called(name: str = "f", arguments: Any = "{}", call_id: str | None = None, **options: Any) -> BlockDraft:
    return writing.function_call(name, arguments, call_id, writing.BlockOptions(**options))


def answered(
    text: str,
    call: BlockDraft | str | None = None,
    *,
    call_id: str | None = None,
    name: str | None = None,
    is_error: bool = False,
    **options: Any,
) -> BlockDraft:
    return writing.function_result(text, call, call_id, name, is_error, writing.BlockOptions(**options))


def thought(text: str, signature: str | None = None, **fields: Any) -> BlockDraft:
    data = None if signature is None else {"signature": signature}
    return BlockDraft(type="reasoning", role="assistant", text=text, data=data, **fields)


texts = st.sampled_from(["", " ", "\n", "Hello", "Hello \n", "Wie spät?"])
authors = st.sampled_from([None, None, "bot", "a <b> c", "x" * 80])
call_ids = st.sampled_from([None, "call_1", "call_1", "call_2", "a bad id!", "x" * 60, block_id(2)])
names = st.sampled_from(["f", "g", "weather.get", "x" * 80])
arguments = st.sampled_from(["", "{", "{}", "[1]", "null", "[NaN]", '{"a": 1}', '{"n": 123456789012345678901}'])
media = st.builds(
    Part,
    type=st.sampled_from(["image", "audio", "file"]),
    mime_type=st.sampled_from([None, "image/png", "image/jpg", "image/svg+xml", "audio/wav", "application/pdf", "odd"]),
    name=st.sampled_from([None, "a.pdf"]),
    content=st.sampled_from([b"", b"text", b"\xff\xfe", PNG, b"%PDF-1.7"]),
) | st.builds(
    Part,
    type=st.sampled_from(["image", "audio", "file"]),
    url=st.sampled_from(
        ["https://example.com/a.PDF", "file:///etc/passwd", "data:image/png;base64,aaa", "data:text/plain,x", ""]
    ),
)
parts = st.lists(media | st.builds(Part, type=st.just("text"), text=texts), max_size=2).map(tuple)
runs = st.sampled_from([None, None, "run-1", "run-2"])


roles = st.sampled_from(["user", "user", "assistant", "assistant", "system", "developer", "critic"])
messages = st.builds(said, roles, texts, author=authors, parts=parts, run_id=runs)
calls = st.builds(called, names, arguments, call_ids, author=authors, run_id=runs)
thoughts = st.builds(thought, texts, st.sampled_from([None, "", "signed"]), author=authors)
others = st.builds(BlockDraft, type=st.sampled_from(["status", "error", "note"]), text=texts)
results = st.builds(answered, texts, call_id=call_ids, is_error=st.booleans(), parts=parts)
answers = st.tuples(results, st.sampled_from(["call", "call", "call", "first", "cut off", None]), st.integers(0, 3))
steps = st.one_of(messages, calls, calls, answers, answers, thoughts, others)


def histories(*, max_size: int = 14) -> st.SearchStrategy[list[Block]]:
    """Any history: calls never answered or twice, results without calls, everything between everything."""
    return st.lists(steps, max_size=max_size).map(assembled)


def assembled(steps: list[BlockDraft | tuple[BlockDraft, str | None, int]]) -> list[Block]:
    """The blocks of steps; results get their parents, a call so many calls before them, or another."""
    drafts: list[BlockDraft] = []
    for step in steps:
        if isinstance(step, BlockDraft):
            drafts.append(step)
            continue
        result, parent, back = step
        before = [draft for draft in drafts if draft.type == "function_call"][-1 - back :]
        known = {"call": before[:1], "first": drafts[:1], "cut off": [block_id(999)]}.get(parent or "", [])
        drafts.append(result.model_copy(update={"parent": known[0] if known else None}))
    return stored(drafts)
