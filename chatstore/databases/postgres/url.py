"""What a `postgresql://` URL means: a server's database, and in it the schema that the store is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from chatstore.errors import InvalidInput

SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")
SCHEMA: Final = "chatstore"
"""The schema of a store, where the URL names none."""
_SECRETS: Final = ("password", "sslpassword", "passfile")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True)
class PostgresUrl:
    """A database on a server, and the schema in it that is the store."""

    url: URL = field(repr=False)
    schema: str = SCHEMA

    def __str__(self) -> str:
        return self._shown

    @cached_property
    def _shown(self) -> str:
        """Without the password, for messages."""
        query = {name: value for name, value in self.url.query.items() if name not in _SECRETS}
        url = self.url
        shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
        return shown.update_query_dict({"schema": self.schema}).render_as_string()

    def dsn(self) -> str:
        """As libpq takes it, with the password."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def engine_url(self) -> URL:
        """As SQLAlchemy takes it, for both of psycopg's faces."""
        return self.url.set(drivername="postgresql+psycopg")


def is_postgres(location: str) -> bool:
    """Whether a location is a URL of this kind."""
    return location.partition("://")[0] in SCHEMES


def parse(location: str) -> PostgresUrl:
    """What `postgresql://user@host:port/database?schema=name` means; all else in its query is libpq's."""
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        raise InvalidInput("the URL is not one like postgresql://user@host/database?schema=chatstore") from None
    if not url.database:
        raise InvalidInput("the URL names no database: postgresql://user@host/database")
    query: dict[str, Any] = dict(url.query)
    schema = query.pop("schema", SCHEMA)
    if not isinstance(schema, str) or _NAME.fullmatch(schema) is None or _is_the_servers(schema):
        raise InvalidInput(
            f"schema={schema!a} cannot name a schema; use lower-case letters, digits and _, no word of SQL"
        )
    return PostgresUrl(url.set(drivername="postgresql", query=query), schema)


def _is_the_servers(name: str) -> bool:
    """Whether a schema is one of the server's own, which no dump has, or SQL has another meaning for the word."""
    return name == "information_schema" or name.startswith("pg_") or name in RESERVED_WORDS
