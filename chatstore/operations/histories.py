"""Histories: finding them, and listing contexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import BigInteger, Connection, bindparam, func, insert, literal_column, select, update

from chatstore.cursor import tombstone
from chatstore.errors import ContextErased, InvalidInput, StoreDamaged
from chatstore.model import Context
from chatstore.operations import checksums
from chatstore.operations.prepared import Prepared, next_number
from chatstore.operations.rows import Cursors, to_context
from chatstore.schema import HISTORY_TAG, context_keys, histories, tags


@dataclass(slots=True)
class History:
    """The row that counts a history: `head` changes so far, `count` blocks, the index of the last user message.

    Retention has removed the first of both: changes up to `first`, blocks before `first_index`. An `erased` history has
    nothing left. `checksum`: of the columns that appends do not change.
    """

    id: int
    head: int
    count: int
    last_user: int | None
    tags: str | None = None
    keys: str | None = None
    first: int = 0
    first_index: int = 0
    erased: int | None = None
    context_id: str = ""
    created_at: int = 0
    updated_at: int = 0
    settled_at: int | None = None
    checksum: int = 0


HISTORY_COLUMNS = tuple(histories.c["context_keys" if name == "keys" else name] for name in History.__annotations__)
"""What `History` takes, in this order."""
_FIND = Prepared(select(*HISTORY_COLUMNS).where(histories.c.context_id == bindparam("context_id")))
_BY_NUMBER = Prepared(select(*HISTORY_COLUMNS).where(histories.c.id == bindparam("history")))
# The lock is the row's own on databases that have such; on SQLite the whole write transaction is one.
_LOCK = Prepared(select(*HISTORY_COLUMNS).where(histories.c.context_id == bindparam("context_id")).with_for_update())


def find(conn: Connection, context_id: str) -> History | None:
    """The history of a context, if it was ever written to. Raises ContextErased if it was erased."""
    history = find_or_tombstone(conn, context_id)
    return None if history is None else not_erased(history)


def find_or_tombstone(conn: Connection, context_id: str) -> History | None:
    """The same, or what is left of it."""
    row = _FIND.first(conn, context_id=context_id) or _FIND.first(conn, context_id=tombstone(context_id))
    return None if row is None else History(*row)


def lock(conn: Connection, context_id: str) -> History | None:
    """The history of a context, or what is left of it, held for this transaction."""
    row = _LOCK.first(conn, context_id=context_id) or _LOCK.first(conn, context_id=tombstone(context_id))
    return None if row is None else History(*row)


def by_number(conn: Connection, id: int) -> History | None:
    """The history of a number, whatever became of it."""
    row = _BY_NUMBER.first(conn, history=id)
    return None if row is None else History(*row)


def not_erased(history: History) -> History:
    """The history. Raises ContextErased if it was erased."""
    if history.erased:
        raise ContextErased("the context was erased, and its name is not used again; choose another context id")
    return history


_numbered = select(next_number(histories.c.id).label("id")).correlate(None).subquery()
_CREATE = Prepared(
    insert(histories).from_select(
        ["id", "context_id", "context_keys", "head", "count", "created_at", "updated_at", "checksum"],
        select(
            _numbered.c.id,
            *(bindparam(name, type_=histories.c[name].type) for name in ("context_id", "context_keys")),
            literal_column("0"),
            literal_column("0"),
            bindparam("now", type_=BigInteger),
            bindparam("now", type_=BigInteger),
            bindparam("checksum", type_=BigInteger) + _numbered.c.id * literal_column(str(1 << checksums.HALF)),
        ),
    )
)
_WRITE = Prepared(
    update(histories)
    .where(histories.c.id == bindparam("history"))
    .values(
        context_keys=bindparam("new_keys"),
        tags=bindparam("new_tags"),
        last_user=bindparam("new_user"),
        first=bindparam("new_first"),
        first_index=bindparam("new_first_index"),
        settled_at=bindparam("new_settled_at"),
        checksum=bindparam("new_checksum"),
    )
)


def create(conn: Connection, context_id: str, keys: str | None, now: int) -> History:
    """A new history, held for this transaction."""
    own = checksums.of_history(context_id, keys, None, 0, 0, None, now, None)
    _CREATE.run(conn, context_id=context_id, context_keys=keys, now=now, checksum=own)
    # Read back, for the number and with it the checksum are made by the database in the statement itself.
    history = lock(conn, context_id)
    assert history is not None
    return history


def write(conn: Connection, history: History) -> None:
    """Stores what has changed of a history and is not counted, under a new checksum: see `check_sound` first."""
    history.checksum = seal(history) or 0
    _WRITE.run(
        conn,
        history=history.id,
        new_keys=history.keys,
        new_tags=history.tags,
        new_user=history.last_user,
        new_first=history.first,
        new_first_index=history.first_index,
        new_settled_at=history.settled_at,
        new_checksum=history.checksum,
    )


def seal(history: History) -> int | None:
    """The checksum of a history's row; None of what nobody can have written."""
    own = checksums.checked(
        checksums.of_history,
        history.context_id,
        history.keys,
        history.tags,
        history.first,
        history.first_index,
        history.erased,
        history.created_at,
        history.settled_at,
    )
    return None if own is None else checksums.numbered(own, history.id)


def check_sound(history: History) -> None:
    """Raises StoreDamaged if a history's row is not as it was written: a new checksum would hide that for ever."""
    if seal(history) != history.checksum:
        raise StoreDamaged(
            f"the row of context {history.context_id!a} is not as it was written; run: chatstore check --repair"
        )


def contexts(
    conn: Connection,
    cursors: Cursors,
    *,
    keys: Mapping[str, str],
    tags: tuple[tuple[str, str], ...],
    after: str | None,
    limit: int,
    newest_first: bool,
) -> list[Context]:
    """The contexts that carry all these keys and tags, in the order they were created or in the reverse of it, behind
    the context `after`.

    They are looked for among those that have the rarest of them.
    """
    values: dict[str, object] = {"limit": limit, "after": _LAST if newest_first else 0}
    if after is not None:
        last = find_or_tombstone(conn, after)  # erased since it was listed, it still has its place
        if last is None:
            raise InvalidInput(f"after= takes the id of a context of this store, and {after!r} is none")
        values["after"] = last.id
    wanted = _rarest_first(conn, list(keys.items()))
    for number, (name, value) in enumerate(wanted):
        values |= {f"key_{number}": name, f"value_{number}": value}
    for number, (kind, name) in enumerate(tags):
        values |= {f"kind_{number}": kind, f"name_{number}": name}
    rows = _contexts(len(keys), len(tags), newest_first).all(conn, **values)
    return [to_context(row, cursors(row[0])) for row in rows]


def described(conn: Connection, context_id: str, cursors: Cursors) -> Context | None:
    """A context as a list of them shows it; None where there is none. Raises ContextErased."""
    if find(conn, context_id) is None:
        return None
    [row] = _DESCRIBED.all(conn, context_id=context_id)
    return to_context(row, cursors(context_id))


_LAST = 2**63 - 1
_ENOUGH = 100
_HAVE_KEY = Prepared(
    select(func.count()).select_from(
        select(context_keys.c.history_id)
        .where(context_keys.c.name == bindparam("name"), context_keys.c.value == bindparam("value"))
        .limit(_ENOUGH)
        .subquery()
    )
)


def _rarest_first(conn: Connection, keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Context keys by how many contexts have them, as far as that is worth counting."""
    if len(keys) < 2:
        return keys
    return sorted(keys, key=lambda key: (_HAVE_KEY.first(conn, name=key[0], value=key[1]) or (0,))[0])


_KEPT = histories.c.count - histories.c.first_index
_LISTED = select(
    *(histories.c[name] for name in ("context_id", "context_keys", "tags")),
    _KEPT,
    *(histories.c[name] for name in ("head", "created_at", "updated_at")),
)
_DESCRIBED = Prepared(_LISTED.where(histories.c.context_id == bindparam("context_id")))


@lru_cache(maxsize=128)
def _contexts(keys: int, tag_count: int, newest_first: bool) -> Prepared:
    found, statement = histories.c, _LISTED
    order = found.id  # or the column of an index that has the wanted ones in this order already
    for number in reversed(range(tag_count)):
        tagged = tags.alias()
        order = tagged.c.history_id
        statement = statement.join(tagged, tagged.c.history_id == found.id).where(
            tagged.c.block_index == literal_column(str(HISTORY_TAG)),
            tagged.c.kind == bindparam(f"kind_{number}"),
            tagged.c.name == bindparam(f"name_{number}"),
        )
    # The rarest last, so that the rows are read in the order of its index, and no more of them than are wanted.
    for number in reversed(range(keys)):
        having = context_keys.alias()
        order = having.c.history_id
        statement = statement.join(having, having.c.history_id == found.id).where(
            having.c.name == bindparam(f"key_{number}"), having.c.value == bindparam(f"value_{number}")
        )
    behind = order < bindparam("after") if newest_first else order > bindparam("after")
    statement = statement.where(found.erased.is_(None), behind)
    return Prepared(statement.order_by(order.desc() if newest_first else order).limit(bindparam("limit")))
