"""What a client makes of the events that it has read: each taken once, in order, without a gap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from chatstore import Block


def complete_events(data: bytes) -> Iterator[dict[str, str]]:
    """The events of a stream that came whole: those with an empty line behind them."""
    assert b"\r" not in data
    for event in data.split(b"\n\n")[:-1]:
        lines = [line.partition(": ") for line in event.decode().split("\n") if not line.startswith(":")]
        yield {name.rstrip(":"): value for name, _, value in lines}


class Folded:
    """Texts by block, as the events make them. Raises AssertionError for what comes twice, or not where it belongs."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.texts: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.changes = 0

    def take(self, event: dict[str, str]) -> None:
        """Takes one event."""
        if event.get("event") in (None, "heartbeat"):
            return
        change: dict[str, Any] = json.loads(event["data"])
        assert change["change"] == event["event"]
        assert self.last_id is None or event["id"] > self.last_id, "an event came again"
        self.last_id = event["id"]
        self.changes += 1
        if change["change"] == "text_appended":
            assert change["offset"] == len(self.texts[change["block_id"]]), "text came twice, or is missing"
            self.texts[change["block_id"]] += change["text"]
        elif "block" in change:
            self._take_block(change["change"], change["block"])

    def _take_block(self, name: str, block: dict[str, Any]) -> None:
        if name == "block_added":
            assert block["id"] not in self.texts, "a block was added twice"
        self.texts[block["id"]], self.states[block["id"]] = block["text"], block["state"]

    def equals(self, blocks: list[Block]) -> bool:
        """Whether it is what is stored."""
        return self.texts == {block.id: block.text for block in blocks} and self.states == {
            block.id: block.state for block in blocks
        }
