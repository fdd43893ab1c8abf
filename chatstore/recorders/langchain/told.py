"""What a callback of LangChain's was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Told:
    """`kind` is the callback's name without `on_`, `more` the keywords that it was called with."""

    kind: str
    value: Any
    run_id: Any
    parent_run_id: Any = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def starts(self) -> bool:
        """Whether something begins by it."""
        return self.kind.endswith("_start")

    @property
    def ends(self) -> bool:
        """Whether something ends by it."""
        return self.kind.endswith(("_end", "_error"))

    @property
    def fails(self) -> bool:
        """Whether it tells of an error: nothing else is raised from there."""
        return self.kind.endswith("_error")


def told(kind: str, value: Any, more: Mapping[str, Any]) -> Told:
    """What a callback was told, with its keywords."""
    return Told(kind, value, more.get("run_id"), more.get("parent_run_id"), more)


def graph_told(kind: str, event: Any) -> Told:
    """What a graph told of itself."""
    return Told(kind, event, getattr(event, "run_id", None))
