"""What an import refuses of a file: all of it is told, unless nothing in the file is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_TOLD: Final = 3
_HELD: Final = 1_000


@dataclass
class Refusals:
    """Those of one file. `say` tells a line.

    Of a file in which nothing is good, such as one of another format, only the first few are told. So what follows on
    those waits until something good comes, or the end.
    """

    file: str
    say: Callable[[str], None]
    good: bool = False
    count: int = 0
    _held: list[str] = field(default_factory=list)

    def refuse(self, place: str, reason: str) -> None:
        """Something that is refused."""
        self.count += 1
        told = f"{place}: refused: {reason}"
        if self.good or self.count <= _TOLD:
            self.say(told)
        elif len(self._held) < _HELD:
            self._held.append(told)

    def accept(self) -> None:
        """Something that is good."""
        if self.good:
            return
        self.good = True
        hidden = max(self.count - _TOLD, 0) - len(self._held)
        for told in self._held:
            self.say(told)
        if hidden:
            self.say(f"{self.file}: refused: {hidden:,} more before the first that is good")
        self._held.clear()

    def end(self) -> None:
        """The end of the file."""
        if not self.good and self.count > _TOLD:
            self.say(f"{self.file}: nothing in it could be imported: {self.count - _TOLD:,} more are refused as well")
