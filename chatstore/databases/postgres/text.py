"""Text with NUL in it, which PostgreSQL's `text` cannot hold: it is written with a substitute, and read back whole."""

from __future__ import annotations

from typing import Any

from psycopg.abc import AdaptContext, Buffer
from psycopg.types.string import StrDumper, TextLoader

MARK = "\x1a"
"""What begins a substitute: `0` behind it is NUL, `1` is the character itself."""
_RAW = MARK.encode()


class _Dumper(StrDumper):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _Loader(TextLoader):
    def load(self, data: Buffer) -> Any:
        text = super().load(data)
        return unescaped(text) if isinstance(text, str) and MARK in text else text


def escaped(text: str) -> str:
    """Text without NUL."""
    if "\0" in text or MARK in text:
        return text.replace(MARK, f"{MARK}1").replace("\0", f"{MARK}0")
    return text


def unescaped(text: str) -> str:
    """The text that it stands for."""
    first, *rest = text.split(MARK)
    return first + "".join(("\0" if part[0] == "0" else MARK) + part[1:] for part in rest)


def register(context: AdaptContext) -> None:
    """Has a connection write and read text so."""
    context.adapters.register_dumper(str, _Dumper)
    context.adapters.register_loader("text", _Loader)
