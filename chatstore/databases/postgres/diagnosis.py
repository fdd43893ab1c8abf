"""What a store on a server, and the server itself, are like: findings, each with what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final
from uuid import uuid4

import psycopg

from chatstore.databases.diagnosis import Finding
from chatstore.databases.postgres.errors import DRIVER_ERRORS, translate_opening
from chatstore.databases.postgres.inspecting import ServerInspector
from chatstore.databases.postgres.listening import is_pooled
from chatstore.databases.postgres.url import PostgresUrl
from chatstore.operations.prepared import driver
from chatstore.schema import metadata

OLDEST: Final = 130_000
"""The oldest server that has what the store's log is ordered by (`pg_current_xact_id`)."""
READ, WRITE, LISTEN, TELL = 24, 1, 1, 1
"""Connections of a process, at most: for threads as for an event loop."""
_SLOW: Final = 0.1
_LONG: Final = 5.0
"""Seconds after which a transaction that writes is one that others wait for."""
_TIMES: Final = 15
_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_HOLDS_BACK: Final = (
    "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''),"
    " extract(epoch FROM clock_timestamp() - xact_start)::float8, datname = current_database()"
    " FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    " ORDER BY xact_start LIMIT 20"
)


def server(url: PostgresUrl) -> Iterator[Finding]:
    """What can be said of a server and the database that a URL names."""
    try:
        with ServerInspector(url) as inspector:
            yield _version(inspector)
            yield _encoding(inspector)
            yield _pooler(inspector)
            yield _wake_ups(url)
            yield _clock(inspector)
            yield _connections(inspector)
            yield _durability(inspector)
            yield from _held_back(inspector)
            yield from _permissions(inspector, url)
    except DRIVER_ERRORS as error:
        raise translate_opening(error, str(url)) from error


def store(url: PostgresUrl) -> Iterator[Finding]:
    """What can be said of the store there."""
    with ServerInspector(url) as inspector:
        yield _partitions(inspector, url)
        yield _autovacuum(inspector, url)


def _version(inspector: ServerInspector) -> Finding:
    [(number, shown)] = inspector.rows("SELECT current_setting('server_version_num')::int, version()")
    if number < OLDEST:
        return Finding("server", "problem", shown, f"a store needs PostgreSQL {OLDEST // 10_000} or later")
    [(standby,)] = inspector.rows("SELECT pg_is_in_recovery()")
    if standby:
        return Finding("server", "problem", f"{shown}, a standby", "nothing can be written there: name the primary")
    return Finding("server", "good", shown)


def _encoding(inspector: ServerInspector) -> Finding:
    [(encoding,)] = inspector.rows("SHOW server_encoding")
    if encoding != "UTF8":
        return Finding("encoding", "problem", encoding, "make a database with ENCODING 'UTF8' for the store")
    return Finding("encoding", "good", encoding)


def _pooler(inspector: ServerInspector) -> Finding:
    if is_pooled(driver(inspector.conn)):
        found = "a pooler answers for the server"
        return Finding(
            "pooler", "note", found, "give the URL of the database itself as listen_url=, to hear of commits"
        )
    return Finding("pooler", "good", "none: this is the server itself")


def _wake_ups(url: PostgresUrl) -> Finding:
    seconds = _notices(url.dsn())
    if seconds is None:
        advice = (
            "changes of others are looked for, twice a second at least; listen_url= at the server itself is faster, and"
            " so is a NATS server as wake="
        )
        return Finding("wake-ups", "note", "LISTEN does not work here", advice)
    median, slowest = 1_000 * seconds[len(seconds) // 2], 1_000 * seconds[-1]
    found = f"LISTEN: a notice takes {median:.2f} ms, the slowest of {len(seconds)} took {slowest:.2f} ms"
    if median > 1_000 * _SLOW:
        return Finding("wake-ups", "note", found, "the server is far away or busy")
    return Finding("wake-ups", "good", found)


def _notices(dsn: str) -> list[float] | None:
    """Seconds that notices took from one connection to another, sorted; None where one did not arrive."""
    channel, taken = f"chatstore_doctor_{uuid4().hex}", []
    with (
        closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=None)) as hears,
        closing(psycopg.connect(dsn, autocommit=True, prepare_threshold=None)) as tells,
    ):
        hears.execute(f"LISTEN {channel}")
        for _ in range(_TIMES):
            began = time.perf_counter()
            tells.execute("SELECT pg_notify(%s, '')", [channel])
            if not list(hears.notifies(timeout=2, stop_after=1)):
                return None
            taken.append(time.perf_counter() - began)
    return sorted(taken)


def _clock(inspector: ServerInspector) -> Finding:
    before = time.time()
    [(there,)] = inspector.rows("SELECT extract(epoch FROM clock_timestamp())::float8")
    after = time.time()
    difference = there - (before + after) / 2
    found = f"{abs(difference):.3f} s {'ahead of' if difference > 0 else 'behind'} this machine's"
    if abs(difference) > max(1.0, after - before):
        return Finding("clock", "note", found, "times are those of who writes, and their order may mislead: use NTP")
    return Finding("clock", "good", found)


def _connections(inspector: ServerInspector) -> Finding:
    [(most, kept, used)] = inspector.rows(
        "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    )
    takes = READ + WRITE + LISTEN + TELL
    free = most - kept - used
    found = (
        f"{used:,} of {most:,} are in use; a process takes up to {takes}: {READ} to read, and one each to write, to"
        f" listen and to tell; so there is room for {max(free, 0) // takes:,} more at their most"
    )
    if free < takes:
        return Finding("connections", "note", found, "raise max_connections, or put a pooler in between")
    return Finding("connections", "good", found)


def _durability(inspector: ServerInspector) -> Finding:
    names = ("fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names")
    shown = dict(zip(names, (inspector.rows(f"SHOW {name}")[0][0] for name in names), strict=True))
    found = ", ".join(f"{name} {value or 'none'}" for name, value in shown.items())
    if shown["fsync"] == "off" or shown["full_page_writes"] == "off":
        return Finding("durability", "problem", found, "a power cut can take all of the database: set both on")
    return Finding("durability", "good", f"{found}; the store itself sets synchronous_commit for each commit")


def _held_back(inspector: ServerInspector) -> Iterator[Finding]:
    """Transactions that write: behind the oldest of them, who follows the whole store is told nothing."""
    long = 0
    for pid, user, name, state, age, here in inspector.rows(_HOLDS_BACK):
        if age is None or age < _LONG:
            continue
        long += 1
        what = f"process {pid} ({name or 'no name'}, user {user}): {state} for {age:,.0f} s"
        place = "" if here else ", in another database"
        advice = f"end it where it began, or: SELECT pg_terminate_backend({pid})"
        yield Finding("horizon", "problem", f"{what}{place}; it holds back who follows the whole store", advice)
    for name, age in inspector.rows(
        "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts ORDER BY prepared"
    ):
        long += 1
        found = f"the prepared transaction {name!a} is {age:,.0f} s old; it holds back who follows the whole store"
        yield Finding("horizon", "problem", found, f"COMMIT PREPARED {name!r}, or ROLLBACK PREPARED {name!r}")
    if not long:
        yield Finding("horizon", "good", f"no transaction that writes is older than {_LONG:g} s")


def _permissions(inspector: ServerInspector, url: PostgresUrl) -> Iterator[Finding]:
    """What this user may do, where there is a store."""
    may_use = inspector.rows(
        "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s", url.schema
    )
    if not may_use:
        return
    missing = _missing(inspector, url) if may_use[0][0] else [f"USAGE on the schema {url.schema}"]
    if missing:
        found = f"without {', '.join(missing[:5])}{f' and {len(missing) - 5:,} more' if len(missing) > 5 else ''}"
        yield Finding("permissions", "problem", found, "have the owner GRANT that to this user; see docs/postgres.md")
    else:
        yield Finding("permissions", "good", "this user may read and write everything of the store")


def _missing(inspector: ServerInspector, url: PostgresUrl) -> list[str]:
    rights = [(f"{url.schema}.{table}", right) for table in metadata.tables for right in _RIGHTS]
    may = "SELECT coalesce(has_table_privilege(to_regclass(%s), %s), true)"
    missing = [f"{right} on {table}" for table, right in rights if not inspector.rows(may, table, right)[0][0]]
    for sequence in (f"{url.schema}.{table}_id_seq" for table in ("histories", "leases")):
        may = "SELECT coalesce(has_sequence_privilege(to_regclass(%s), 'USAGE'), true)"
        if not inspector.rows(may, sequence)[0][0]:
            missing.append(f"USAGE on {sequence}")
    return missing


def _partitions(inspector: ServerInspector, url: PostgresUrl) -> Finding:
    [(parts,)] = inspector.rows(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(%s)", f"{url.schema}.blocks"
    )
    return Finding("partitions", "good", f"{parts:,} by a hash of the history" if parts else "none")


def _autovacuum(inspector: ServerInspector, url: PostgresUrl) -> Finding:
    [(on,)] = inspector.rows("SHOW autovacuum")
    [(options, updates, hot, live, dead)] = inspector.rows(
        "SELECT coalesce(array_to_string(reloptions, ', '), 'none'), n_tup_upd, n_tup_hot_upd, n_live_tup, n_dead_tup"
        " FROM pg_class JOIN pg_stat_user_tables ON relid = pg_class.oid WHERE pg_class.oid = to_regclass(%s)",
        f"{url.schema}.histories",
    )
    share = f"{100 * hot / updates:.0f} % of {updates:,} updates" if updates else "no updates yet"
    found = f"autovacuum {on}; histories: {options}; in place {share}; {dead:,} dead rows of {live + dead:,}"
    if on != "on":
        return Finding("vacuum", "problem", found, "set autovacuum = on: every append leaves a dead row behind")
    if "fillfactor" not in options:
        advice = f"ALTER TABLE {url.schema}.histories SET (fillfactor = 50): counters change with every append"
        return Finding("vacuum", "note", found, advice)
    return Finding("vacuum", "good", found)
