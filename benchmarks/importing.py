"""The import of real conversations, with what they hold: long texts, function calls, images. And its bytes on disk."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

from benchmarks import material
from benchmarks.measuring import Benchmark, Contender, Goal, Round, Scale
from benchmarks.stores import DEFAULT, NOTE_DEFAULT, NOTE_UNSYNCED, UNSYNCED, Durability, directory
from chatstore import BlockDraft, ChatStore
from chatstore.formats import openai_chat

Files: TypeAlias = tuple[Path, ...]
Rows: TypeAlias = dict[object, list[tuple[object, ...]]]
Conversations: TypeAlias = dict[str, list[BlockDraft]]

TABLES = {"histories": "id", "blocks": "history_id", "changes": "history_id"}
"""What an import fills, and the column with the history; bytes of parts are left out."""
EVERY = 8
"""With --quick, one of so many conversations."""


@contextmanager
def _appends(scale: Scale, durability: Durability) -> Iterator[Callable[[], Round]]:
    """Drafts that are there already, an append for each conversation."""
    with _files(scale) as files:
        drafts = _conversations(files)
        yield lambda: _import(drafts, partial(_append, drafts, durability))


@contextmanager
def _command(scale: Scale) -> Iterator[Callable[[], Round]]:
    """The command, without the start of an interpreter: reading, unpacking, parsing, converting, appending."""
    with _files(scale) as files:
        drafts = _conversations(files)
        yield lambda: _import(drafts, partial(_run_command, files))


@contextmanager
def _rows(scale: Scale) -> Iterator[Callable[[], Round]]:
    """The rows of such an import, which are there already, inserted by plain sqlite3: the limit."""
    with _files(scale) as files, directory() as path:
        drafts = _conversations(files)
        _append(drafts, UNSYNCED, path / "chat.db")
        with closing(sqlite3.connect(path / "chat.db")) as conn:
            rows = {table: _by_history(conn, table, id) for table, id in TABLES.items()}
        yield lambda: {"a block": _import(drafts, partial(_insert, rows))["a block"]}


def _import(drafts: Conversations, write: Callable[[Path], None]) -> Round:
    """Imports into a new store; the seconds of it and the bytes of the file that is left when the store is closed."""
    blocks, text = sum(map(len, drafts.values())), sum(map(_bytes_of_text, itertools.chain(*drafts.values())))
    with directory() as path:
        ChatStore(path / "empty.db").close()
        begun = time.perf_counter()
        write(path / "chat.db")
        seconds = time.perf_counter() - begun
        on_disk, empty = ((path / name).stat().st_size for name in ("chat.db", "empty.db"))
    return {
        "a block": [seconds / blocks],
        "on disk": [on_disk / text],
        "less an empty store": [(on_disk - empty) / text],
    }


def _bytes_of_text(draft: BlockDraft) -> int:
    """Of its text and its parts."""
    parts = sum(len(part.content or b"") + len((part.text or "").encode()) for part in draft.parts)
    return parts + len(draft.text.encode())


def _append(drafts: Conversations, durability: Durability, path: Path) -> None:
    with ChatStore(path, durability=durability) as store:
        for id, conversation in drafts.items():
            store.history(id).append(conversation)


def _by_history(conn: sqlite3.Connection, table: str, id: str) -> Rows:
    rows: Rows = defaultdict(list)
    place = [name for _, name, *_ in conn.execute(f"PRAGMA table_info({table})")].index(id)
    for row in conn.execute(f"SELECT * FROM {table}"):
        rows[row[place]].append(row)
    return rows


def _insert(tables: dict[str, Rows], path: Path) -> None:
    """A transaction for each conversation, synced."""
    ChatStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous = FULL")
        for history in tables["histories"]:
            conn.execute("BEGIN IMMEDIATE")
            for table, rows in tables.items():
                if of_history := rows.get(history):
                    places = ", ".join("?" * len(of_history[0]))
                    conn.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", of_history)
            conn.execute("COMMIT")


def _run_command(files: Files, path: Path) -> None:
    from chatstore.cli.import_command import import_command

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        import_command([str(file) for file in files], store=str(path))


@lru_cache
def _conversations(files: Files) -> Conversations:
    """The drafts of every conversation, by its id."""
    found = {}
    for file in files:
        with gzip.open(file) as lines:
            for record in map(json.loads, lines):
                found[record["id"]] = openai_chat.to_drafts(record["messages"])
    return {id: drafts for id, drafts in found.items() if drafts}


@contextmanager
def _files(scale: Scale) -> Iterator[Files]:
    """The files of real conversations, or one of made-up ones."""
    real = tuple(file for file in sorted(material.DATA.glob("*.jsonl.gz")) if not file.name.startswith("edge_cases"))
    with directory() as path:
        if real and not scale.quick:
            yield real
        else:
            file = path / "conversations.jsonl.gz"
            with gzip.open(file, "wb", compresslevel=1) as lines:
                lines.writelines(itertools.islice(_lines(real) if real else _made_up(), 0, None, EVERY))
            yield (file,)


def _lines(files: Files) -> Iterator[bytes]:
    for file in files:
        with gzip.open(file) as lines:
            yield from lines


def _made_up() -> Iterator[bytes]:
    """Conversations of twenty messages."""
    texts = itertools.cycle(material.texts())
    for number in range(5_000):
        roles = ("user", "assistant") * 10
        said = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
        yield f"{json.dumps({'id': f'made-up-{number}', 'messages': said})}\n".encode()


BENCHMARKS = (
    Benchmark(
        "import",
        f"{material.source()}, stored whole: messages, calls, results, reasoning, images; an append for each of them"
        f" (--quick: for one in {EVERY})",
        (
            Contender("chatstore", partial(_appends, durability=DEFAULT), f"drafts in memory; {NOTE_DEFAULT}"),
            Contender("chatstore, token", partial(_appends, durability=UNSYNCED), f"drafts in memory; {NOTE_UNSYNCED}"),
            Contender("plain sqlite3", _rows, "the limit: the same rows and transactions, synced; nothing is checked"),
            Contender("chatstore import", _command, "the command: from gzip'd JSON Lines, each under a key; synced"),
        ),
        (
            Goal("import of conversations: blocks a second", metric="a block", at_least=60_000),
            Goal("bytes on disk for a byte of text", metric="on disk", at_most=1.6),
        ),
        {"a block": ("µs", 1e6), "on disk": ("bytes a byte of text", 1), "less an empty store": ("bytes", 1)},
        ("mean",),
    ),
)
