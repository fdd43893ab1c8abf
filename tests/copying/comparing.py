"""Whether two stores hold the same: row by row below them, and as those who use them see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chatstore import Block, Change, ChatStore, Context, Run
from chatstore.databases import locate
from chatstore.databases.inspectors import inspector
from chatstore.operations.copying.rows import OF_HISTORIES, Rows
from chatstore.operations.prepared import Prepared
from chatstore.schema import blobs, context_keys, histories

Place = str | Path
TABLES = (
    Rows(histories, "id"),
    Rows(context_keys, "history_id", "name", "value"),
    *OF_HISTORIES,
)
_BLOBS = Prepared(blobs.select())


def rows_of(place: Place, *, places: bool = True) -> dict[str, list[tuple[object, ...]]]:
    """Every row of a store but its leases and what it says of itself, by table; `places`: with those in its log."""
    with inspector(locate(place)) as looking, looking.snapshot() as conn:
        found = {
            rows.table.name: sorted((row for page in rows.pages(conn, -(2**63), 2**63 - 1) for row in page), key=repr)
            for rows in TABLES
        }
        found["blobs"] = sorted(tuple(row) for row in _BLOBS.all(conn))
    if not places:
        found["changes"] = sorted((row[1:] for row in found["changes"]), key=repr)
    return found


def assert_equal(one: Place, other: Place, *, places: bool = True) -> int:
    """How many blocks they were found equal in."""
    assert rows_of(one, places=places) == rows_of(other, places=places)
    with ChatStore(one) as first, ChatStore(other) as second:
        assert [plain(change) for change in all_changes(first)] == [plain(change) for change in all_changes(second)]
        assert [plain(context) for context in contexts(first)] == [plain(context) for context in contexts(second)]
        count = 0
        for context in contexts(first):
            a, b = first.history(context.context_id), second.history(context.context_id)
            assert [plain(run) for run in a.runs()] == [plain(run) for run in b.runs()]
            found = blocks(first, context.context_id)
            for block, twin in zip(found, blocks(second, context.context_id), strict=True):
                assert plain(block) == plain(twin)
                for part, other_part in zip(block.parts, twin.parts, strict=True):
                    if part.digest is not None:
                        assert first.read_bytes(part) == second.read_bytes(other_part)
                count += 1
        return count


def plain(value: Block | Change | Context | Run) -> dict[str, object]:
    """A model without the identity of its store."""
    return _without_identity(value.model_dump())


def _without_identity(fields: dict[str, object]) -> dict[str, object]:
    shown = {}
    for name, value in fields.items():
        if name in ("cursor", "head"):
            shown[name] = str(value).partition("-")[2]
        else:
            shown[name] = _without_identity(value) if isinstance(value, dict) and name == "block" else value
    return shown


def contexts(store: ChatStore) -> list[Context]:
    return store.contexts(limit=100_000)


def blocks(store: ChatStore, context_id: str) -> Iterator[Block]:
    history = store.history(context_id)
    page = history.get_messages(limit=1_000)
    while page:
        yield from page
        page = history.get_messages(after=page[-1].cursor, limit=1_000)


def all_changes(store: ChatStore) -> Iterator[Change]:
    with store.subscribe(follow=False) as changes:
        yield from changes
