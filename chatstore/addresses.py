"""Stores that are elsewhere: which locations are addresses of servers, and who opens those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from chatstore.errors import InvalidInput

T = TypeVar("T")
_SCHEMES = ("http://", "https://")
_loaders: list[Callable[[], tuple[type[Any], type[Any]]]] = []


def is_address(location: object) -> bool:
    """Whether a location is the address of a server."""
    return isinstance(location, str) and location.lower().startswith(_SCHEMES)


def open_by(load: Callable[[], tuple[type[Any], type[Any]]]) -> None:
    """Has stores at addresses opened by two classes, for threads and for event loops. They are loaded when one is
    wanted: most programs need none."""
    _loaders[:] = [load]


def face_of(asked: type[T], face: type[Any], location: object) -> type[T]:
    """The class that opens a location where `face` was asked for, or a subclass of it, which is its own affair."""
    if asked is not face or not is_address(location):
        return asked
    return next((found for found in _loaders[0]() if issubclass(found, face)), asked)


def check_token(token: str | None) -> None:
    """Refuses a token where it opens nothing."""
    if token is not None:
        raise InvalidInput("token= is for a store at an address such as http://host:8000")
