"""Databases: the only place where one is named. `open_database` gives the one that a path or URL means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from chatstore.databases.base import Database
from chatstore.databases.postgres.url import PostgresUrl, is_postgres, parse
from chatstore.databases.sqlite import SqliteDatabase
from chatstore.errors import InvalidInput, InvalidText, MissingExtra, UsageError
from chatstore.wakers import WAKERS
from chatstore.wakers.bus import Bus
from chatstore.wakers.nats.url import is_nats
from chatstore.wakers.nats.url import parse as parse_nats

Location = str | os.PathLike[str]
Place: TypeAlias = Path | PostgresUrl
"""Where a store is: an absolute path, links resolved, or a database on a server. As text it names no password."""


def locate(location: Location | Place) -> Place:
    """What a path, an `sqlite:///` or a `postgresql://` URL means."""
    if isinstance(location, PostgresUrl):
        return location
    if not isinstance(location, (str, os.PathLike)) or not isinstance(text := os.fspath(location), str):
        raise InvalidInput(f"a store's location is a str or a Path, not {type(location).__name__}")
    if "\0" in text or not text:
        raise InvalidInput("the store's path is empty or has a NUL in it")
    if is_postgres(text):
        return parse(text)
    if "://" in text:
        text = _path_of_url(text)
    if text == ":memory:":
        raise InvalidInput("a store is a file that other processes can open; :memory: is none")
    _check_is_of_this_system(text)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidText(f"{text!a} cannot be the name of a file") from None
    try:
        return Path(os.path.realpath(Path(text).expanduser()))
    except RuntimeError:
        raise InvalidInput(f"there is no user for {text!r}; for a file of that name write ./{text}") from None


def _check_is_of_this_system(text: str) -> None:
    """Refuses what a file here could be called, and nobody means so."""
    if text.startswith("file:"):
        raise InvalidInput(f"{text!r} is a URI; give the plain path (of a file that is called so, from the root)")
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]", text):
        raise InvalidInput(f"{text!r} is a path of Windows, and this is another system; give a path of this one")


def locate_file(location: Location | Place, what: str) -> Path:
    """The path of a store that is a file. Raises UsageError for others, which `what` is not there for."""
    place = locate(location)
    if isinstance(place, Path):
        return place
    raise _for_files(what, str(place))


_INSTEAD = {
    "backup": "back the database up by pg_dump, or copy the store: chatstore copy",
    "vacuum": "there autovacuum does it, or VACUUM by hand",
    "repair": "restore a backup of the database, or export what is sound; `chatstore check` names what is not",
}


def _for_files(what: str, location: str) -> UsageError:
    instead = f"; {_INSTEAD[what]}" if what in _INSTEAD else ""
    return UsageError(f"{what} is for stores that are files, and {location} is on a server{instead}")


def open_file(location: Location, what: str, *, busy_timeout: float) -> SqliteDatabase:
    """Opens a store that is a file and has to be there."""
    return SqliteDatabase(locate_file(location, what), create=False, busy_timeout=busy_timeout)


def files(database: Database, what: str) -> SqliteDatabase:
    """A database that is a file. Raises UsageError for others, which `what` is not there for."""
    if not isinstance(database, SqliteDatabase):
        raise _for_files(what, database.location)
    return database


def open_database(
    place: Place, *, create: bool, busy_timeout: float, wake: str = "auto", listen_url: str | None = None
) -> Database:
    """Opens a store. Raises an OpenError and leaves everything alone where it is none, or not of this version."""
    if isinstance(place, Path):
        if is_nats(wake):
            raise InvalidInput(
                "wake= names a NATS server, and the store is a file: the processes of its machine follow that by file"
                " events, and others cannot open it; leave wake= out, or use a postgresql:// store"
            )
        _check_waker(wake, WAKERS)
        if listen_url is not None:
            raise InvalidInput("listen_url= is for stores on a server")
        return SqliteDatabase(place, create=create, busy_timeout=busy_timeout)
    with driver_needed():
        from chatstore.databases.postgres.database import PostgresDatabase
    make_bus = _nats(wake, listen_url) if is_nats(wake) else None
    if make_bus is None:
        _check_waker(wake, PostgresDatabase.WAKERS, also=" or a nats:// URL")
    return PostgresDatabase(place, busy_timeout=busy_timeout, listen_url=listen_url, make_bus=make_bus)


@contextmanager
def driver_needed() -> Iterator[None]:
    """For imports of what needs a server's driver. Raises MissingExtra where that is not installed."""
    try:
        yield
    except ImportError as error:
        raise MissingExtra("a postgresql:// store needs psycopg; run pip install 'chatstore[postgres]'") from error


def _nats(wake: str, listen_url: str | None) -> Callable[[str], Bus]:
    url = parse_nats(wake)
    if listen_url is not None:
        raise InvalidInput("listen_url= is for LISTEN, and with a NATS server as wake= nobody listens; leave one out")
    try:
        from chatstore.wakers.nats.bus import NatsBus
    except ImportError as error:
        raise MissingExtra("a NATS server as wake= needs nats-py; run pip install 'chatstore[nats]'") from error
    return partial(NatsBus, url)


def _check_waker(wake: str, known: Iterable[str], also: str = "") -> None:
    if wake not in ("auto", *known):
        scheme, url, _ = str(wake).partition("://")  # the rest may have a password in it
        shown = f"{scheme}://…" if url else wake
        raise InvalidInput(f"unknown waker {shown!r}; it is one of auto, {', '.join(known)}{also}")


def _path_of_url(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        scheme = text.partition("://")[0]  # the rest may have a password in it
        raise InvalidInput(f"{scheme}://… is neither a path nor a URL like sqlite:///chat.db") from None
    if url.get_backend_name() != "sqlite":
        known = "use a path, sqlite:///chat.db or postgresql://user@host/database"
        raise InvalidInput(f"{url.get_backend_name()!r} stores are not supported; {known}")
    if url.query or not url.database:
        raise InvalidInput("an sqlite:/// URL names a file, without options: sqlite:///chat.db")
    return url.database
