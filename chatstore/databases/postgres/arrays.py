"""Columns of values as PostgreSQL's array literals, a column at a time.

The driver would quote each value by itself, which takes several times what all the rest of an append does. The format
is that of https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg.abc import AdaptContext
from psycopg.types.string import StrDumper

from chatstore.databases.postgres.text import escaped

_SEPARATOR: Final = "\x1f"


class Literal(str):
    """An array as the server reads it. It is sent as it is."""


class _LiteralDumper(StrDumper):
    pass


def register(context: AdaptContext) -> None:
    """Has a connection send literals."""
    context.adapters.register_dumper(Literal, _LiteralDumper)


def literal(values: Sequence[Any]) -> Literal:
    """An array of values of one type, or None. One of nothing but None is empty: `unnest` makes it as long as the
    longest beside it."""
    kinds = {*map(type, values)}
    if kinds == {type(None)}:
        return Literal("{}")
    if len(kinds) > 1:
        return Literal("{" + ",".join(["NULL" if value is None else _one(value) for value in values]) + "}")
    [kind] = kinds
    return Literal("{" + (_texts(values) if kind is str else ",".join(map(_one, values))) + "}")


def _texts(values: Sequence[str]) -> str:
    joined = _SEPARATOR.join(values)
    # One of the texts has it, too.
    if joined.count(_SEPARATOR) >= len(values):
        return ",".join(map(_one, values))
    return '"' + _quoted(joined).replace(_SEPARATOR, '","') + '"'


def _one(value: Any) -> str:
    if isinstance(value, str):
        return f'"{_quoted(value)}"'
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    return str(value)


def _quoted(text: str) -> str:
    return escaped(text).replace("\\", "\\\\").replace('"', '\\"')
