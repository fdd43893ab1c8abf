"""Whatever is written, and wherever a client joins, is cut off or late: what it shows in the end is what is stored."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from folding import AguiFold, delta_texts, openai_message, stored_texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import STEPS, Script

from chatstore import ChatStore, History
from chatstore.encoders import (
    AguiEncoder,
    AiSdkEncoder,
    OpenAIChunkEncoder,
    RagnaLinesEncoder,
    place_of,
    run_message,
    ui_messages,
)

pytestmark = pytest.mark.slow

NAMES = count()
THOROUGH = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Follower:
    """A client of AG-UI that is given what comes whenever it looks, and may be cut off in the middle of that."""

    def __init__(self, history: History, *, joins: bool) -> None:
        self.history = history
        self.fold = AguiFold()
        self.last: str | None = None
        self.encoder = AguiEncoder("thread")
        self.start: str | None = None
        self.cursor: str | None = None
        if joins:
            self._join()

    def _join(self) -> None:
        head = self.history.head()
        runs, blocks = self.history.runs(), self.history.get_messages()
        self.encoder, self.cursor = AguiEncoder("thread"), head
        self._take(self.encoder.join(blocks, runs, head), None)

    def catch_up(self, until: int | None = None) -> None:
        """Reads what there is; with `until`, only so many events of it, and goes on as a client that was cut off."""
        events = []
        for change in self.history.subscribe(after=self.cursor, follow=False):
            events += self.encoder.encode(change)
            self.cursor = change.cursor
        self._take(events, until)
        if until is not None:
            self.encoder, self.cursor = AguiEncoder("thread", after=self.start), self.start
            if self.last is not None:
                assert not place_of(self.last).joins
                self.cursor = self.encoder.resume(self.last, self.history.get_messages())

    def _take(self, events: list[Any], until: int | None) -> None:
        for event in events[:until]:
            self.fold.take(*event)
            self.last = event.id

    def finish(self) -> None:
        self.catch_up()
        assert self.fold.running is None and not self.fold.open


@pytest.fixture
def store(tmp_path):
    with ChatStore(tmp_path / "chat.db") as store:
        yield store


@THOROUGH
@given(steps=STEPS, joins_at=st.integers(0, 40))
def test_agui_clients_show_what_is_stored_wherever_they_join_and_are_cut_off(store, steps, joins_at):
    history = store.history(f"c{next(NAMES)}")
    script = Script(history)
    live, late, cut = (Follower(history, joins=False) for _ in range(3))
    joined = None
    for number, step in enumerate([*steps, ("read", 0)]):
        if number == min(joins_at, len(steps)):
            joined = Follower(history, joins=True)
        script.step(*step)
        live.catch_up()
        if step[0] == "read":
            cut.catch_up(until=step[1])
            late.catch_up()
            joined and joined.catch_up()
    script.finish()
    expected = stored_texts(history.get_messages())
    for follower in (live, late, cut, joined):
        follower.finish()
        assert follower.fold.texts() == expected


@THOROUGH
@given(steps=STEPS, overlap=st.integers(0, 10), room=st.sampled_from([0, 1_500, 1_000_000]))
def test_a_join_may_overlap_with_the_changes_that_follow_it(store, monkeypatch, steps, overlap, room):
    monkeypatch.setattr("chatstore.encoders.agui_events._LONGEST", max(room, 2))
    history = store.history(f"c{next(NAMES)}")
    script = Script(history)
    half = len(steps) // 2
    for step in steps[:half]:
        script.step(*step)
    head = history.head()
    for step in steps[half : half + overlap]:
        script.step(*step)
    follower = Follower(history, joins=False)
    runs, blocks = history.runs(), history.get_messages()
    follower._take(follower.encoder.join(blocks, runs, head), None)
    follower.cursor = head
    for step in steps[half + overlap :]:
        script.step(*step)
        follower.catch_up()
    script.finish()
    follower.finish()
    assert follower.fold.texts() == stored_texts(history.get_messages())


@THOROUGH
@given(steps=STEPS, start=st.integers(0, 40))
def test_who_starts_at_any_cursor_shows_whole_what_ends_behind_it(store, steps, start):
    history = store.history(f"c{next(NAMES)}")
    script = Script(history)
    for step in steps[:start]:
        script.step(*step)
    before = {block.id: block.state for block in history.get_messages()}
    follower = Follower(history, joins=False)
    follower.start = follower.cursor = history.head()
    follower.encoder = AguiEncoder("thread", after=follower.start)
    for step in steps[start:]:
        script.step(*step)
        follower.catch_up(until=step[1] if step[0] == "read" else None)
    script.finish()
    follower.finish()
    stored = stored_texts(history.get_messages())
    assert follower.fold.texts() == {id: text for id, text in stored.items() if before.get(id, "open") == "open"}


@THOROUGH
@given(steps=STEPS)
def test_chunks_and_deltas_of_a_run_come_to_what_is_stored_however_late_they_are_read(store, steps):
    history = store.history(f"c{next(NAMES)}")
    script = Script(history)
    script.step("run", False)
    run = script.runs[0].id
    readers = {every: RunReaders(history, run) for every in (True, False)}
    for step in steps:
        script.step(*step)
        readers[True].catch_up()
        if step[0] == "read":
            readers[False].catch_up()
    script.finish()
    stored = [block for block in history.get_messages() if block.run_id == run]
    for reader in readers.values():
        reader.catch_up()
        reader.check(stored)


class RunReaders:
    """Whoever reads one run from its beginning."""

    def __init__(self, history: History, run: str) -> None:
        self.history, self.run, self.cursor = history, run, None
        self.ai_sdk, self.openai = AiSdkEncoder(run), OpenAIChunkEncoder(run)
        self.ragna = RagnaLinesEncoder(run)
        self.lines: list[dict[str, Any]] = []
        self.chunks: list[dict[str, Any]] = []
        self.ui: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []

    def catch_up(self) -> None:
        for change in self.history.subscribe(after=self.cursor, run=self.run, follow=False):
            self.chunks += self.openai.encode(change)
            self.lines += self.ragna.encode(change)
            self.ui += self.ai_sdk.encode(change)
            self.rows.append(run_message(change))
            self.cursor = change.cursor

    def check(self, stored) -> None:
        assert self.openai.over and self.ai_sdk.over and self.ragna.over
        shown = [block for block in stored if not block.internal]
        said = [b.text for b in shown if b.type == "message" and b.role == "assistant" and b.text]
        message = openai_message(self.chunks)
        assert message["content"] == "\n\n".join(said)
        assert "".join(line["content"] for line in self.lines) == message["content"]
        assert len({(line["id"], line["timestamp"], line["role"]) for line in self.lines}) <= 1
        assert all(line["sources"] is None for line in self.lines[1:])
        assert message["reasoning_content"] == "\n\n".join(b.text for b in shown if b.type == "reasoning" and b.text)
        assert [*message["calls"].values()] == [b.text for b in shown if b.type == "function_call"]
        assert delta_texts(self.rows) == {block.id: block.text for block in stored}
        offsets = [row["headers"]["offset"] for row in self.rows]
        assert offsets == sorted(offsets) and len({*offsets}) == len(offsets)
        texts = [part["text"] for one in ui_messages(stored) for part in one["parts"] if part["type"] == "text"]
        people = [b for b in shown if b.type == "message" and b.role in ("user", "assistant")]
        assert sorted(texts) == sorted(b.text for b in people)
        deltas: dict[str, str] = {chunk["id"]: "" for chunk in self.ui if chunk["type"] == "text-start"}
        for chunk in self.ui:
            if chunk["type"] == "text-delta":
                deltas[chunk["id"]] += chunk["delta"]
        assert deltas == {b.id: b.text for b in people if b.role == "assistant"}
