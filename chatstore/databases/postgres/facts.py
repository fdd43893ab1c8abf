"""What a store on a server is, beside what it holds."""

from __future__ import annotations

from typing import Final

from chatstore.databases.postgres.inspecting import ServerInspector
from chatstore.databases.postgres.opening import FORMAT
from chatstore.databases.postgres.url import PostgresUrl

_SIZE: Final = (
    "SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint FROM pg_class"
    " JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s AND relkind = 'r'"
)


def facts(url: PostgresUrl) -> dict[str, str | int]:
    """The URL, the format, the bytes of its tables and their indexes, and the version of the server."""
    with ServerInspector(url) as inspector:
        [(format,)] = inspector.rows(f"SELECT value FROM {url.schema}.store_info WHERE name = %s", FORMAT)
        [(version,)] = inspector.rows("SHOW server_version")
        [(size,)] = inspector.rows(_SIZE, url.schema)
    return {"url": str(url), "format": int(format), "bytes_on_disk": size, "postgresql": version}


def bytes_on_disk(url: PostgresUrl) -> int:
    """The bytes of its tables and their indexes."""
    with ServerInspector(url) as inspector:
        [(found,)] = inspector.rows(_SIZE, url.schema)
    return int(found)
