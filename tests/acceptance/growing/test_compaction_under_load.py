"""Compaction beside writers and followers: nobody can tell, and nobody waits for it."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
from data_support import report

from chatstore import BlockAdded, BlockClosed, ChatStore, TextAppended
from chatstore.operations.compacting import STEP, step
from growing.processes import Process
from growing.record import Handled, grown, read
from growing.stream_writer import context
from growing.streams import Stream, streams

pytestmark = pytest.mark.slow

CONTEXTS = 7


class Resumer:
    """Resumes at random old cursors, and compares what it ends with to what was written."""

    def __init__(self, path: Path, record: Path, expected: dict[tuple[str, str], str]) -> None:
        self._path = path
        self._record = record
        self._expected = expected
        self._random = random.Random(1)
        self.resumed = 0
        self.gaps = 0

    def run(self, store: ChatStore) -> None:
        """Resumes once, behind any change that the follower has handled."""
        handled = [*read(self._record)]
        if not handled:
            return
        last = self._random.randrange(len(handled))
        context_id = handled[last].context_id
        texts = self._texts([change for change in handled[: last + 1] if change.context_id == context_id])
        for change in store.history(context_id).subscribe(after=handled[last].cursor, follow=False):
            match change:
                case TextAppended():
                    self.gaps += change.offset > len(texts[change.index])
                    texts[change.index] = texts[change.index][: change.offset] + change.text
                case BlockAdded() | BlockClosed():
                    if change.block.state != "open":
                        assert change.block.text == self._expected[change.block.author or "", change.type]
                    texts[change.index] = change.block.text
        for block in store.history(context_id).get_messages()[: len(texts)]:
            whole = self._expected[block.author or "", block.type]
            assert whole.startswith(texts[block.index]) and whole.startswith(block.text)
        self.resumed += 1

    @staticmethod
    def _texts(changes: list[Handled]) -> dict[int, str]:
        return {index: growth.text for (_, index), growth in grown(iter(changes)).items()}


def append_beside(store: ChatStore, stop: threading.Event, times: list[float]) -> None:
    """Appends now and then to a history of its own, and notes how long that takes."""
    while not stop.wait(0.01):
        begun = time.perf_counter()
        store.history("beside").append_status_message("beside")
        times.append(time.perf_counter() - begun)


def compact_beside(store: ChatStore, stop: threading.Event, removed: list[int]) -> None:
    while not stop.wait(0.02):
        removed.append(store.compact(older_than=0))


def check_all(record: Path, all_streams: list[Stream]) -> None:
    found = grown(read(record))
    assert {(place[0], growth.added.author, growth.added.type): growth.text for place, growth in found.items()} == {
        (context(number, CONTEXTS), stream.name, type): text
        for number, stream in enumerate(all_streams)
        for type, text in stream.texts().items()
    }


@pytest.mark.parametrize("longest", [2.5, pytest.param(None, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_compaction_while_streams_grow_and_are_resumed_changes_nothing_that_is_read(
    tmp_path: Path, longest: float | None
) -> None:
    path, record = tmp_path / "chat.db", tmp_path / "first.jsonl"
    all_streams = streams(longest)
    expected = {(stream.name, type): text for stream in all_streams for type, text in stream.texts().items()}
    blocks: dict[str, int] = {}
    for number, stream in enumerate(all_streams):
        name = context(number, CONTEXTS)
        blocks[name] = blocks.get(name, 0) + len(stream.texts())
    given = {"path": path, "contexts": CONTEXTS, "blocks": blocks, "longest": longest, "seconds": 120}
    resumer = Resumer(path, record, expected)
    stop, times, removed = threading.Event(), [], []  # type: ignore[var-annotated]
    with (
        ChatStore(path) as store,
        Process("follower", **given, record=record, face="sync", kills=0) as follower,
        Process("compacter", **given) as compacter,
    ):
        assert (follower.answer(), compacter.answer()) == ("begun", "ready")
        beside = [
            threading.Thread(target=append_beside, args=(store, stop, times)),
            threading.Thread(target=compact_beside, args=(store, stop, removed)),
        ]
        for thread in beside:
            thread.start()
        with Process("stream_writer", **given) as writer:
            assert writer.answer() == "ready"
            while writer.process.poll() is None:
                resumer.run(store)
            writer.succeed()
        follower.succeed()
        stop.set()
        for thread in beside:
            thread.join(30)
        compacter.tell()
        steps = compacter.answer()
        compacter.succeed()
    check_all(record, all_streams)
    waits, held = sorted(times), sorted(seconds for _, seconds in steps) or [0.0]
    report(
        f"{resumer.resumed} resumed at old cursors; removed {sum(removed) + sum(count for count, _ in steps):,} pieces",
        f"steps: at most {max((count for count, _ in steps), default=0)} pieces, {held[-1] * 1000:.1f} ms",
        f"appends beside: median {waits[len(waits) // 2] * 1000:.2f} ms, longest {waits[-1] * 1000:.1f} ms",
    )
    assert all(count <= STEP for count, _ in steps)
    assert resumer.resumed and not resumer.gaps


def test_one_step_removes_no_more_pieces_than_it_promises(store: ChatStore) -> None:
    history = store.history("steps")
    writers = [history.open_message() for _ in range(4)]
    for _ in range(STEP * 3 // 4):
        for writer in writers:
            writer.write("word ")
        writers[-1].flush()
    for writer in writers:
        writer.close()
    counts: list[int] = []
    more = True
    while more:
        count, more = store._write(lambda transaction: step(transaction, transaction.now), None)
        counts.append(count)
    report(f"steps of {', '.join(map(str, counts))} pieces")
    assert max(counts) <= STEP
