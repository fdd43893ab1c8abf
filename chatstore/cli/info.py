"""`chatstore info`: what a store is and how much it holds."""

from __future__ import annotations

import sqlite3

from rich.text import Text

import chatstore
from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreArgument, StoreOption
from chatstore.cli.output import Output
from chatstore.cli.reading import all_contexts, open_to_read
from chatstore.cli.safe import one_line
from chatstore.databases.sqlite_file import format_of
from chatstore.store import ChatStore


def info_command(path: StoreArgument = None, as_json: JsonOption = False, store: StoreOption = DEFAULT_STORE) -> None:
    """Prints what the store is, what it holds and how large it is."""
    with open_to_read(store if path is None else path) as opened:
        facts = _facts(opened)
    output = Output()
    if as_json:
        output.json(facts)
        return
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) and name != "format" else one_line(str(value))
        output.text(Text.assemble((f"{name.replace('_', ' '):<16}", "bold"), shown))


def _facts(store: ChatStore) -> dict[str, str | int]:
    contexts = blocks = 0
    for context in all_contexts(store):
        contexts += 1
        blocks += context.count
    return {
        "path": str(store.path),
        "identity": store.identity,
        "format": format_of(store.path),
        "contexts": contexts,
        "blocks": blocks,
        "bytes_on_disk": _size(store),
        "sqlite": sqlite3.sqlite_version,
        "chatstore": chatstore.__version__,
    }


def _size(store: ChatStore) -> int:
    """Bytes of the file and of SQLite's files beside it."""
    files = (store.path.with_name(f"{store.path.name}{suffix}") for suffix in ("", "-wal", "-shm"))
    return sum(file.stat().st_size for file in files if file.exists())
