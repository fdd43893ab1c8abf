"""A subscription that stays open while the store is worked with, and what a page that shows it should show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from machine.model import History, Plain, matches, wants_runs


@dataclass
class Followed:
    """`place` is how much of the log it was given, `shown` the text of the blocks."""

    number: int
    history: History
    filters: Plain
    place: int = 0
    shown: dict[int, str] = field(default_factory=dict)

    def catch_up(self, next_change: Callable[[], Plain | None]) -> bool:
        """Takes changes until it has all; False once the subscription is over."""
        while self.history.erased or not self._has_all():
            change = next_change()
            if change is None:
                assert self.history.erased, f"it ended, or waited too long, at {self.place} of {self.history.log}"
                raise AssertionError("it ended without saying that the context was erased")
            if change["what"] == "HistoryErased":
                assert self.history.erased
                assert next_change() is None
                return False
            self._take(change)
        return True

    def _coming(self) -> list[tuple[int, Plain]]:
        """The entries beside text that are still to come, each with the place behind it."""
        return [
            (place, entry)
            for place, entry in enumerate(self.history.log[self.place :], self.place + 1)
            if (
                wants_runs(self.filters)
                if "run" in entry
                else entry["what"] != "TextAppended" and matches(self.history.blocks[entry["index"]], self.filters)
            )
        ]

    def _has_all(self) -> bool:
        growing = [block for block in self.history.open_blocks() if matches(block, self.filters)]
        return not self._coming() and all(self.shown[block["index"]] == block["text"] for block in growing)

    def _take(self, change: Plain) -> None:
        if "run" in change:
            self.place, entry = self._coming()[0]
            names = ("what", "cursor")
            assert [change[name] for name in names] == [entry[name] for name in names]
            assert change["run"]["id"] == entry["run"]["id"]
            return
        block: Any = self.history.blocks[change["index"]]
        assert matches(block, self.filters)
        if change["what"] == "TextAppended":
            known = self.shown[change["index"]]
            assert change["offset"] == len(known), f"text of another place: {change}"
            self.shown[change["index"]] = known + change["text"]
            assert block["text"].startswith(self.shown[change["index"]])
            return
        place, entry = self._coming()[0]
        assert (change["what"], change["index"], change["cursor"]) == (entry["what"], entry["index"], entry["cursor"])
        assert change["block"]["id"] == block["id"]
        self.place = place
        if change["what"] == "BlockAdded":
            self.shown[change["index"]] = change["block"]["text"]
        elif change["what"] == "BlockClosed":
            self.shown[change["index"]] = change["block"]["text"]
            assert change["block"]["text"] == block["text"]
            assert change["block"]["state"] == block["state"]
