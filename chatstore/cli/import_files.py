"""The files of an import: opened, seen through gzip, directories as the logs in them."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from chatstore.databases.foreign import HEADER, begins_one, is_database
from chatstore.errors import InvalidInput
from chatstore.importing.detecting import ENOUGH, Format, format_of

STANDARD_INPUT: Final = "-"
GZIP: Final = b"\x1f\x8b"
DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)
"""What comes of reading compressed data that is not whole."""
ENDINGS: Final = (".jsonl", ".ndjson", ".json", ".sse", ".txt", ".log")
_AGENT: Final = "agent-"


def files_of(named: list[str], format: Format | None) -> list[str]:
    """The files that are named, directories as the logs of Claude Code in them. Raises InvalidInput for others."""
    return [file for one in named for file in _files_of(one, format)]


def _files_of(file: str, format: Format | None) -> list[str]:
    path = Path(file)
    if file == STANDARD_INPUT or (path.exists() and not path.is_dir()):
        return [file]
    if path.is_dir() and format in (None, Format.claude_code):
        logs = [one for one in path.rglob("*.jsonl*") if one.is_file() and one.name.endswith((".jsonl", ".jsonl.gz"))]
        found = [one for one in logs if format is not None or found_format(one) is Format.claude_code]
        if found:  # what agents wrote comes behind the sessions that they are of
            return [str(one) for one in sorted(found, key=lambda log: (log.name.startswith(_AGENT), log))]
        raise InvalidInput(f"the directory {file} has no logs of Claude Code; name files of other formats one by one")
    raise InvalidInput(f"{file} is no file; name one with JSON Lines, or - for standard input")


def found_format(path: Path) -> Format:
    """The format of a file. Raises an InvalidInput for a database that is of none."""
    if is_database(path):
        return format_of(HEADER, path)
    with opened(str(path)) as raw, uncompressed(raw) as content:
        try:
            return format_of(content.read(ENOUGH), path if content is raw else None)
        except DAMAGED:  # it is told where it is read
            return Format.openai


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """A file, or standard input, which stays open. It can be looked into without taking from it."""
    if file != STANDARD_INPUT:
        with Path(file).open("rb") as raw:
            yield raw
        return
    # Not every standard input is a buffered reader.
    reader = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer))
    try:
        yield reader
    finally:
        reader.detach()


@contextmanager
def uncompressed(raw: BinaryIO) -> Iterator[BinaryIO]:
    """What is in a file, whether it is compressed or not. gzip is known by its first bytes."""
    if cast("io.BufferedReader", raw).peek(len(GZIP))[: len(GZIP)] != GZIP:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as content:
        yield cast("BinaryIO", content)


def refuse_database(content: BinaryIO, file: str) -> None:
    """Refuses a database that comes as a stream: it is read where it is. Raises an InvalidInput with what to do."""
    if not begins_one(content.peek(len(HEADER)) if hasattr(content, "peek") else b""):
        return
    if file == STANDARD_INPUT:
        raise InvalidInput("a database is read where it is: give the name of its file")
    raise InvalidInput("it is a compressed database, which is read where it is: uncompress it first")


def length_of(raw: BinaryIO, file: str) -> int | None:
    """Bytes of an open file; None for a pipe, which ends when it ends."""
    status = None if file == STANDARD_INPUT else os.fstat(raw.fileno())
    return status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None


def name_of(file: str, endings: Sequence[str] = (".jsonl",)) -> str:
    """What a file is called, without the endings that say how it is written."""
    if file == STANDARD_INPUT:
        return "stdin"
    name = Path(file).name.removesuffix(".gz")
    ending = next((ending for ending in endings if name.endswith(ending)), "")
    return name.removesuffix(ending) or name
