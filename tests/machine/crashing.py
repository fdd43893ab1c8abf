"""The rest of the machine: subscriptions, and the deaths of the process that works with the store."""

from __future__ import annotations

import shutil
import time

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from machine import drawing
from machine.drawing import picks
from machine.followed import Followed
from machine.model import History, Plain, Seen, normal
from machine.steps import StoreMachine, pick_of

WORTH_KILLING = 15
"""Calls that a process answers before it may die: without time to live there is nothing to lose."""
ENDED_WITHIN = 10.0
"""Seconds in which what a dead process left open is ended."""


class WholeMachine(StoreMachine):
    """With subscribers, and crashes."""

    @rule(pick=picks, which=picks, filters=drawing.filters, erased=st.booleans())
    def subscribe(self, pick: int, which: int, filters: Plain, erased: bool) -> None:
        """Reads the whole log under some filters, keeps every cursor of it, and goes on at one of them."""
        history = pick_of(self.erased, pick) if erased and self.erased else self.settled(pick)
        known = len(history.seen)
        self.replay(history, filters, None)
        new = history.seen[known:]
        seen = pick_of([one for one in new if any(one.received.values())] or new, which)  # best amid text that grows
        if seen is not None:
            self.replay(history, filters, seen)

    @rule(pick=picks, which=picks, others=drawing.filters, erased=st.booleans())
    def resume(self, pick: int, which: int, others: Plain, erased: bool) -> None:
        """Goes on at any cursor that was seen, under the same filters or under others."""
        history = pick_of(self.erased, pick) if erased and self.erased else self.settled(pick)
        seen = pick_of(history.seen, which)
        if seen is not None:
            self.replay(history, others if history.can_resume(seen, others) else seen.filters, seen)

    def replay(self, history: History, filters: Plain, after: Seen | None) -> None:
        changes = self.tell("replay", history.name, None if after is None else after.cursor, filters)
        assert normal(changes) == normal(history.changes(filters, after))
        if history.erased:
            return
        history.seen += history.places(changes, filters, after)

    @precondition(lambda self: len(self.followed) < 4)
    @rule(pick=picks, filters=drawing.lasting_filters, now=st.booleans())
    def follow(self, pick: int, filters: Plain, now: bool) -> None:
        history = self.settled(pick)
        following = Followed(self.next_number(), history, filters)
        if now:
            following.place = len(history.log)
            following.shown = {block["index"]: block["text"] for block in history.blocks}
        self.tell("follow", history.name, following.number, "now" if now else None, filters)
        self.followed.append(following)

    @precondition(lambda self: self.followed)
    @rule(pick=picks)
    def catch_up(self, pick: int) -> None:
        following = pick_of(self.followed, pick)
        for writer in self.writers:
            if writer.history is following.history:
                self.settle(writer)
        if not following.catch_up(lambda: self.tell("next_change", following.number)):
            self.followed.remove(following)

    # Ends of the process

    @precondition(lambda self: self.age >= WORTH_KILLING)
    @rule(how=st.sampled_from(["closed", "killed", "killed"]))
    def end_the_process(self, how: str) -> None:
        if how == "closed":
            self.tell("close")
        else:
            self.lives.kill()
        self.reopen()

    @precondition(lambda self: self.age >= WORTH_KILLING)
    @rule(pick=picks, batch=drawing.batches, after=st.sampled_from([0.0, 0.0002, 0.0005, 0.001, 0.002]))
    def kill_in_an_append(self, pick: int, batch: list[Plain], after: float) -> None:
        """It is stored whole or not at all, and can be repeated under its key."""
        history, key = self.settled(pick), f"crash {self.next_number()}"
        self.lives.send("append", history.name, batch, key=key)
        self.lives.kill(after)
        self.reopen(into=(history, batch, key))

    def reopen(self, into: tuple[History, list[Plain], str] | None = None) -> None:
        """Opens the store again and looks at what became of open blocks: they were interrupted, and of their text
        nothing that was acknowledged is missing."""
        self.open_store()
        self.ended.clear()
        self.followed.clear()
        if into is not None:
            history, batch, key = into
            before = self.tell("call", history.name, "count")
            assert before in (len(history.blocks), len(history.blocks) + len(batch)), "a torn batch"
            stored = self.tell("append", history.name, batch, key=key)
            self.stored(history, batch, stored, key)
        for history in {id(writer.history): writer.history for writer in self.writers}.values():
            self.interrupted(history)
        self.writers.clear()

    def interrupted(self, history: History) -> None:
        pending = {writer.index: writer.pending for writer in self.writers if writer.history is history}
        deadline = time.monotonic() + ENDED_WITHIN
        while self.tell("call", history.name, "count", states=["open"]):
            assert time.monotonic() < deadline, "a block of a dead process stays open"
        for index, text in pending.items():
            acknowledged = history.blocks[index]["text"]
            stored = self.tell("call", history.name, "get_block", history.blocks[index]["id"])
            assert stored["text"].startswith(acknowledged)
            assert (acknowledged + text).startswith(stored["text"])
            history.blocks[index] |= {
                "text": stored["text"],
                "state": "interrupted",
                "updated_at": stored["updated_at"],
            }
            assert stored == history.blocks[index]
        self.learn_ends(history, {*pending})

    def learn_ends(self, history: History, ended: set[int]) -> None:
        """The ends of several blocks come in any order; in which they came, their cursors say."""
        known = {entry["cursor"] for entry in history.log if "cursor" in entry}
        changes = self.tell("replay", history.name, None, {})
        new = [change for change in changes if change["cursor"] not in known]
        assert {(change["what"], change["index"]) for change in new} == {("BlockClosed", index) for index in ended}
        assert len(new) == len(ended)
        ends = [{name: change[name] for name in ("what", "index", "cursor")} for change in new]
        kept = [entry for entry in history.log if "cursor" in entry]  # nothing is open: no text is given out any more
        history.log = sorted([*kept, *ends], key=lambda entry: str(entry["cursor"]))
        assert normal(changes) == normal(history.changes({}))

    def teardown(self) -> None:
        """Compares all that there is, and has the store check itself."""
        try:
            for pick in range(len(self.histories)):
                history = self.settled(pick)
                assert self.tell("call", history.name, "get_messages") == history.blocks
                self.replay(history, {}, None)
            assert self.tell("is_sound")
            self.tell("close")
        except BaseException:
            self.lives.kill()
            raise
        finally:
            shutil.rmtree(self.directory)
