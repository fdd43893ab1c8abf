"""A disk that refuses one write or one sync: each of an append, a checkpoint, a compaction and a stream in turn."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from data_support import report
from other_processes import strace

from chatstore import BlockDraft, ChatStore
from faults import forked
from faults.forked import Mother

pytestmark = pytest.mark.slow

WRITES, SYNCS = "pwrite64", "fdatasync,fsync"
PIECES = 60


@pytest.fixture
def mother() -> Iterator[Mother]:
    with forked.mother("fault_worker") as started:
        yield started


class Disk:
    """A store on a disk that fails; each time it is the same store."""

    def __init__(self, mother: Mother, directory: Path, **given: object) -> None:
        self._mother = mother
        self.path = directory / "chat.db"
        self._log = directory / "calls"
        self._template = directory / "template.db"
        self._given: dict[str, Any] = {"face": "sync", "durability": "message", "patient": True, **given}
        with ChatStore(self._template) as store:
            history = store.history("a")
            history.append([BlockDraft(text="x" * 100) for _ in range(20)])
            with history.open_message() as writer:
                for number in range(PIECES):
                    writer.write(f"piece {number} ")
                    writer.flush()
        self.before = 21

    def run(self, calls: str, failing: str | None, *, everywhere: bool = False) -> list[Any]:
        """What a worker says while these calls on the store's files fail. `everywhere`: on the shared memory too."""
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        self.path.write_bytes(self._template.read_bytes())
        files = [part for ending in ("", "-wal") for part in ("-P", f"{self.path}{ending}")]
        command = [strace(), "-f", "-y", "-o", str(self._log), *([] if everywhere else files)]
        command += ["-e", f"trace={calls}", *(["-e", f"inject={calls}:{failing}"] if failing else [])]
        return self._mother.run(command, path=self.path, **self._given)

    def calls(self) -> int:
        """How many of them there were, in the thread with the most."""
        threads = Counter(re.findall(r"^(\d+) +\w+\(\d+<[^>]*chat\.db", self._log.read_text(errors="replace"), re.M))
        return max(threads.values())

    def checkpoints(self) -> int:
        """How often the log was copied into the database: it is synced then."""
        return len(re.findall(r"sync\(\d+<[^>]*chat\.db>", self._log.read_text(errors="replace")))

    def failed(self) -> int:
        return self._log.read_text(errors="replace").count("(INJECTED)")

    def check(self, said: list[Any]) -> None:
        """With a disk that works again: sound, gapless, with all that was said, once, and the next append goes in."""
        with ChatStore(self.path) as store:
            history = store.history("a")
            blocks = history.get_messages()
            assert [block.index for block in blocks] == list(range(len(blocks)))
            for index, text in (block for answer in said for block in answer.get("stored", ())):
                assert blocks[index].text == text, f"acknowledged and lost: {text}"
            texts = Counter(block.text for block in blocks[self.before :] if block.role == "user")
            assert max(texts.values(), default=1) == 1, "stored twice"
            assert blocks[self.before - 1].text == "".join(f"piece {number} " for number in range(PIECES))
            assert not [block for block in blocks if block.state == "open"]
            assert history.append_user_message("afterwards").index == len(blocks)
        with closing(sqlite3.connect(self.path)) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def errors(said: list[Any]) -> list[tuple[str, str]]:
    return [(answer["failed"], answer["error"]) for answer in said if "failed" in answer]


@pytest.mark.parametrize(
    "every",
    [
        29,
        pytest.param(11, marks=[pytest.mark.slow]),
        pytest.param(1, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.parametrize(
    ("calls", "error", "given"),
    [
        pytest.param(WRITES, "ENOSPC", {}, id="no space to write"),
        pytest.param(WRITES, "EIO", {}, id="a write fails"),
        pytest.param(SYNCS, "EIO", {}, id="a sync fails"),
        pytest.param(SYNCS, "EIO", {"durability": "full"}, id="a sync fails, where all are synced"),
        pytest.param(WRITES, "ENOSPC", {"face": "async"}, id="no space to write, on an event loop"),
        pytest.param(SYNCS, "EIO", {"face": "async"}, id="a sync fails, on an event loop"),
    ],
)
def test_a_disk_that_fails_once_fails_one_call_and_loses_nothing(
    mother: Mother, tmp_path: Path, calls: str, error: str, given: dict[str, Any], every: int
) -> None:
    disk = Disk(mother, tmp_path, **given)
    disk.check(disk.run(calls, None))
    count = disk.calls()
    assert calls != SYNCS or "face" in given or disk.checkpoints() > 1, "no checkpoint but that of the close"
    met: Counter[tuple[str, str]] = Counter()
    injected = 0
    for place in range(1, count + 1, every):
        said = disk.run(calls, f"error={error}:when={place}")
        injected += disk.failed() > 0
        disk.check(said)
        met.update(errors(said))
    report(f"{count} calls of {calls}, {injected} failed with {error} {given}: {dict(met)}")
    assert injected == len(range(1, count + 1, every))
    wanted = {"StoreFull"} if error == "ENOSPC" else {"StorageError"}
    assert {name for _, name in met} == wanted


@pytest.mark.parametrize(
    "every",
    [
        47,
        pytest.param(19, marks=pytest.mark.slow),
        pytest.param(9, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
@pytest.mark.parametrize(("calls", "error"), [(WRITES, "ENOSPC"), (WRITES, "EIO"), (SYNCS, "EIO")])
def test_a_disk_that_fails_from_some_moment_on_loses_nothing_and_is_read(
    mother: Mother, tmp_path: Path, calls: str, error: str, every: int
) -> None:
    disk = Disk(mother, tmp_path, patient=False)
    disk.run(calls, None)
    met: Counter[tuple[str, str]] = Counter()
    moments = range(1, disk.calls() + 1, every)
    for place in moments:
        said = disk.run(calls, f"error={error}:when={place}+")
        disk.check(said)
        met.update(errors(said))
    report(f"from {len(moments)} moments on all {calls} fail with {error}: {dict(met)}")
    assert {name for _, name in met} == ({"StoreFull"} if error == "ENOSPC" else {"StorageError"})


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_a_disk_that_fails_while_a_store_is_opened_is_told_of_by_an_error_of_ours(
    mother: Mother, tmp_path: Path, every: int
) -> None:
    disk = Disk(mother, tmp_path)
    met: Counter[tuple[str, str]] = Counter()
    for place in range(1, 16, every):  # the shared memory of the log is made
        said = disk.run(WRITES, f"error=EIO:when={place}", everywhere=True)
        disk.check(said)
        met.update(errors(said))
    report(f"opened on a disk that fails: {dict(met)}")
