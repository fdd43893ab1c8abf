"""The machine: each rule does something to a store and to the model of it, and compares what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from machine import drawing
from machine.drawing import picks
from machine.followed import Followed
from machine.lives import Lives, Refused
from machine.model import History, Plain, window
from machine.places import Places

CONTEXTS = 2
"""How many there are at a time. In place of an erased one there is a new one."""

WORTH_ERASING = 12
"""Changes that a context has before it may go."""


def pick_of(things: Sequence[Any], pick: int) -> Any:
    """One of them; None if there is none."""
    return things[pick % len(things)] if things else None


@dataclass
class Open:
    """A writer: the block it writes, and text that may be stored or not."""

    number: int
    history: History
    index: int
    pending: str = ""


class StoreMachine(RuleBasedStateMachine):
    """One store, worked with by a process that dies now and then."""

    lives: ClassVar[Lives]
    options: ClassVar[Plain]
    places: ClassVar[Places]
    model: ClassVar[type[History]] = History

    def __init__(self) -> None:
        super().__init__()
        self.location = self.places.take()
        self.histories: list[History] = []
        self.erased: list[History] = []
        self.writers: list[Open] = []
        self.ended: list[Open] = []
        self.followed: list[Followed] = []
        self.number = 0
        self.age = 0
        self.open_store()
        self.histories += map(self.new_history, range(CONTEXTS))

    def new_history(self, number: int) -> History:
        return self.model(f"context {number}")

    def open_store(self) -> None:
        self.age = 0
        self.tell("open", self.location, self.options)

    def tell(self, name: str, *values: Any, **named: Any) -> Any:
        self.age += 1
        return self.lives.tell(name, *values, **named)

    def tell_each(self, name: str, *values: Any, **named: Any) -> list[Any]:
        """What each store says, where more than one is compared, to what they may say differently."""
        self.age += 1
        return self.lives.tell_each(name, *values, **named)

    def refused(self, error: str, name: str, *values: Any, **named: Any) -> Refused:
        """The error that the store has to answer with."""
        try:
            answer = self.tell(name, *values, **named)
        except Refused as refused:
            assert refused.name == error
            return refused
        raise AssertionError(f"{error} was due, and not {answer}")

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def settled(self, pick: int) -> History:
        """One of the contexts, once all text that was written to it is stored."""
        history: History = pick_of(self.histories, pick)
        for writer in self.writers:
            if writer.history is history:
                self.settle(writer)
        return history

    def settle_all(self) -> None:
        for writer in self.writers:
            self.settle(writer)

    def settle(self, writer: Open) -> None:
        self.tell("flush", writer.number)
        if writer.pending:
            writer.history.grow(writer.index, writer.pending)
            writer.pending = ""

    # Appends

    @rule(pick=picks, batch=drawing.batches, answers=st.booleans())
    def append(self, pick: int, batch: list[Plain], answers: bool) -> None:
        history = self.settled(pick)
        if answers and history.blocks:
            batch = [{**batch[0], "parent": pick_of(history.blocks, pick)["id"]}, *batch[1:]]
        self.stored(history, batch, self.tell("append", history.name, batch))

    @rule(pick=picks, batch=drawing.batches, key=st.sampled_from("abcd"))
    def append_under_a_key(self, pick: int, batch: list[Plain], key: str) -> None:
        """Again and again the same few keys: with the same content, with other, and in other contexts."""
        history = self.settled(pick)
        if key not in history.keys:
            self.stored(history, batch, self.tell("append", history.name, batch, key=key), key)
        elif history.keys[key][0] == batch:
            self.repeat(history, key)
        else:
            self.refused("KeyConflict", "append", history.name, batch, key=key)

    @rule(pick=picks, which=picks)
    def append_again(self, pick: int, which: int) -> None:
        history = self.settled(pick)
        if history.keys:
            self.repeat(history, pick_of([*history.keys], which))

    def repeat(self, history: History, key: str) -> None:
        batch, first = history.keys[key]
        stored = history.blocks[first : first + len(batch)]
        assert self.tell("append", history.name, batch, key=key) == stored
        assert self.tell("call", history.name, "count") == len(history.blocks)

    def stored(self, history: History, batch: list[Plain], blocks: list[Plain], key: str | None = None) -> None:
        assert len(blocks) == len(batch)
        if key is not None:
            history.keys[key] = batch, len(history.blocks)
        for draft, block in zip(batch, blocks, strict=True):
            history.add(draft, block)

    @rule(pick=picks, batch=drawing.batches)
    def append_where_expected(self, pick: int, batch: list[Plain]) -> None:
        history = self.settled(pick)
        head = self.tell("call", history.name, "head")
        self.stored(history, batch, self.tell("append", history.name, batch, expect=head))

    @rule(pick=picks, batch=drawing.batches, place=picks)
    def append_where_others_were_faster(self, pick: int, batch: list[Plain], place: int) -> None:
        history = self.settled(pick)
        head = self.tell("call", history.name, "head")
        cursor = pick_of([entry["cursor"] for entry in history.log if "cursor" in entry], place)
        if cursor is not None and cursor != head:
            assert self.refused("Conflict", "append", history.name, batch, expect=cursor).head == head

    # Blocks that grow

    @precondition(lambda self: len(self.writers) < 4)
    @rule(pick=picks, opening=drawing.openings, tokens=drawing.tokens)
    def open_a_block(self, pick: int, opening: Plain, tokens: list[str]) -> None:
        history, number = self.settled(pick), self.next_number()
        stored = self.tell("open_block", history.name, number, opening)
        history.add(opening, stored, state="open")
        self.writers.append(Open(number, history, stored["index"]))
        self.write_tokens(self.writers[-1], tokens, stored=True)

    @precondition(lambda self: self.writers)
    @rule(pick=picks, tokens=drawing.tokens, stored=st.booleans())
    def write(self, pick: int, tokens: list[str], stored: bool) -> None:
        self.write_tokens(pick_of(self.writers, pick), tokens, stored)

    @precondition(lambda self: self.writers)
    @rule(tokens=drawing.tokens)
    def write_to_each(self, tokens: list[str]) -> None:
        """Pieces of several blocks that lie between one another in the log."""
        for token in tokens:
            for writer in self.writers:
                self.write_tokens(writer, [token], stored=True)

    def write_tokens(self, writer: Open, tokens: list[str], stored: bool) -> None:
        for token in tokens:
            writer.pending += token
            self.tell("write", writer.number, token)
        if stored:
            self.settle(writer)

    @precondition(lambda self: self.writers)
    @rule(pick=picks, ending=drawing.endings)
    def end(self, pick: int, ending: tuple[str, Any, Any]) -> None:
        writer, (how, value, usage) = pick_of(self.writers, pick), ending
        for other in self.writers:
            if other.history is writer.history and other is not writer:
                self.settle(other)
        values = [value] if how == "fail" else []
        named = {"data": value, "usage": usage} if how == "close" else {}
        block, head = self.tell("end", writer.history.name, writer.number, how, *values, **named)
        now = writer.history.blocks[writer.index]
        if how == "fail":
            assert block["data"]["error"]["message"] == value
            value = {**(now["data"] or {}), "error": block["data"]["error"]}
        changed = {
            "text": now["text"] + writer.pending,
            "state": {"close": "closed", "fail": "failed", "cancel": "cancelled"}[how],
            "data": now["data"] if value is None else value or None,
            "usage": now["usage"] if usage is None else usage,
        }
        self.writers.remove(writer)
        self.ended.append(writer)
        writer.history.change("BlockClosed", writer.index, block, head, **changed)

    @precondition(lambda self: self.ended)
    @rule(pick=picks)
    def end_again(self, pick: int) -> None:
        writer = pick_of(self.ended, pick)
        self.refused(writer.history.refusal(writer.index), "end", writer.history.name, writer.number, "close")

    # Marks, erasing, compaction

    @rule(pick=picks, which=picks, tag=drawing.tags)
    def tag(self, pick: int, which: int, tag: tuple[str, str, Any]) -> None:
        history = self.settled(pick)
        block = pick_of(history.blocks, which)
        if block is not None:
            answer = self.tell("tag", history.name, block["id"], tag)
            self.updated(history, block, answer, tags=history.tagged(block["index"], tag))

    @rule(pick=picks, which=picks, usage=drawing.usages)
    def set_usage(self, pick: int, which: int, usage: Plain) -> None:
        history = self.settled(pick)
        block = pick_of(history.blocks, which)
        if block is not None:
            self.updated(history, block, self.tell("set_usage", history.name, block["id"], usage), usage=usage)

    def updated(self, history: History, block: Plain, answer: tuple[Plain, str], **values: Any) -> None:
        stored, head = answer
        if block["state"] == "open":
            stored = {**stored, "text": block["text"]}  # what marks an open block does not read its text
        history.change("BlockUpdated", block["index"], stored, head, **values)

    @rule(pick=picks)
    def erase(self, pick: int) -> None:
        history = self.settled(pick)
        if len(history.log) < WORTH_ERASING or history.run_id is not None:
            return
        self.tell("call", history.name, "erase")
        history.erased = True
        self.erased.append(history)
        self.ended += [writer for writer in self.writers if writer.history is history]
        self.writers = [writer for writer in self.writers if writer.history is not history]
        self.histories[self.histories.index(history)] = self.new_history(CONTEXTS + len(self.erased) - 1)

    @precondition(lambda self: self.erased)
    @rule(pick=picks, batch=drawing.batches)
    def come_too_late(self, pick: int, batch: list[Plain]) -> None:
        history = pick_of(self.erased, pick)
        self.refused("ContextErased", "append", history.name, batch)
        self.refused("ContextErased", "call", history.name, "get_messages")
        self.refused("ContextErased", "open_block", history.name, self.next_number(), batch[0])

    # Reads

    @rule(pick=picks, filters=drawing.filters, asked=drawing.windows)
    def read(self, pick: int, filters: Plain, asked: Plain) -> None:
        history = self.settled(pick)
        filters = history.readable(filters)
        places = {name: pick_of(history.blocks, asked[name]) for name in ("after", "before") if asked[name] is not None}
        known = {name: block for name, block in places.items() if block is not None}
        counts = {name: asked[name] for name in ("limit", "last") if name in asked}
        wanted = window(history.selected(filters), **{name: block["index"] for name, block in known.items()}, **counts)
        cursors = {name: block["cursor"] for name, block in known.items()}
        assert self.tell("call", history.name, "get_messages", **filters, **cursors, **counts) == wanted
        assert self.tell("call", history.name, "count", **filters) == len(history.selected(filters))

    @rule(pick=picks, which=picks, filters=drawing.filters)
    def read_the_turn_and_one_block(self, pick: int, which: int, filters: Plain) -> None:
        history = self.settled(pick)
        said = [b["index"] for b in history.blocks if (b["type"], b["role"]) == ("message", "user")]
        filters = history.readable(filters)
        wanted = window(history.selected(filters), after=said[-1] if said else None)
        assert self.tell("call", history.name, "since_last_user_message", **filters) == wanted
        block = pick_of(history.blocks, which)
        if block is not None:
            assert self.tell("call", history.name, "get_block", block["id"]) == block

    @rule(compact=st.booleans())
    def list_contexts(self, compact: bool) -> None:
        """Compaction changes nothing that this, or any other step, can see."""
        if compact:
            self.tell("compact")
            assert self.tell("compact") == 0
        self.settle_all()
        listed = {one["context_id"]: one["count"] for one in self.tell("contexts")}
        assert listed == {one.name: len(one.blocks) for one in self.histories if one.blocks or one.runs}
