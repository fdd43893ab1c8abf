"""More of the machine: runs, function calls, and contexts that are named by keys."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from machine import drawing
from machine.drawing import picks
from machine.model import History, Plain, normal
from machine.steps import StoreMachine, pick_of

ENDS = {"completed": "closed"}
"""How a run's open blocks end; otherwise like the run."""
ARGUMENTS = {'{"city": "Paris"}': {"city": "Paris"}, "[1, 2]": [1, 2], '{"city"': None, "Paris": None}
"""Arguments as a model wrote them, and what they say."""


@dataclass
class Work:
    """A run that goes on. The last one of a context has what is written there."""

    number: int
    history: History
    run: Plain


class WorkingMachine(StoreMachine):
    """With runs, calls and keys."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        super().__init__()

    def new_history(self, number: int) -> History:
        """Every second context is named by keys."""
        if number % 2 == 0:
            return super().new_history(number)
        keys = {"user": "ab"[number // 2 % 2], "number": str(number)}
        history = self.model(self.tell("name_of", keys))
        history.named = keys
        return history

    def stamp(self) -> None:
        for history in self.histories:
            ids = [work.run["id"] for work in self.works if work.history is history]
            history.run_id = ids[-1] if ids else None

    def new_run(self, history: History, run: Plain, state: str, parent: str | None) -> None:
        given = {"id": run["id"], "started_at": run["started_at"], "ended_at": run["ended_at"]}
        own = {"context_id": history.name, "parent_run_id": parent, "state": state, "error": None, "usage": None}
        assert run == given | own
        assert (run["ended_at"] is None) == (state == "running")
        history.runs.append(run)

    # Runs

    @precondition(lambda self: len(self.works) < 3)
    @rule(pick=picks)
    def start_a_run(self, pick: int) -> None:
        """Within those that go on: it is part of the last one, in whatever context that is."""
        history, number = self.settled(pick), self.next_number()
        parent = self.works[-1].run["id"] if self.works else None
        run, head = self.tell("start_run", history.name, number)
        self.new_run(history, run, "running", parent)
        assert head > history.head
        history.log.append({"what": "RunStarted", "run": run, "cursor": head})
        self.works.append(Work(number, history, run))
        self.stamp()

    @precondition(lambda self: self.works)
    @rule(pick=picks, how=st.sampled_from(["completed", "failed"]), usage=drawing.usages)
    def end_a_run(self, pick: int, how: str, usage: Plain) -> None:
        work = pick_of(self.works, pick)
        self.settle_all()
        self.tell("end_run", work.number, how, usage)
        error = {"type": "LookupError", "message": "gone"} if how == "failed" else None
        self.over([work], state=how, error=error, usage=usage)

    @precondition(lambda self: self.works)
    @rule(pick=picks)
    def cancel_a_run(self, pick: int) -> None:
        """With all that are part of it; who writes on is told."""
        work = pick_of(self.works, pick)
        self.settle_all()
        cancelled = [work]
        for one in self.works:
            if one.run["parent_run_id"] in [other.run["id"] for other in cancelled]:
                cancelled.append(one)
        self.tell("call", work.history.name, "cancel_run", work.run["id"])
        if work.history.run_id == work.run["id"]:
            self.refused("RunCancelled", "append", work.history.name, [{"text": "late", "tags": []}])
        for one in cancelled:
            self.tell("leave_run", one.number)
        self.over(cancelled, state="cancelled", error=None, usage=None)

    def over(self, works: list[Work], **values: Any) -> None:
        """The runs have ended, and what was open of them, in each context in an order that its log shows."""
        state, ids = ENDS.get(values["state"], values["state"]), [work.run["id"] for work in works]
        for history in {id(work.history): work.history for work in works}.values():
            ended = {block["index"] for block in history.open_blocks() if block["run_id"] in ids}
            for index in ended:
                self.learn_block(history, index, state=state)
            here = [work.run for work in works if work.history is history]
            for run in here:
                self.learn_run(history, run, **values)
            self.writers = [one for one in self.writers if one.history is not history or one.index not in ended]
            self.learn_changes(history, ended, [run["id"] for run in here])
        self.works = [work for work in self.works if work not in works]
        self.stamp()

    def learn_block(self, history: History, index: int, **values: Any) -> None:
        block = history.blocks[index]
        stored = self.tell("call", history.name, "get_block", block["id"])
        block |= {**values, "updated_at": stored["updated_at"]}
        assert stored == block

    def learn_run(self, history: History, run: Plain, **values: Any) -> None:
        stored = self.tell("call", history.name, "get_run", run["id"])
        assert stored["ended_at"] >= run["started_at"]
        run |= {**values, "ended_at": stored["ended_at"]}
        assert stored == run

    def learn_changes(self, history: History, blocks: Collection[int], runs: Collection[str]) -> None:
        """The ends of several come in any order; in which they came, their cursors say."""
        changes = self.tell("replay", history.name, None, {})
        new = history.unknown(changes)
        found = [change["run"]["id"] if change["what"] == "RunEnded" else change["index"] for change in new]
        assert len(found) == len({*found})
        assert {*found} == {*blocks, *runs}
        assert {change["what"] for change in new} <= {"BlockClosed", "RunEnded"}
        history.log += map(history.entry, new)
        if not (history.open_blocks() or self.followed):  # who follows has a place in the log
            history.log.sort(key=lambda entry: str(entry.get("cursor", "")))
        assert normal(changes) == normal(history.changes({}))

    @rule(pick=picks, prompt=drawing.texts, said=st.lists(drawing.texts, max_size=3))
    def submit(self, pick: int, prompt: str, said: list[str]) -> None:
        """An agent that says some things, from its start to its end."""
        history = self.settled(pick)
        parent = self.works[-1].run["id"] if self.works else None
        run = self.tell("submit", history.name, prompt, said)
        self.new_run(history, run, "completed", parent)
        changes = self.tell("replay", history.name, None, {})
        started, *added, ended = history.unknown(changes)
        assert [started["what"], ended["what"]] == ["RunStarted", "RunEnded"]
        history.log.append(history.entry(started))
        drafts = [("message", "user", prompt), *(("status", None, text) for text in said)]
        for (type, role, text), change in zip(drafts, added, strict=True):
            draft = {"type": type, "role": role, "author": None, "internal": False, "tags": [], "text": text}
            history.add({**draft, "run_id": run["id"]}, change["block"])
        history.log.append(history.entry(ended))
        assert normal(changes) == normal(history.changes({}))

    @rule(pick=picks)
    def list_runs(self, pick: int) -> None:
        history = self.settled(pick)
        assert self.tell("call", history.name, "runs") == history.runs

    # Calls

    @rule(
        pick=picks,
        arguments=st.dictionaries(drawing.texts, drawing.values, max_size=2) | st.sampled_from([*ARGUMENTS]),
        answer=st.none() | drawing.texts,
        wrong=st.booleans(),
    )
    def call_a_function(self, pick: int, arguments: Any, answer: str | None, wrong: bool) -> None:
        history, named = self.settled(pick), {"call_id": f"call {self.next_number()}", "name": "weather"}
        call = self.tell("call", history.name, "append_function_call", "weather", arguments, call_id=named["call_id"])
        given = isinstance(arguments, str)
        data = {"name": "weather", "arguments": ARGUMENTS[arguments] if given else arguments, **named}
        text = arguments if given else call["text"]
        assert given or json.loads(text) == arguments
        common = {"author": None, "internal": False, "tags": []}
        history.add({**common, "type": "function_call", "role": "assistant", "text": text, "data": data}, call)
        if answer is not None:
            options = {"call": call["id"], "is_error": wrong, **named}
            result = self.tell("result", history.name, answer, options)
            own = {"type": "function_result", "role": "tool", "text": answer, "data": {**named, "is_error": wrong}}
            history.add({**common, **own, "parent": call["id"]}, result)

    # Keys

    @rule(pick=picks, batch=drawing.batches)
    def append_by_keys(self, pick: int, batch: list[Plain]) -> None:
        """The same context by another name, which it is found by from then on."""
        history = self.settled(pick)
        if history.named is not None:
            self.stored(history, batch, self.tell("append", history.named, batch))
            history.keyed = True

    @rule(user=st.sampled_from("ab"))
    def find_by_keys(self, user: str) -> None:
        listed = {one["context_id"]: one["keys"] for one in self.tell("contexts", keys={"user": user})}
        keyed = [one for one in self.histories if one.keyed and one.named is not None]
        assert listed == {one.name: one.named for one in keyed if one.named and one.named["user"] == user}
