"""What every recorder promises, whatever the framework: a class of tests to inherit, for threads and event loops.

class TestChat(RecorderPromises):
    subject = Subject("chat_events:whole", begun=3, partial="Hel")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from recorder_plays import (
    CONTEXT,
    DEADLINE,
    FACES,
    Hook,
    Inside,
    Play,
    Subject,
    _AsyncItems,
    _done,
    _Items,
    cancel_elsewhere,
    hang,
    in_process,
    play,
    shape,
    text_of,
)

from chatstore import AsyncChatStore, ChatStore, ChatStoreError, InvalidInput, Run, RunCancelled, UsageError
from chatstore.errors import StoreClosed

__all__ = [
    "CONTEXT",
    "DEADLINE",
    "FACES",
    "Hook",
    "Inside",
    "Play",
    "Poison",
    "RecorderPromises",
    "StreamPromises",
    "Subject",
    "_AsyncItems",
    "_Items",
    "_done",
    "cancel_elsewhere",
    "hang",
    "in_process",
    "play",
    "shape",
    "text_of",
]


class Poison:
    """An event that no script can read."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"poisoned {name}")


class StreamPromises:
    """What needs no other process: for a second kind of events of one framework."""

    subject: ClassVar[Subject]

    @pytest.fixture(params=FACES)
    def face(self, request: pytest.FixtureRequest) -> str:
        """For threads, or for an event loop."""
        return str(request.param)

    @pytest.fixture
    def events(self) -> list[Any]:
        return self.subject.events()

    def test_events_come_out_as_they_are(self, face: str, path: Path, events: list[Any]) -> None:
        played = play(face, path, self.subject, events, strict=True)
        assert played.raised is None
        assert len(played.events) == len(events)
        assert all(one is other for one, other in zip(played.events, events, strict=True))
        assert played.run is not None
        assert played.run.state == "completed"
        assert {block.state for block in played.blocks} == {"closed"}
        assert {block.run_id for block in played.blocks} == {played.run.id}

    def test_each_event_comes_out_before_the_next_is_asked_for(self, face: str, path: Path, events: list[Any]) -> None:
        asked: list[int] = []
        items = [one for event in events for one in (event, Inside(lambda play: asked.append(len(play.events))))]
        play(face, path, self.subject, items, strict=True)
        assert asked == [*range(1, len(events) + 1)]

    def test_threads_and_loops_store_the_same(self, tmp_path: Path, events: list[Any]) -> None:
        one, other = (play(face, tmp_path / f"{face}.db", self.subject, events, prompt="Go") for face in FACES)
        assert shape(one.blocks) == shape(other.blocks)
        assert one.run is not None
        assert other.run is not None
        assert (one.run.state, one.run.usage) == (other.run.state, other.run.usage)

    def test_who_stops_reading_cancels(self, face: str, path: Path, events: list[Any]) -> None:
        played = play(face, path, self.subject, events, take=self.subject.begun)
        assert played.raised is None
        assert played.closed
        self._is_cut(played, "cancelled")

    def test_closing_early_cancels(self, face: str, path: Path, events: list[Any]) -> None:
        def each(play: Play, count: int) -> Awaitable[None] | None:
            if count < self.subject.begun:
                return None
            closed: Awaitable[None] | None = (play.recording.close if face == "sync" else play.recording.aclose)()
            return closed

        played = play(face, path, self.subject, events, each=each)
        assert played.raised is None
        assert played.closed
        assert len(played.events) == self.subject.begun
        self._is_cut(played, "cancelled")

    def test_who_stops_after_the_end_cancels_nothing(self, face: str, path: Path, events: list[Any]) -> None:
        played = play(face, path, self.subject, events, take=self.subject.ends or len(events))
        assert played.run is not None
        assert played.run.state == "completed"

    def test_an_error_is_kept_and_raised(self, face: str, path: Path, events: list[Any]) -> None:
        error = ValueError("the model is out")
        played = play(face, path, self.subject, [*events[: self.subject.begun], error])
        assert played.raised is error
        assert played.events == events[: self.subject.begun]
        run = self._is_cut(played, "failed")
        assert run.error is not None
        assert (run.error.type, run.error.message) == ("ValueError", "the model is out")

    def test_a_stream_that_breaks_off_has_failed(self, face: str, path: Path, events: list[Any]) -> None:
        played = play(face, path, self.subject, events[: self.subject.begun])
        assert played.raised is None
        run = self._is_cut(played, "failed")
        assert run.error is not None
        assert run.error.type == "StreamTruncated"

    def test_nothing_at_all_is_a_stream_that_broke_off(self, face: str, path: Path) -> None:
        played = play(face, path, self.subject, [])
        assert played.run is not None
        assert played.run.state == "failed"

    def test_a_stream_that_is_idle_has_failed_and_goes_on(
        self, face: str, path: Path, events: list[Any], begin_idling: Callable[[], None]
    ) -> None:
        async def until_it_ended(play: Play) -> None:
            async for _ in play.history.subscribe(run=play.recording.run_id, timeout=DEADLINE):
                pass

        def wait(play: Play) -> Any:
            begin_idling()
            if face == "async":
                return until_it_ended(play)
            return [*play.history.subscribe(run=play.recording.run_id, timeout=DEADLINE)]

        begun = self.subject.begun
        items = [*events[:begun], Inside(wait), *events[begun:]]
        played = play(face, path, self.subject, items, idle_limit=0.3)
        assert played.raised is None
        assert played.events == events
        run = self._is_cut(played, "failed")
        assert run.error is not None
        assert run.error.type == "StreamIdle"

    @pytest.mark.parametrize("strict", [False, True])
    def test_what_the_recorder_cannot_read(self, face: str, path: Path, events: list[Any], strict: bool) -> None:
        begun = self.subject.begun
        items = [*events[:begun], Poison(), *events[begun:]]
        played = play(face, path, self.subject, items, strict=strict)
        self._is_cut(played, "failed")
        if strict:
            assert isinstance(played.raised, RuntimeError)
            assert played.events == events[:begun]
        else:
            assert played.raised is None
            assert played.events == items

    @pytest.mark.parametrize("strict", [False, True])
    def test_a_store_that_is_closed_meanwhile(self, face: str, path: Path, events: list[Any], strict: bool) -> None:
        def each(play: Play, count: int) -> Any:
            return play.history._store.close() if count == self.subject.begun else None

        played = play(face, path, self.subject, events, each=each, strict=strict)
        assert played.run is not None
        assert played.run.state == "interrupted"
        assert played.blocks[-1].text == self.subject.partial
        if strict:
            assert isinstance(played.raised, ChatStoreError)
        else:
            assert played.raised is None
            assert played.events == events

    def test_a_store_that_is_closed_before(self, path: Path, events: list[Any]) -> None:
        with ChatStore(path) as store:
            history = store.history(CONTEXT)
        assert [*self.subject.record(events, history)] == events
        with pytest.raises(StoreClosed):
            next(self.subject.record(events, history, strict=True))

    async def test_an_asynchronous_store_that_is_closed_before(self, path: Path, events: list[Any]) -> None:
        async with AsyncChatStore(path) as store:
            history = store.history(CONTEXT)
        played = Play(history)
        assert [one async for one in self.subject.record(_AsyncItems(events, played), history)] == events
        with pytest.raises(StoreClosed):
            await anext(self.subject.record(_AsyncItems(events, played), history, strict=True))

    def test_the_run_is_current_in_the_stream_alone(self, face: str, path: Path, events: list[Any]) -> None:
        def inside(play: Play) -> Any:
            return play.history.append_status_message("inside")

        def outside(play: Play, count: int) -> Any:
            return play.history.append_status_message("outside") if count == self.subject.begun else None

        begun = self.subject.begun
        items = [*events[:begun], Inside(inside), *events[begun:], Inside(inside)]
        played = play(face, path, self.subject, items, each=outside)
        assert played.run is not None
        found = [(block.text, block.run_id) for block in played.blocks if block.text in ("inside", "outside")]
        assert found == [("outside", None), ("inside", played.run.id), ("inside", played.run.id)]

    def test_a_prompt_is_the_first_block_of_the_run(self, face: str, path: Path, events: list[Any]) -> None:
        played = play(face, path, self.subject, events, prompt="What is it?", author="helper", internal=True)
        first, *others = played.blocks
        assert (first.role, first.text, first.author, first.internal) == ("user", "What is it?", None, False)
        assert played.run is not None
        assert first.run_id == played.run.id
        assert others
        assert all(block.author and block.internal for block in others)

    def test_a_run_can_be_part_of_another(self, path: Path, events: list[Any]) -> None:
        with ChatStore(path) as store:
            history = store.history(CONTEXT)
            with history.run() as outer:
                list(self.subject.record(events, history))
            list(self.subject.record(events, history, parent_run_id=outer.id))
            list(self.subject.record(events, history))
            assert [run.parent_run_id for run in history.runs()] == [None, outer.id, outer.id, None]

    def test_what_cannot_be_recorded_is_refused_at_once(self, path: Path, events: list[Any]) -> None:
        made = self.subject.record
        with ChatStore(path) as store:
            history = store.history(CONTEXT)
            with pytest.raises(InvalidInput, match="unknown option 'promt'; record takes prompt, author"):
                made(events, history, promt="What?")
            with pytest.raises(UsageError, match="in a history of an AsyncChatStore, with `async for`"):
                made(_AsyncItems(events, Play(None)), history)
            with pytest.raises(InvalidInput, match="not int: await it"):
                made(7, history)
            with pytest.raises(InvalidInput, match="a history of a store, not ChatStore"):
                made(events, store)
            assert history.runs() == []
        other = AsyncChatStore(path).history(CONTEXT)
        with pytest.raises(UsageError, match="in a history of a ChatStore"):
            made(events, other)

    def _is_cut(self, played: Play, state: str) -> Run:
        """The run ended so, and its last block with it, with the text that had come."""
        assert played.run is not None
        assert played.run.state == state
        assert (played.blocks[-1].state, played.blocks[-1].text) == (state, self.subject.partial)
        return played.run


class RecorderPromises(StreamPromises):
    """All of it. Inherit, and set `subject`."""

    def test_another_process_follows_and_a_killed_writer_leaves_an_interrupted_run(self, face: str, path: Path) -> None:
        with ChatStore(path) as store:
            history = store.history(CONTEXT)
            made = self.subject
            recorder = f"{made.record.__module__}:{made.record.__name__}"
            writer = in_process(face, str(path), *made.maker.split(":"), str(made.begun), recorder)
            try:
                with history.subscribe(timeout=DEADLINE) as changes:
                    assert text_of(changes, self.subject.partial) == self.subject.partial
            finally:
                writer.kill()
                writer.wait(DEADLINE)
            run_id = history.runs()[0].id
            with history.subscribe(run=run_id, timeout=DEADLINE) as rest:
                assert [*rest]
            assert history.get_run(run_id).state == "interrupted"
            last = history.get_messages()[-1]
            assert (last.state, last.text) == ("interrupted", self.subject.partial)

    def test_who_cancels_elsewhere_stops_the_stream(self, face: str, path: Path, events: list[Any]) -> None:
        def each(play: Play, count: int) -> None:
            if count == self.subject.begun:
                cancel_elsewhere(play, path)

        played = play(face, path, self.subject, events, each=each)
        assert isinstance(played.raised, RunCancelled)
        assert played.closed
        assert len(played.events) < len(events)
        self._is_cut(played, "cancelled")
