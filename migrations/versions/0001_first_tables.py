"""The first tables."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None

_Id = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Makes everything: a store of format 0 has no tables."""
    _store()
    _histories()
    _blocks()
    _changes()
    _runs()
    _tags()
    _append_keys()
    _blobs()


def _store() -> None:
    op.create_table(
        "store_info",
        Column("name", Text, primary_key=True),
        Column("value", Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _histories() -> None:
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
        UniqueConstraint("context_id"),
        # Its counters change with every append, and no index has them: with room in its page a row stays there, and
        # what is left of it is cleared away by whoever comes next.
        postgresql_with={
            "fillfactor": 50,
            "autovacuum_vacuum_scale_factor": 0.02,
            "autovacuum_vacuum_cost_delay": 0,
            "autovacuum_analyze_scale_factor": 0.1,
        },
    )
    _partial_index("histories_erased", "histories", ["id"], "erased = 1")
    op.create_table(
        "context_keys",
        Column("name", Text, nullable=False),
        Column("value", Text, nullable=False),
        Column("history_id", _Id, nullable=False),
        PrimaryKeyConstraint("name", "value", "history_id"),
        sqlite_with_rowid=False,
    )


def _blocks() -> None:
    _create_parts(
        "blocks",
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
    _partial_index("blocks_speaker", "blocks", ["history_id", "speaker", "index"], "speaker IS NOT NULL")
    _partial_index("blocks_type", "blocks", ["history_id", "type", "index"], "speaker IS NULL")
    _partial_index("blocks_role", "blocks", ["history_id", "role", "index"], "speaker IS NULL AND role IS NOT NULL")
    _partial_index("blocks_author", "blocks", ["history_id", "author", "index"], "author IS NOT NULL")
    _partial_index("blocks_run_id", "blocks", ["history_id", "run_id", "index"], "run_id IS NOT NULL")
    _partial_index("blocks_state", "blocks", ["history_id", "state", "index"], "state <> 'closed'")
    _partial_index("blocks_lease", "blocks", ["lease_id"], "state = 'open'")
    _partial_index("blocks_pieces", "blocks", ["updated_at"], "pieces_until IS NOT NULL")


def _changes() -> None:
    # On a server every key begins with the history, and the place in the store's log is no serial number there.
    own = [] if _is_file() else [PrimaryKeyConstraint("history_id", "sequence")]
    _create_parts(
        "changes",
        Column("id", _Id, primary_key=_is_file(), autoincrement=_is_file(), nullable=False),
        Column("history_id", _Id, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("type", SmallInteger, nullable=False),
        Column("block_index", BigInteger),
        Column("offset", BigInteger),
        Column("text", Text),
        Column("checksum", BigInteger, nullable=False),
        *own,
    )
    if _is_file():
        op.create_index("changes_sequence", "changes", ["history_id", "sequence"], unique=True)
    else:
        op.create_index("changes_id", "changes", ["id"])


def _runs() -> None:
    _create_parts(
        "runs",
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
    op.create_index("runs_id", "runs", ["id"], unique=_is_file())
    op.create_index("runs_sequence", "runs", ["history_id", "sequence"])
    _partial_index("runs_parent", "runs", ["parent_run_id"], "parent_run_id IS NOT NULL")
    _partial_index("runs_running", "runs", ["lease_id"], "state = 'running'")
    op.create_table(
        "leases",
        Column("id", _Id, primary_key=True),
        Column("machine", Text, nullable=False),
        Column("pid", BigInteger, nullable=False),
        Column("started", BigInteger, nullable=False),
        Column("seconds", BigInteger, nullable=False),
        Column("beats", BigInteger, nullable=False),
    )


def _tags() -> None:
    _create_parts(
        "tags",
        Column("history_id", _Id, nullable=False),
        Column("kind", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("block_index", BigInteger, nullable=False),
        PrimaryKeyConstraint("history_id", "kind", "name", "block_index"),
        sqlite_with_rowid=False,
    )
    _partial_index("tags_history", "tags", ["kind", "name", "history_id"], "block_index = -1")


def _append_keys() -> None:
    _create_parts(
        "append_keys",
        Column("history_id", _Id, nullable=False),
        Column("key", Text, nullable=False),
        Column("digest", LargeBinary(16), nullable=False),
        Column("first_index", BigInteger, nullable=False),
        Column("count", BigInteger, nullable=False),
        PrimaryKeyConstraint("history_id", "key"),
        sqlite_with_rowid=False,
    )


def _blobs() -> None:
    op.create_table(
        "blobs",
        Column("digest", LargeBinary(32), primary_key=True),
        Column("content", LargeBinary, nullable=False),
    )
    _create_parts(
        "block_blobs",
        Column("history_id", _Id, nullable=False),
        Column("block_index", BigInteger, nullable=False),
        Column("digest", LargeBinary(32), nullable=False),
        PrimaryKeyConstraint("history_id", "block_index", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("block_blobs_digest", "block_blobs", ["digest"])


def _is_file() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _create_parts(name: str, *columns: SchemaItem, **options: bool) -> None:
    """A table of histories: on a server, if it is asked for, in parts by a hash of the history, which every key of it
    begins with."""
    parts = op.get_context().opts.get("partitions") or 0
    if parts:
        op.create_table(name, *columns, postgresql_partition_by="HASH (history_id)", **options)
    else:
        op.create_table(name, *columns, **options)
    for part in range(parts):
        op.execute(
            f"CREATE TABLE {name}_{part:04d} PARTITION OF {name} FOR VALUES WITH (MODULUS {parts}, REMAINDER {part})"
        )


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=text(condition), postgresql_where=text(condition))
