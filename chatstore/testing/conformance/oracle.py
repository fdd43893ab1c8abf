"""Histories made at random, and what the reads of them should give: a model in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from chatstore import Block, BlockDraft, Tag
from chatstore.prompts import close_calls

TYPES = ("message", "status", "function_call", "function_result", "reasoning", "error", "my_own")
ROLES = ("user", "assistant", "system", "developer", "tool", "critic")
AUTHORS = ("agent", "Agent", "x') OR ('1'='1")
RUNS = ("r1", "r2")
TAGS = (("topic", "a"), ("topic", "b"), ("mark", "a"))
STATES = ("open", "closed", "failed", "cancelled", "interrupted")

_KINDS: dict[str, Callable[[Block], bool]] = {
    "trace": lambda block: True,
    "transcript": lambda block: block.type == "message" and block.role in ("user", "assistant") and not block.internal,
    "prompt": lambda block: (
        block.type in ("function_call", "function_result")
        or (block.type == "message" and block.role in ("system", "developer", "user", "assistant"))
    ),
}


@dataclass(frozen=True)
class Query:
    """A read: its filters, and its window with cursors as places in the history."""

    filters: dict[str, Any] = field(default_factory=dict)
    after: int | None = None
    before: int | None = None
    last: int | None = None
    limit: int | None = None


def selected(blocks: Sequence[Block], filters: dict[str, Any]) -> list[Block]:
    """The blocks that a kind and its filters mean."""
    return [block for block in blocks if _matches(block, **filters)]


def window(blocks: Sequence[Block], query: Query) -> list[Block]:
    """The blocks that a read of the whole history gives."""
    found = [
        block
        for block in selected(blocks, query.filters)
        if (query.after is None or block.index > query.after) and (query.before is None or block.index < query.before)
    ]
    if query.last is not None:
        found = found[-query.last :] if query.last else []
    elif query.limit is not None:
        found = found[: query.limit]
    return as_read(found, query.filters)


def since_last_user_message(blocks: Sequence[Block], filters: dict[str, Any]) -> list[Block]:
    """The selected blocks behind the last thing that a user said."""
    said = [block.index for block in blocks if block.type == "message" and block.role == "user"]
    found = [block for block in selected(blocks, filters) if not said or block.index > said[-1]]
    return as_read(found, filters)


def as_read(blocks: list[Block], filters: dict[str, Any]) -> list[Block]:
    """Selected blocks as a read gives them: in a prompt that nothing narrows, each call has a result."""
    narrowed = [name for name, values in filters.items() if name != "kind" and (name, values) != ("tags", [])]
    return close_calls(blocks) if filters.get("kind") == "prompt" and not narrowed else blocks


def _matches(
    block: Block,
    kind: str = "trace",
    types: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    authors: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    tags: Sequence[tuple[str, str]] | None = None,
    run: str | None = None,
) -> bool:
    named = [(tag.kind, tag.name) for tag in block.tags]
    return (
        _KINDS[kind](block)
        and (types is None or block.type in types)
        and (roles is None or block.role in roles)
        and (authors is None or block.author in authors)
        and (states is None or block.state in states)
        and all(tag in named for tag in tags or ())
        and (run is None or block.run_id == run)
    )


def _some(values: Sequence[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from([*values]), max_size=3)


drafts: st.SearchStrategy[BlockDraft] = st.builds(
    BlockDraft,
    type=st.sampled_from(["message"] * 5 + [*TYPES]),
    role=st.sampled_from([None, *ROLES, "user", "assistant"]),
    author=st.sampled_from([None, *AUTHORS]),
    run_id=st.sampled_from([None, *RUNS]),
    internal=st.sampled_from([False, False, True]),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    tags=st.lists(st.sampled_from(TAGS), max_size=3, unique=True).map(
        lambda names: tuple(Tag(kind=kind, name=name) for kind, name in names)
    ),
)

filters: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["transcript", "prompt", "trace"]),
        "types": _some([*TYPES, "no_such"]),
        "roles": _some([*ROLES, "no such"]),
        "authors": _some([*AUTHORS, "nobody"]),
        "states": _some(STATES),
        "tags": _some([*TAGS, ("no", "such")]),
        "run": st.sampled_from([*RUNS, "no such"]),
    },
)


@st.composite
def queries(draw: st.DrawFn, size: int) -> Query:
    """Any read of a history of so many blocks."""
    places = st.none() | st.integers(0, size - 1) if size else st.none()
    counts = st.none() | st.integers(0, size + 2)
    last = draw(counts)
    return Query(
        filters=draw(filters),
        after=draw(places),
        before=draw(places),
        last=last,
        limit=draw(counts) if last is None else None,
    )
