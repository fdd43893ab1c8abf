"""Databases: the only place where one is named. `open_database` gives the one that a path or URL means."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from chatstore.databases.sqlite import SqliteDatabase
from chatstore.errors import InvalidInput, InvalidText

Location = str | os.PathLike[str]


def locate(location: Location) -> Path:
    """The absolute path of the store that a path or an `sqlite:///` URL names, links resolved."""
    if not isinstance(location, (str, os.PathLike)) or not isinstance(text := os.fspath(location), str):
        raise InvalidInput(f"a store's location is a str or a Path, not {type(location).__name__}")
    if "\0" in text or not text:
        raise InvalidInput("the store's path is empty or has a NUL in it")
    if "://" in text:
        text = _path_of_url(text)
    if text == ":memory:":
        raise InvalidInput("a store is a file that other processes can open; :memory: is none")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidText(f"{text!a} cannot be the name of a file") from None
    try:
        return Path(os.path.realpath(Path(text).expanduser()))
    except RuntimeError:
        raise InvalidInput(f"there is no user for {text!r}; for a file of that name write ./{text}") from None


def open_database(location: Location, *, create: bool, busy_timeout: float) -> SqliteDatabase:
    """Opens a store. Raises an OpenError and leaves the file alone where it is none, or not of this version."""
    return SqliteDatabase(locate(location), create=create, busy_timeout=busy_timeout)


def _path_of_url(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidInput(f"{text!r} is neither a path nor a URL like sqlite:///chat.db") from None
    if url.get_backend_name() != "sqlite":
        raise InvalidInput(f"{url.get_backend_name()!r} stores are not supported; use a path or sqlite:///chat.db")
    if url.query or not url.database:
        raise InvalidInput("an sqlite:/// URL names a file, without options: sqlite:///chat.db")
    return url.database
