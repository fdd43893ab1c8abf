"""Checksums of what the log does not prove, and of the entries that a later one replaces.

What had no checksum is sealed as it is found: there is nothing to prove it by. What had one keeps it, right or wrong.
"""

from collections.abc import Iterator
from typing import Any
from zlib import crc32

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)

revision = "0002"
down_revision = "0001"

_Id = BigInteger().with_variant(Integer(), "sqlite")
_STEP = 1_000
_REPLACING = "type >= 3 AND type <= 6 AND type <> 5"
_BLOCK = """block_index, id, type, role, author, run_id, parent_id, text, data, parts, tags, internal, state, usage,
            sequence, created_at, updated_at"""
_RUN = "id, parent_run_id, state, error, traceback, usage, started_at, ended_at, sequence"


def upgrade() -> None:
    """Makes four tables anew with a checksum in each row, then completes those of the log. On a server there is no
    store of an older format: what is there is empty."""
    if op.get_bind().dialect.name != "sqlite":
        _add_columns()
        return
    _store_info()
    _leases()
    _append_keys()
    _histories()
    replacing = text(_REPLACING)
    op.create_index("changes_replacing", "changes", ["history_id", "block_index", "sequence"], sqlite_where=replacing)
    _seal_what_is_open()
    _keep_the_starts_of_runs()
    for history, first, first_index in _rows("SELECT id, first, first_index FROM histories"):
        _chain(history)
        _seal_what_is_left(history, first, first_index)


def _add_columns() -> None:
    for table in ("store_info", "leases", "append_keys", "histories"):
        op.add_column(table, Column("checksum", BigInteger, nullable=False))
    op.add_column("histories", Column("settled_at", BigInteger))
    columns = ["history_id", "block_index", "sequence"]
    op.create_index("changes_replacing", "changes", columns, postgresql_where=text(_REPLACING))


def _store_info() -> None:
    op.rename_table("store_info", "old_store_info")
    op.create_table(
        "store_info",
        Column("name", Text, primary_key=True),
        Column("value", Text, nullable=False),
        Column("checksum", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    _copy("store_info", "name, value", lambda row: _crc(*row))


def _leases() -> None:
    op.rename_table("leases", "old_leases")
    op.create_table(
        "leases",
        Column("id", _Id, primary_key=True),
        Column("machine", Text, nullable=False),
        Column("pid", BigInteger, nullable=False),
        Column("started", BigInteger, nullable=False),
        Column("seconds", BigInteger, nullable=False),
        Column("beats", BigInteger, nullable=False),
        Column("checksum", BigInteger, nullable=False),
    )
    _copy("leases", "id, machine, pid, started, seconds, beats", lambda row: _crc(*row[1:5]) + (row[0] << 32) + row[5])


def _append_keys() -> None:
    op.rename_table("append_keys", "old_append_keys")
    op.create_table(
        "append_keys",
        Column("history_id", _Id, nullable=False),
        Column("key", Text, nullable=False),
        Column("digest", LargeBinary(16), nullable=False),
        Column("first_index", BigInteger, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("checksum", BigInteger, nullable=False),
        PrimaryKeyConstraint("history_id", "key"),
        sqlite_with_rowid=False,
    )
    columns = "history_id, key, digest, first_index, count"
    _copy("append_keys", columns, lambda row: _crc(row[0], row[1], row[2].hex(), row[3], row[4]))


def _histories() -> None:
    """Counters that nothing proves are reset: of what was erased, and the last message of the user once it is gone."""
    op.drop_index("histories_erased", "histories")
    op.rename_table("histories", "old_histories")
    op.create_table(
        "histories",
        Column("id", _Id, primary_key=True),
        Column("context_id", Text, nullable=False),
        Column("context_keys", Text),
        Column("tags", Text),
        Column("head", BigInteger, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("last_user", BigInteger),
        Column("first", BigInteger, nullable=False, server_default="0"),
        Column("first_index", BigInteger, nullable=False, server_default="0"),
        Column("erased", SmallInteger),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        Column("settled_at", BigInteger),
        Column("checksum", BigInteger, nullable=False),
        UniqueConstraint("context_id"),
    )
    op.create_index("histories_erased", "histories", ["id"], sqlite_where=text("erased = 1"))
    for statement in _RESETS:
        op.execute(statement)
    columns = "id, context_id, context_keys, tags, head, count, last_user, first, first_index, erased, created_at"
    settled = "CASE WHEN first > 0 THEN updated_at END AS settled_at"
    _copy("histories", f"{columns}, updated_at, {settled}", _of_history)


# Pieces of text do not count: nothing that is stored would prove their times.
_LAST_CHANGE = """coalesce(
    (SELECT coalesce(b.updated_at, r.ended_at, r.started_at) FROM changes c
     LEFT JOIN blocks b ON b.history_id = c.history_id AND b."index" = c.block_index
     LEFT JOIN runs r ON r.history_id = c.history_id AND r.id = c.text AND c.type >= 5
     WHERE c.history_id = old_histories.id AND c.sequence > old_histories.first AND c.type <> 0
     ORDER BY c.sequence DESC LIMIT 1),
    updated_at)"""
_RESETS = (
    "UPDATE old_histories SET last_user = NULL WHERE last_user < first_index",
    """UPDATE old_histories SET count = 0, last_user = NULL, first = 0, first_index = 0, updated_at = 0
       WHERE erased IS NOT NULL""",
    f"UPDATE old_histories SET updated_at = {_LAST_CHANGE} WHERE erased IS NULL",
)


def _of_history(row: Any) -> int:
    id, context_id, keys, tags, _, _, _, first, first_index, erased, created_at, _, settled_at = row
    return _crc(context_id, keys, tags, first, first_index, erased is None, created_at, settled_at) + (id << 32)


def _seal_what_is_open() -> None:
    """Adds the lease to the checksum of what is open, where that was right."""
    for history, lease, *row in _rows(f"SELECT history_id, lease_id, {_block_columns()} FROM blocks WHERE {_OPEN}"):
        entry = _last_entry(history, row[0], row[14])
        if entry and entry[2] == _of_block(*entry[:2], row):
            _set_checksum(history, entry[0], _of_block(*entry[:2], row, lease))
    for history, lease, *row in _rows(f"SELECT history_id, lease_id, {_RUN} FROM runs WHERE state = 'running'"):
        entry = _entry(history, row[8])
        if entry and entry[2] == _crc(*entry[:2], *row):
            _set_checksum(history, entry[0], _crc(*entry[:2], *row, lease))


_OPEN = "state = 'open' AND state <> 'closed' AND lease_id IS NOT NULL"


def _block_columns() -> str:
    return _BLOCK.replace("block_index", '"index"')


def _of_block(sequence: int, type: int, row: list[Any], *lease: int) -> int:
    return _crc(sequence, type, *row[:11], int(row[11]), *row[12:], *lease)


def _keep_the_starts_of_runs() -> None:
    """Retention has removed some while it kept the run; they are put before all that anybody may still follow."""
    place = _rows("SELECT coalesce(min(id), 1) - 1 FROM changes")[0][0]
    gone = """sequence <= (SELECT first FROM histories h WHERE h.id = runs.history_id) AND NOT EXISTS
              (SELECT 1 FROM changes c WHERE c.history_id = runs.history_id AND c.sequence = runs.sequence)"""
    found = _rows(f"SELECT history_id, lease_id, {_RUN} FROM runs WHERE {gone}")
    for number, (history, lease, *row) in enumerate(found):
        op.get_bind().exec_driver_sql(
            "INSERT INTO changes (id, history_id, sequence, type, text, checksum) VALUES (?, ?, ?, 5, ?, ?)",
            (place - number, history, row[8], row[0], _crc(row[8], 5, *row, *_held(lease))),
        )


def _held(lease: int | None) -> list[int]:
    return [] if lease is None else [lease]


def _chain(history: int) -> None:
    """Puts into the upper half of a checksum that of the entry which was replaced."""
    entries = """SELECT sequence, checksum, type, lag(sequence) OVER own, lag(checksum) OVER own FROM changes
                 WHERE history_id = ? AND type IN (1, 3, 4, 5, 6)
                 WINDOW own AS (PARTITION BY block_index, text ORDER BY sequence)"""
    for sequence, checksum, type, before, replaced in _rows(entries, history):
        if type not in (1, 5) and before is not None:
            _set_checksum(history, sequence, checksum | (_crc(before, replaced) & 0x7FFFFFFF) << 32)


def _seal_what_is_left(history: int, first: int, first_index: int) -> None:
    """Gives a checksum of their own to entries about blocks and runs that retention has removed."""
    if not first:
        return
    of_blocks = f"""SELECT sequence, type, block_index FROM changes WHERE history_id = ? AND sequence > ?
                   AND {_REPLACING} AND block_index < ?"""
    of_runs = f"""SELECT sequence, type, text FROM changes c WHERE history_id = ? AND sequence > ?
                 AND block_index IS NULL AND {_REPLACING} AND NOT EXISTS
                 (SELECT 1 FROM runs r WHERE r.history_id = c.history_id AND r.id = c.text)"""
    for row in _rows(of_blocks, history, first, first_index) + _rows(of_runs, history, first):
        _set_checksum(history, row[0], _crc(*row))


def _last_entry(history: int, index: int, added: int) -> Any:
    entries = f"""SELECT sequence, type, checksum FROM changes WHERE history_id = ? AND block_index = ?
                 AND {_REPLACING} ORDER BY sequence DESC LIMIT 1"""
    found = _rows(entries, history, index)
    return found[0] if found else _entry(history, added)


def _entry(history: int, sequence: int) -> Any:
    entry = "SELECT sequence, type, checksum FROM changes WHERE history_id = ? AND sequence = ?"
    return next(iter(_rows(entry, history, sequence)), None)


def _set_checksum(history: int, sequence: int, checksum: int) -> None:
    op.get_bind().exec_driver_sql(
        "UPDATE changes SET checksum = ? WHERE history_id = ? AND sequence = ?", (checksum, history, sequence)
    )


def _rows(statement: str, *values: int) -> list[Any]:
    return list(op.get_bind().exec_driver_sql(statement, values).fetchall())


def _copy(table: str, columns: str, checksum: Any) -> None:
    """Fills a table from the one it takes the place of, which is dropped."""
    bind = op.get_bind()
    cursor = bind.exec_driver_sql(f"SELECT {columns} FROM old_{table}")
    for rows in _steps(cursor):
        marks = ", ".join("?" * (len(rows[0]) + 1))
        bind.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", [(*row, checksum(row)) for row in rows])
    cursor.close()
    op.drop_table(f"old_{table}")


def _steps(cursor: Any) -> Iterator[list[Any]]:
    while rows := cursor.fetchmany(_STEP):
        yield rows


def _crc(*fields: Any) -> int:
    return crc32("\x1f".join(map(str, fields)).encode())
