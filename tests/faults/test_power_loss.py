"""What is left when the power goes: images of the disk at any moment, made from a record of a writer's system calls."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from data_support import report
from other_processes import strace

from chatstore import ChatStore
from chatstore.schema import TEXT_APPENDED
from faults import disk, power_writer, processes, system_calls
from faults.disk import Disk, Keep
from faults.reference import Found, Reference
from faults.system_calls import Done

pytestmark = pytest.mark.slow

SEED = 5
KEEP: list[Keep] = [disk.nothing, disk.torn, disk.reordered, disk.everything]
ONE_IN = 12
"""Images of which one is opened by chatstore too."""


class Recording:
    """A writer that was recorded until its end."""

    def __init__(self, directory: Path, durability: str, steps: int) -> None:
        self.path = directory / "chat.db"
        log = directory.with_name("calls")
        directory.mkdir()
        prefix = system_calls.command(strace(), log)
        given = {"path": self.path, "durability": durability, "seed": SEED, "steps": steps}
        processes.run("power_writer", prefix=prefix, seconds=150, **given)
        self.done = system_calls.recorded(log, directory)
        log.unlink()
        self.said = [(at, done.said) for at, done in enumerate(self.done) if done.what == "say"]
        [(self.compacts, told)] = [(at, said) for at, said in self.said if said["what"] == "compacts"]
        self.reference = Reference(self.path, told["log"])
        self.told = [(at, self.reference.change_of(said), said["what"]) for at, said in self.said if "context" in said]

    def moments(self, count: int, rng: random.Random) -> set[int]:
        """When the power goes: half of them right after something was said to be stored."""
        after_acknowledgements = rng.sample([at + 1 for at, _, _ in self.told], count // 2)
        return {*after_acknowledgements, *rng.sample(range(len(self.done)), count)}


def crash_images(recording: Recording, directory: Path, images: int, rng: random.Random) -> Counter[str]:
    """Makes them one after the other and checks each; how many of which, and what was lost."""
    figures: Counter[str] = Counter()
    remaining = Disk()
    moments = sorted(rng.sample(sorted(recording.moments(images, rng)), images))
    for before, now in zip([0, *moments], moments, strict=False):
        for done in recording.done[before:now]:
            remaining.do(done)
        keep = rng.choice(KEEP)
        found = check_image(recording, directory, remaining.image(rng, keep), now, opened=rng.randrange(ONE_IN) == 0)
        figures[keep.__name__] += 1
        count_losses(recording, found, now, figures)
    return figures


def check_image(recording: Recording, directory: Path, files: dict[str, bytes], now: int, *, opened: bool) -> Found:
    """Opens an image as SQLite does, and perhaps once more as chatstore does."""
    image = directory / "image.db"
    if str(recording.path) not in files:
        return Found(0, {})
    put(image, recording, files)
    found = recording.reference.check(image, compacting=now > recording.compacts)
    if opened:
        put(image, recording, files)
        check_store(image, found)
    return found


def put(image: Path, recording: Recording, files: dict[str, bytes]) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{image}{ending}").unlink(missing_ok=True)
        if content := files.get(f"{recording.path}{ending}"):
            Path(f"{image}{ending}").write_bytes(content)


def check_store(image: Path, found: Found) -> None:
    """It opens, nothing stays open, every text is read, and the next append goes in."""
    with ChatStore(image, create=False) as store:
        assert {context.context_id: context.count for context in store.contexts()} == found.blocks
        for name, count in found.blocks.items():
            history = store.history(name)
            blocks = history.get_messages()
            assert [block.index for block in blocks] == list(range(count))
            assert {block.state for block in blocks} <= {"closed", "interrupted"}
            assert history.append_user_message("after the power cut").index == count
            assert len(list(history.subscribe(follow=False))) >= count + 1


def count_losses(recording: Recording, found: Found, now: int, figures: Counter[str]) -> None:
    lost = [what for at, change, what in recording.told if at < now and change > found.last]
    finished = sum(what != power_writer.TEXT for what in lost)
    figures["images that lost something"] += bool(lost)
    figures["images that lost something finished"] += bool(finished)
    figures["most acknowledgements lost"] = max(figures["most acknowledgements lost"], len(lost))


def syncs(done: list[Done], path: str) -> int:
    return sum(one.what == "sync" and one.path == path for one in done)


@pytest.mark.parametrize(
    ("images", "steps"), [(60, 20), pytest.param(450, 80, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
@pytest.mark.parametrize("durability", ["token", "message", "full"])
def test_a_power_cut_takes_no_more_than_the_durability_says(
    tmp_path: Path, durability: str, images: int, steps: int
) -> None:
    recording = Recording(tmp_path / "recorded", durability, steps)
    figures: Counter[str] = crash_images(recording, tmp_path, images, random.Random(SEED))
    checkpoints = syncs(recording.done, str(recording.path))
    assert checkpoints > 2, "the log was never copied into the database"
    assert any(entry[3] == TEXT_APPENDED for entry in recording.reference.log.values())
    shown: dict[str, Any] = {
        "seed": SEED,
        "calls": len(recording.done),
        "syncs of the database": checkpoints,
        **figures,
    }
    report(f"{durability}: " + ", ".join(f"{name} {value}" for name, value in shown.items()))
    if durability == "full":
        assert figures["images that lost something"] == 0
    elif durability == "message":
        assert figures["images that lost something finished"] == 0
    else:
        assert figures["images that lost something"] > 0, "nothing was ever lost: this test sees no power cuts"
