"""Text of models that think aloud between `<think>` and `</think>` before they speak, taken apart as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

BEGIN: Final = "<think>"
END: Final = "</think>"


class Thinking:
    """What is thought and what is said, of pieces of text that come one after the other.

    Text that may be part of one of the two marks is kept back until that is known.
    """

    def __init__(self) -> None:
        self._state = "begin"
        self._held = ""

    def split(self, piece: str) -> Iterator[tuple[bool, str]]:
        """What can be told by now: whether it is thought, and the text."""
        if self._state == "said":
            yield False, piece
            return
        self._held += piece
        if self._state == "begin":
            yield from self._at_begin()
        if self._state == "thinking":
            yield from self._in_thought()
        if self._state == "between" and (text := self._held.lstrip()):
            self._state, self._held = "said", ""
            yield False, text

    def rest(self) -> Iterator[tuple[bool, str]]:
        """What was kept back, now that no more comes."""
        if self._held and self._state != "between":
            yield self._state == "thinking", self._held
        self._held = ""

    def _at_begin(self) -> Iterator[tuple[bool, str]]:
        if self._held.startswith(BEGIN):
            self._state, self._held = "thinking", self._held[len(BEGIN) :]
        elif not BEGIN.startswith(self._held):
            text, self._state, self._held = self._held, "said", ""
            yield False, text

    def _in_thought(self) -> Iterator[tuple[bool, str]]:
        thought, mark, behind = self._held.partition(END)
        if mark:
            self._state, self._held = "between", behind
        else:
            most = min(len(END) - 1, len(thought))
            kept = next((size for size in range(most, 0, -1) if END.startswith(thought[-size:])), 0)
            cut = len(thought) - kept
            thought, self._held = thought[:cut], thought[cut:]
        if thought:
            yield True, thought
