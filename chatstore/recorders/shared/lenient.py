"""Events of other versions of a framework than the one that was seen."""

from __future__ import annotations

from typing import Any


class Lenient:
    """An object as it is, with None for every attribute that it does not have."""

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it: Any = it

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.it).__name__

    def __getattr__(self, name: str) -> Any:
        return getattr(self.it, name, None)


def each(values: Any) -> list[Lenient]:
    """Those of a list; none where there is no list."""
    return [Lenient(value) for value in values] if isinstance(values, (list, tuple)) else []
