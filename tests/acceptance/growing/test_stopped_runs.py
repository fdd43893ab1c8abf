"""A stop from another process: the writer stops, what it wrote stays, everybody is told, and the next run works."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from data_support import report

from chatstore import AsyncChatStore, BlockClosed, Change, ChatStore, RunEnded, TextAppended
from growing.processes import Process
from growing.worker import WORD

CONTEXT = "stopped"
WITHIN = 0.1
"""Seconds after its next write in which a writer learns that it was stopped."""
SECONDS = 60


class Resumer:
    """Follows a run in many short subscriptions, each resumed behind the last change that was handled."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.text = ""
        self.state: str | None = None
        self.cursor: str | None = None
        self.resumed = 0
        self.ended_at = 0.0
        self._random = random.Random(run_id)

    def options(self) -> Any:
        self.resumed += 1
        return {"after": self.cursor, "run": self.run_id, "timeout": SECONDS}

    def patience(self) -> int:
        return self._random.randint(1, 5)

    def handle(self, change: Change) -> None:
        self.cursor = change.cursor
        match change:
            case TextAppended():
                assert change.offset == len(self.text)
                self.text += change.text
            case BlockClosed():
                self.text = change.block.text
            case RunEnded():
                self.state, self.ended_at = change.run.state, time.monotonic()


def resume(resumer: Resumer, path: Path, threshold: threading.Semaphore) -> None:
    with ChatStore(path) as store:
        while resumer.state is None:
            with store.history(CONTEXT).subscribe(**resumer.options()) as changes:
                for _, change in zip(range(resumer.patience()), changes, strict=False):
                    resumer.handle(change)
            threshold.release()


def resume_async(resumer: Resumer, path: Path, threshold: threading.Semaphore) -> None:
    async def run() -> None:
        async with AsyncChatStore(path) as store:
            while resumer.state is None:
                left = resumer.patience()
                async with store.history(CONTEXT).subscribe(**resumer.options()) as changes:
                    async for change in changes:
                        resumer.handle(change)
                        left -= 1
                        if not left:
                            break
                threshold.release()

    asyncio.run(run())


def stop_late(stopped: Any, cancelled_at: float) -> float:
    """Seconds from the first write that began after the stop to the refusal; none, if that came before the stop was
    told to have been made."""
    return float(stopped["at"] - next((began for began in stopped["began"] if began >= cancelled_at), stopped["at"]))


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("pause", [0.005, 0.3], ids=["fast", "slow"])
def test_a_stop_from_another_process_stops_the_writer_and_ends_those_who_resume(tmp_path: Path, pause: float) -> None:
    path = tmp_path / "chat.db"
    given = {"path": path, "context": CONTEXT, "lease": 30, "seconds": SECONDS}
    resumed = threading.Semaphore(0)
    with Process("worker", **given) as writer, Process("worker", **given) as other:
        assert writer.answer() == other.answer() == "ready"
        writer.tell(["start"])
        run_id, block_id = writer.answer()["value"]
        resumers = [Resumer(run_id), Resumer(run_id)]
        threads = [
            threading.Thread(target=follow, args=(resumer, path, resumed))
            for follow, resumer in zip((resume, resume_async), resumers, strict=True)
        ]
        for thread in threads:
            thread.start()
        writer.tell(["stream", pause])
        writer.answer()
        for _ in range(6):
            assert resumed.acquire(timeout=SECONDS)
        other.tell(["cancel", run_id])
        cancelled = other.answer()
        stopped = writer.answer()
        for thread in threads:
            thread.join(SECONDS)
        check_stop(path, run_id, block_id, stopped, resumers)
        check_next_run(writer)
        late = stop_late(stopped, cancelled["at"])
        ends = ", ".join(f"{(resumer.ended_at - cancelled['at']) * 1000:.1f}" for resumer in resumers)
        report(
            f"a word every {pause * 1000:.0f} ms: refused {late * 1000:.1f} ms after the next write,"
            f" consumers told after {ends} ms, resumed {', '.join(str(one.resumed) for one in resumers)} times"
        )
        assert cancelled["value"] == "cancelled"
        assert late < WITHIN


def check_stop(path: Path, run_id: str, block_id: str, stopped: Any, resumers: list[Resumer]) -> None:
    """The writer was told why, both consumers have the whole partial text, and nothing stays open."""
    assert stopped["error"] == "RunCancelled"
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        text = history.get_block(block_id).text
        assert history.get_run(run_id).state == history.get_block(block_id).state == "cancelled"
        assert history.get_messages(states=["open"]) == []
    written = "".join(WORD.format(number + 1) for number in range(stopped["words"]))
    assert text and written.startswith(text)
    assert [(resumer.state, resumer.text) for resumer in resumers] == [("cancelled", text)] * 2


def check_next_run(writer: Process) -> None:
    """The process that was stopped goes on with a new run in the same history."""
    for command in (["leave"], ["start"], ["write", "the next answer"]):
        writer.tell(command)
        assert "error" not in writer.answer(), command
    writer.tell(["end"])
    assert writer.answer()["value"] == "the next answer"


def test_waiting_for_a_stopped_run_ends_when_none_of_its_blocks_is_open(tmp_path: Path) -> None:
    given = {"path": tmp_path / "chat.db", "context": CONTEXT, "lease": 30, "seconds": SECONDS}
    with Process("worker", **given) as writer, Process("worker", **given) as other:
        assert writer.answer() == other.answer() == "ready"
        writer.tell(["submit", 0.002])
        run_id, cursor = writer.answer()["value"]
        with ChatStore(given["path"]) as store:
            history = store.history(CONTEXT)
            changes = history.subscribe(after=cursor, timeout=SECONDS)
            growing: set[int] = set()
            while len(growing) < 3:
                change = next(changes)
                growing |= {change.index} if isinstance(change, TextAppended) else set()
            changes.close()
            other.tell(["cancel", run_id])
            assert other.answer()["value"] == "cancelled"
            ended = writer.answer()
            assert (ended["state"], ended["open"]) == ("cancelled", [])
            assert {run.state for run in history.runs()} == {"cancelled"}
            texts = {
                block.type: (block.state, bool(block.text)) for block in history.get_messages(states=["cancelled"])
            }
            assert texts == {"reasoning": ("cancelled", True), "message": ("cancelled", True)}
