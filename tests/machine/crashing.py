"""The rest of the machine: subscriptions, and the deaths of the process that works with the store."""

from __future__ import annotations

import time

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from machine import drawing
from machine.drawing import picks
from machine.followed import Followed
from machine.model import History, Plain, Seen, normal
from machine.steps import Open, pick_of
from machine.working import Work, WorkingMachine

WORTH_KILLING = 15
"""Calls that a process answers before it may die: without time to live there is nothing to lose."""
ENDED_WITHIN = 60.0
"""Seconds in which what a dead process left open is ended."""


class WholeMachine(WorkingMachine):
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
    @rule()
    def lose_the_connections(self) -> None:
        """Nobody notices: what breaks is made anew, and what was under way is done once."""
        self.places.cut(self.location)

    @precondition(lambda self: self.age >= WORTH_KILLING)
    @rule(pick=picks, batch=drawing.batches, after=st.sampled_from([0.0, 0.0002, 0.0005, 0.001, 0.002]))
    def kill_in_an_append(self, pick: int, batch: list[Plain], after: float) -> None:
        """It is stored whole or not at all, and can be repeated under its key."""
        history, key = self.settled(pick), f"crash {self.next_number()}"
        if not self.may_die_in_an_append(history):
            return
        self.lives.send("append", history.name, batch, key=key)
        self.lives.kill(after)
        self.reopen(into=(history, batch, key))

    def may_die_in_an_append(self, history: History) -> bool:
        """Of two stores one may have it before the ends of what is open, and the other behind them."""
        return True

    def reopen(self, into: tuple[History, list[Plain], str] | None = None) -> None:
        """Opens the store again and looks at what became of open blocks: they were interrupted, and of their text
        nothing that was acknowledged is missing."""
        dead, self.writers = self.writers, []
        runs, self.works = self.works, []
        self.ended.clear()
        self.followed.clear()
        self.open_store()
        if into is not None:
            history, batch, key = into
            whole = (len(history.blocks), len(history.blocks) + len(batch))
            assert all(before in whole for before in self.tell_each("call", history.name, "count")), "a torn batch"
            stored = self.tell("append", history.name, batch, key=key)
            assert stored[0]["run_id"] in (None, history.run_id)
            history.run_id = stored[0]["run_id"]
            self.stored(history, batch, stored, key)
        self.stamp()
        self.all_interrupted(dead, runs)

    def all_interrupted(self, dead: list[Open], runs: list[Work]) -> None:
        for history in self.histories:
            pending = {writer.index: writer.pending for writer in dead if writer.history is history}
            self.interrupted(history, pending, [work.run for work in runs if work.history is history])

    def interrupted(self, history: History, pending: dict[int, str], runs: list[Plain]) -> None:
        deadline = time.monotonic() + ENDED_WITHIN
        while self.goes_on(history, runs):
            assert time.monotonic() < deadline, "a block or a run of a dead process stays open"
        for index, text in pending.items():
            acknowledged = history.blocks[index]["text"]
            stored = self.tell("call", history.name, "get_block", history.blocks[index]["id"])["text"]
            assert stored.startswith(acknowledged)
            assert (acknowledged + text).startswith(stored)
            self.learn_block(history, index, text=stored, state="interrupted")
        for run in runs:
            self.learn_run(history, run, state="interrupted")
        # Nothing is open: no text is given out any more. And what was stored behind the ends was learnt before them.
        history.log = [entry for entry in history.log if "cursor" in entry]
        self.learn_changes(history, pending, [run["id"] for run in runs])

    def goes_on(self, history: History, runs: list[Plain]) -> bool:
        """Whether something is open still."""
        if any(self.tell_each("call", history.name, "count", states=["open"])):
            return True
        asked = [one for run in runs for one in self.tell_each("call", history.name, "get_run", run["id"])]
        return any(run["state"] == "running" for run in asked)

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
            self.places.give_back(self.location)
