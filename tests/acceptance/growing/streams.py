"""Recorded streams of real models as pieces of text for blocks: what is written, and what has to be read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from data_support import data_files, records

TIMED = "streams_llama_stack_timed.jsonl.gz"
FILES = ("streams_vercel_ai_a.jsonl.gz", TIMED)
PAUSE = 0.005
"""Seconds between the pieces of a stream that has no times of its own."""

_TYPES = {"content": "message", "reasoning": "reasoning", "tool_args": "function_call"}


class Piece(NamedTuple):
    """A piece of a block of this type, and seconds since the stream began."""

    type: str
    text: str
    at: float


class Stream(NamedTuple):
    """One answer: its name, and the pieces of all its blocks in the order they came."""

    name: str
    timed: bool
    pieces: list[Piece]

    def texts(self) -> dict[str, str]:
        """The whole text of each of its blocks, by type."""
        found: dict[str, list[str]] = {}
        for piece in self.pieces:
            found.setdefault(piece.type, []).append(piece.text)
        return {type: "".join(texts) for type, texts in found.items()}


def streams(longest: float | None = None) -> list[Stream]:
    """The recorded streams; only those that take no longer than so many seconds, if that is given."""
    found = [_stream(record, file == TIMED) for file in FILES for record in _with_deltas(file)]
    return [stream for stream in found if longest is None or stream.pieces[-1].at <= longest]


def tokens() -> Iterator[str]:
    """Real text in tokens of four characters or the rest of a message."""
    for record in records(data_files("tau_bench_airline_gpt4o.jsonl.gz")[0]):
        for message in record["messages"]:
            if message["role"] == "assistant" and (text := message.get("content")):
                yield from (text[at : at + 4] for at in range(0, len(text), 4))


def _with_deltas(file: str) -> Iterator[Any]:
    return (record for record in records(data_files(file)[0]) if record.get("deltas"))


def _stream(record: Any, timed: bool) -> Stream:
    pieces = []
    for number, (kind, text, *ms) in enumerate(record["deltas"]):
        recorded = bool(ms) and ms[0] is not None
        pieces.append(Piece(_TYPES[kind], text, ms[0] / 1000 if recorded else number * PAUSE))
    return Stream(f"{'timed' if timed else 'untimed'} {record['id']}", timed, pieces)
