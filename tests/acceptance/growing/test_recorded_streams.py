"""Recorded streams of real models, written by one process and followed by three, come out equal, once, in order."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from data_support import report

from chatstore import ChatStore
from growing.processes import Process
from growing.record import Growth, grown, read
from growing.stream_writer import context
from growing.streams import Stream, streams

pytestmark = pytest.mark.slow

CONTEXTS = 21


def blocks_of(all_streams: list[Stream]) -> dict[str, int]:
    """How many blocks each context gets."""
    counts: dict[str, int] = {}
    for number, stream in enumerate(all_streams):
        name = context(number, CONTEXTS)
        counts[name] = counts.get(name, 0) + len(stream.texts())
    return counts


def check(record: Path, all_streams: list[Stream]) -> dict[tuple[str, int], Growth]:
    """All blocks of all streams, each with its own text, where it belongs."""
    found = grown(read(record))
    seen = {(place[0], growth.added.author, growth.added.type): growth.text for place, growth in found.items()}
    assert seen == {
        (context(number, CONTEXTS), stream.name, type): text
        for number, stream in enumerate(all_streams)
        for type, text in stream.texts().items()
    }
    assert all(growth.state == "closed" and growth.ended for growth in found.values())
    return found


def check_stored(path: Path, found: dict[tuple[str, int], Growth]) -> None:
    with ChatStore(path) as store:
        for context_id in {context_id for context_id, _ in found}:
            for block in store.history(context_id).get_messages():
                assert found[context_id, block.index].text == block.text


@pytest.mark.parametrize(
    ("longest", "kills"),
    [(3.0, 20), pytest.param(None, 200, marks=[pytest.mark.slow, pytest.mark.timeout(400)])],
)
def test_every_follower_of_recorded_streams_gets_each_text_once_and_in_order(
    tmp_path: Path, longest: float | None, kills: int
) -> None:
    all_streams = streams(longest)
    rng = random.Random(kills)
    given = {
        "path": tmp_path / "chat.db",
        "contexts": CONTEXTS,
        "blocks": blocks_of(all_streams),
        "seconds": 300,
    }
    records = {name: tmp_path / f"{name}.jsonl" for name in ("first", "late", "killed")}

    def follower(name: str, face: str, kills: int = 0) -> Process:
        return Process("follower", **given, record=records[name], face=face, kills=kills)

    with follower("first", "sync") as first, follower("killed", "sync", kills) as killed:
        assert first.answer() == killed.answer() == "begun"
        with Process("stream_writer", **given, longest=longest) as writer:
            assert writer.answer() == "ready"
            begun = time.monotonic()
            handled = []
            with follower("late", "async") as late:
                for number in range(kills):
                    killed.tell(rng.uniform(0.02, 0.15))
                    was_killed, size = killed.answer()
                    assert was_killed, f"a follower failed before it was killed; {killed.last_words()}"
                    handled.append(size)
                    if number == 0:
                        assert late.answer() == "begun"
                seconds_of_kills = time.monotonic() - begun
                assert killed.process.stdin is not None
                killed.process.stdin.close()
                seconds = writer.answer()
                for process in (writer, first, late, killed):
                    process.succeed()
    found = {name: check(record, all_streams) for name, record in records.items()}
    check_stored(given["path"], found["killed"])
    report(
        f"{len(all_streams)} streams, {sum(len(stream.pieces) for stream in all_streams):,} pieces,"
        f" written in {seconds:.1f} s; {kills} kills in {seconds_of_kills:.1f} s,"
        f" {sum(size > 0 for size in handled)} of them after some changes",
        *(f"{name}: {sum(one.changes for one in growths.values()):,} changes" for name, growths in found.items()),
    )
