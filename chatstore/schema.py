"""The tables, in SQLAlchemy Core; the same on every database.

`blocks` holds what was said and `changes` the log: what happened to a history, in order. A history's row counts
both, and every append takes its numbers from there in its own transaction: gapless, in commit order, and serial
per history only. Everything of one history is keyed by it first.

`changes.id` orders the whole store's log in commit order wherever one writer commits at a time, which is what a
process that follows many histories reads by.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TextClause,
    literal_column,
    text,
)

SCHEMA_VERSION: Final = 2
"""The format that this chatstore reads and writes: the number of the newest migration."""

HISTORY_TAG: Final = -1
"""The block index under which a history's own tags are kept."""

# The types of the log's entries. SQLite keeps 0 and 1 in no bytes, which counts where every token is an entry.
TEXT_APPENDED: Final = 0
BLOCK_ADDED: Final = 1
BLOCK_UPDATED: Final = 3
BLOCK_CLOSED: Final = 4
RUN_STARTED: Final = 5
RUN_ENDED: Final = 6
HISTORY_ERASED: Final = 7

metadata: MetaData = MetaData()
_Id = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER is SQLite's row id

store_info: Table = Table(
    "store_info",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# `first` and `first_index`: what retention has removed, of the log and of the blocks, ends there. `erased`: 1 while the
# rows of an erased context are removed, 2 once they are; its name is a digest then. `updated_at` is the time in the
# block or the run that the log names last; where retention has removed that, it is `settled_at`. `checksum`: of what
# appends leave as it is.
histories: Table = Table(
    "histories",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("context_id", Text, nullable=False, unique=True),
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
)

being_erased: ColumnClause[bool] = literal_column("histories.erased = 1")
Index("histories_erased", histories.c.id, sqlite_where=text("erased = 1"))

context_keys: Table = Table(
    "context_keys",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("history_id", _Id, nullable=False),
    PrimaryKeyConstraint("name", "value", "history_id"),
    sqlite_with_rowid=False,
)

blocks: Table = Table(
    "blocks",
    metadata,
    Column("history_id", _Id, nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("id", LargeBinary(16), nullable=False),
    Column("type", Text, nullable=False),
    Column("role", Text),
    Column("author", Text),
    Column("run_id", Text),
    Column("parent_id", LargeBinary(16)),
    Column("text", Text, nullable=False),
    Column("data", Text),
    Column("parts", Text),
    Column("tags", Text),
    Column("internal", Boolean, nullable=False),
    Column("views", SmallInteger, nullable=False),
    Column("speaker", SmallInteger),
    Column("state", Text, nullable=False),
    Column("usage", Text),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("lease_id", _Id),
    Column("pieces_until", BigInteger),
    PrimaryKeyConstraint("history_id", "index"),
)


def _bare(condition: ColumnClause[bool]) -> TextClause:
    """A condition as an index has it: without the name of its table."""
    return text(condition.name.partition(".")[2])


# Partial where one value would fill the index and nobody looks for it there. SQLite uses a partial index only for
# a query that repeats its condition to the letter, so these are literals and shared with `operations.selecting`.
in_transcript: ColumnClause[bool] = literal_column("blocks.views & 1 = 1")
in_prompt: ColumnClause[bool] = literal_column("blocks.views & 2 = 2")
no_message: ColumnClause[bool] = literal_column("blocks.speaker IS NULL")
is_message: ColumnClause[bool] = literal_column("blocks.speaker IS NOT NULL")
not_closed: ColumnClause[bool] = literal_column("blocks.state <> 'closed'")
is_open: ColumnClause[bool] = literal_column("blocks.state = 'open'")
has_pieces: ColumnClause[bool] = literal_column("blocks.pieces_until IS NOT NULL")
is_running: ColumnClause[bool] = literal_column("runs.state = 'running'")

# Each index that a block is in takes a page more of every append. A message is in one, by who says it (see
# `kinds.speaker_of`), which serves kinds and roles; everything else is in those of its type and its role. No index has
# the ids: a block's place is in its id.
for _column, _condition in (
    (blocks.c.speaker, is_message),
    (blocks.c.type, no_message),
    (blocks.c.role, literal_column("blocks.speaker IS NULL AND role IS NOT NULL")),
    (blocks.c.author, literal_column("blocks.author IS NOT NULL")),
    (blocks.c.run_id, literal_column("blocks.run_id IS NOT NULL")),
    (blocks.c.state, not_closed),
):
    Index(f"blocks_{_column.name}", blocks.c.history_id, _column, blocks.c.index, sqlite_where=_bare(_condition))

Index("blocks_lease", blocks.c.lease_id, sqlite_where=_bare(is_open))
# `pieces_until` is the end, in the log, of the pieces that a finished block grew by; none once they are removed.
Index("blocks_pieces", blocks.c.updated_at, sqlite_where=_bare(has_pieces))

# `text` is the piece that was appended, at `offset` characters; of a run's start and end it is the run's id.
# `checksum`: see `operations.checksums`.
changes: Table = Table(
    "changes",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("history_id", _Id, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("block_index", BigInteger),
    Column("offset", BigInteger),
    Column("text", Text),
    Column("checksum", BigInteger, nullable=False),
)
Index("changes_sequence", changes.c.history_id, changes.c.sequence, unique=True)

# The entries that replace an earlier one about the same block or run. An append writes none, and finds that out in 0.1
# microseconds; IN, for which SQLite makes a table, would take ten times as long.
_REPLACING: Final = ("type >= 3", "type <= 6", "type <> 5")
Index(
    "changes_replacing",
    changes.c.history_id,
    changes.c.block_index,
    changes.c.sequence,
    sqlite_where=text(" AND ".join(_REPLACING)),
)


def is_replacing(table: str) -> list[ColumnClause[bool]]:
    """The conditions of that index, for a query of `changes` under a name."""
    return [literal_column(f"{table}.{condition}") for condition in _REPLACING]


runs: Table = Table(
    "runs",
    metadata,
    Column("history_id", _Id, nullable=False),
    Column("id", Text, nullable=False),
    Column("parent_run_id", Text),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("traceback", Text),
    Column("usage", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("sequence", BigInteger, nullable=False),
    Column("lease_id", _Id),
    PrimaryKeyConstraint("history_id", "id"),
)
Index("runs_id", runs.c.id, unique=True)
Index("runs_sequence", runs.c.history_id, runs.c.sequence)
_has_parent = runs.c.parent_run_id.is_not(None)
Index("runs_parent", runs.c.parent_run_id, sqlite_where=_has_parent)
Index("runs_running", runs.c.lease_id, sqlite_where=_bare(is_running))

# One for each process that has something open: it counts `beats` while it lives. `machine`, `pid` and `started` let
# a process on the same machine see at once that it is gone.
leases: Table = Table(
    "leases",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("checksum", BigInteger, nullable=False),
)

# `block_index` -1 is the history itself. The tags as they read are on the block; these rows find it by them.
tags: Table = Table(
    "tags",
    metadata,
    Column("history_id", _Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("block_index", BigInteger, nullable=False),
    PrimaryKeyConstraint("history_id", "kind", "name", "block_index"),
    sqlite_with_rowid=False,
)
_of_history = tags.c.block_index == literal_column(str(HISTORY_TAG))
Index(
    "tags_history",
    tags.c.kind,
    tags.c.name,
    tags.c.history_id,
    sqlite_where=_of_history,
)

append_keys: Table = Table(
    "append_keys",
    metadata,
    Column("history_id", _Id, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("first_index", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    PrimaryKeyConstraint("history_id", "key"),
    sqlite_with_rowid=False,
)

blobs: Table = Table(
    "blobs",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# Which blocks hold which bytes: bytes that no block holds any more can be removed.
block_blobs: Table = Table(
    "block_blobs",
    metadata,
    Column("history_id", _Id, nullable=False),
    Column("block_index", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("history_id", "block_index", "digest"),
    sqlite_with_rowid=False,
)
Index("block_blobs_digest", block_blobs.c.digest)
