"""Requests as values: what is asked, and how to read the answer. No I/O, so that both faces share them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from chatstore.model import Model

T = TypeVar("T")
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request; every one may be repeated when its answer is lost. `first`: calls that are made before it.

    It is a write to what takes writes: called with the link to a server, it makes the request there.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    takes_long: bool = False
    first: tuple[Call[Any], ...] = ()
    opens: bool = False
    """Whether it is the first that a store asks of a server."""
    missing: Callable[[], T] | None = None
    """What it gives where there is nothing."""

    def __call__(self, link: Any) -> T:
        found: T = link.send(self)
        return found


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)  # to make one takes longer than a request


def json_body(value: object) -> bytes:
    """A value as the body of a request."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def model(kind: type[M]) -> Callable[[bytes], M]:
    """Reads an answer that is one model."""
    return kind.model_validate_json


def member(name: str, kind: Any) -> Callable[[bytes], Any]:
    """Reads one member of an answer."""
    adapter = _adapter(kind)

    def read(body: bytes) -> Any:
        return adapter.validate_python(json.loads(body)[name])

    return read


def nothing(body: bytes) -> None:
    """Reads an answer that says only that it was done."""
