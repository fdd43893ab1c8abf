"""The log of the whole store, in the order of its commits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, true

from chatstore.changes import Change, TextAppended
from chatstore.kinds import Selection
from chatstore.operations import places, weighing
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.retaining import pruned
from chatstore.operations.rows import (
    BLOCK_COLUMNS,
    OF_BLOCK,
    OF_RUN,
    RUN_COLUMNS,
    Cursors,
    to_block,
    to_entry,
    to_erased_entry,
    to_run,
    to_run_entry,
    to_text_entry,
)
from chatstore.operations.selecting import Shape, conditions, shape, values
from chatstore.schema import (
    HISTORY_ERASED,
    HISTORY_TAG,
    RUN_STARTED,
    TEXT_APPENDED,
    blocks,
    changes,
    context_keys,
    histories,
    runs,
    tags,
)

WINDOW = 16384
"""Entries of the log that one page looks through at most."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """Which contexts are followed: those with all these context keys and tags."""

    keys: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Changes with their places in the store's log, how far it was read for them, and where it ended by then. Up to
    `pruned`, retention may have removed some. `waits`: there are more, which others may yet come before; `is_full`:
    there are more, and these weigh enough."""

    entries: list[tuple[int, Change]]
    position: int
    head: int
    pruned: int = 0
    waits: bool = False
    is_full: bool = False


def feed(
    conn: Connection, cursors: Cursors, selection: Selection, contexts: Contexts, *, after: int, limit: int
) -> FeedPage:
    """The next changes of the contexts that are followed, behind a place in the store's log.

    The end of the log is read first, so the page holds all up to its `position`. The pieces of finished blocks are
    left out, as in the log of one context.
    """
    head, waits = places.end(conn)
    if head <= after:
        return FeedPage([], after, head, pruned(conn) or 0, waits)
    window = _WINDOW_END.first(conn, after=after)
    end = head if window is None else min(window[0], head)
    statement = _feed(shape(selection), selection.wants_runs, len(contexts.keys), len(contexts.tags))
    bound = {"after": after, "end": end, "limit": limit, **values(selection), **_context_values(contexts)}
    rows, light = statement.upto(conn, weighing.ENOUGH, weighing.weight_of, **bound)
    entries = [_entry(row, cursors) for row in rows]
    position = entries[-1][0] if len(rows) == limit or not light else end
    # Asked last: each statement sees a state of its own, and what was removed before the rows were read is missing.
    gone = pruned(conn) or 0
    return FeedPage(_with_joined_neighbours(entries), position, head, gone, waits, is_full=not light)


# Counted, and not added to `after`: places have gaps, where retention or compaction removed entries, and on a server,
# where each transaction has room for a million.
_WINDOW_END = Prepared(
    select(changes.c.id).where(changes.c.id > bindparam("after")).order_by(changes.c.id).offset(WINDOW - 1).limit(1)
)


def _context_values(contexts: Contexts) -> dict[str, object]:
    bound: dict[str, object] = {}
    for number, (name, value) in enumerate(contexts.keys):
        bound |= {f"key_{number}": name, f"value_{number}": value}
    for number, (kind, name) in enumerate(contexts.tags):
        bound |= {f"context_kind_{number}": kind, f"context_name_{number}": name}
    return bound


@lru_cache(maxsize=128)
def _feed(selection: Shape, runs_too: bool, keys: int, tag_count: int) -> Prepared:
    wanted = blocks.c.id.is_not(None) & and_(true(), *conditions(selection))
    wanted = wanted & or_(changes.c.type != TEXT_APPENDED, blocks.c.state == "open")
    wanted = wanted | (changes.c.type == HISTORY_ERASED)
    # Blocks and runs are joined outwards, for an entry has one or the other, and that of an erasure has neither.
    if runs_too:
        wanted = wanted | (runs.c.id == bindparam("run") if selection.run else runs.c.id.is_not(None))
    own = (changes.c.id, histories.c.context_id, changes.c.sequence, changes.c.type, changes.c.offset, changes.c.text)
    return Prepared(
        select(*own, *BLOCK_COLUMNS, *RUN_COLUMNS)
        .select_from(changes)
        .join(histories, histories.c.id == changes.c.history_id)
        .outerjoin(blocks, OF_BLOCK)
        .outerjoin(runs, OF_RUN)
        .where(changes.c.id > bindparam("after"), changes.c.id <= bindparam("end"), wanted)
        .where(*(_has_key(number) for number in range(keys)), *(_has_tag(number) for number in range(tag_count)))
        .order_by(changes.c.id)
        .limit(bindparam("limit"))
    )


def _has_key(number: int) -> ColumnElement[bool]:
    return changes.c.history_id.in_(
        select(context_keys.c.history_id).where(
            context_keys.c.name == bindparam(f"key_{number}"), context_keys.c.value == bindparam(f"value_{number}")
        )
    )


def _has_tag(number: int) -> ColumnElement[bool]:
    return changes.c.history_id.in_(
        select(tags.c.history_id).where(
            tags.c.kind == bindparam(f"context_kind_{number}"),
            tags.c.name == bindparam(f"context_name_{number}"),
            tags.c.block_index == HISTORY_TAG,
        )
    )


def _entry(row: Row, cursors: Cursors) -> tuple[int, Change]:
    place, context_id, sequence, type, offset, text, *columns = row
    factory = cursors(context_id)
    width = len(BLOCK_COLUMNS)
    if type == HISTORY_ERASED:
        return place, to_erased_entry(sequence, context_id, factory).change
    if type >= RUN_STARTED:
        return place, to_run_entry(type, sequence, to_run(tuple(columns[width:]), context_id), factory).change
    block = to_block(tuple(columns[:width]), context_id, factory)
    if type == TEXT_APPENDED:
        return place, to_text_entry(sequence, offset, text, block, factory).change
    return place, to_entry(type, sequence, block, factory).change


def _with_joined_neighbours(entries: Iterable[tuple[int, Change]]) -> list[tuple[int, Change]]:
    """Pieces of one block that follow each other, as one."""
    joined: list[tuple[int, Change]] = []
    for place, change in entries:
        last = joined[-1][1] if joined else None
        # Neighbours only: to sort the pieces of several blocks needs the cursors of `live.joining`, and a place in the
        # store's log has none between its entries.
        if isinstance(change, TextAppended) and isinstance(last, TextAppended) and last.block_id == change.block_id:
            text = last.text + change.text
            joined[-1] = (place, last.model_copy(update={"text": text, "cursor": change.cursor}))
        else:
            joined.append((place, change))
    return joined
