"""Recognising a store in a database, before anything else is done with it. Nothing is made or changed unasked."""

from __future__ import annotations

from typing import Any, Final

from psycopg import errors as pg
from sqlalchemy import Connection

from chatstore.databases.postgres.url import PostgresUrl
from chatstore.errors import OpenError, SchemaTooNew, SchemaTooOld, StoreNotFound
from chatstore.operations.copying.origins import COPYING
from chatstore.operations.prepared import driver
from chatstore.schema import SCHEMA_VERSION

FORMAT: Final = "format"
"""The name, in `store_info`, of the store's format."""


def read_identity(conn: Connection, url: PostgresUrl, *, whole: bool = True) -> str:
    """The identity of the store at a URL. Raises an OpenError where there is none of this version, or only a part of
    one that is being copied here."""
    check_encoding(conn, url)
    info = _info(driver(conn), url)
    check_format(int(info[FORMAT]), url)
    if whole and COPYING in info:
        raise OpenError(f"{url} is a copy that is not whole yet; run the same `chatstore copy` again to go on with it")
    return info["identity"]


def check_encoding(conn: Connection, url: PostgresUrl) -> None:
    """Refuses a database that cannot hold every text."""
    encoding = driver(conn).info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise OpenError(f"the database of {url} has the encoding {encoding}; a store needs one with UTF8")


def check_format(found: int, url: PostgresUrl) -> None:
    """Refuses a store of another format than this chatstore's."""
    if found < SCHEMA_VERSION:
        raise SchemaTooOld(f"{url} has format {found}, this chatstore reads {SCHEMA_VERSION}; run {command(url)}")
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(f"{url} has format {found}, this chatstore reads {SCHEMA_VERSION}; install a newer one")


def command(url: PostgresUrl) -> str:
    """What makes a store at a URL, or brings it up to date."""
    return f"`chatstore migrate '{url}'` (with the password, if it takes one)"


def _info(raw: Any, url: PostgresUrl) -> dict[str, str]:
    try:
        rows = raw.execute(f"SELECT name, value FROM {url.schema}.store_info").fetchall()
    except (pg.UndefinedTable, pg.InvalidSchemaName):
        raise StoreNotFound(f"there is no store at {url}; to make it, run {command(url)}") from None
    return dict(rows)
