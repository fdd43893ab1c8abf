"""Stores for tests, and the check that none of them leaves anything behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import opened_files
import pytest
import pytest_asyncio
from data_support import FIGURE
from hypothesis import settings
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chatstore import AsyncChatStore, ChatStore, core, runs

settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("untimed")

# Whoever starts the tests in the background has them ignore Ctrl-C, and every process that they start with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_checked_out: set[int] = set()
sys.addaudithook(opened_files.hear)


@event.listens_for(Pool, "checkout")
def _checkout(_connection: object, record: object, _proxy: object) -> None:
    _checked_out.add(id(record))


@event.listens_for(Pool, "checkin")
def _checkin(_connection: object, record: object) -> None:
    _checked_out.discard(id(record))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store can be made."""
    return tmp_path / "chat.db"


@pytest.fixture
def store(path: Path) -> Iterator[ChatStore]:
    """A new store, for threads."""
    with ChatStore(path) as opened:
        yield opened


@pytest_asyncio.fixture
async def async_store(path: Path) -> AsyncIterator[AsyncChatStore]:
    """A new store, for the event loop of the test."""
    async with AsyncChatStore(path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    """Fails a test that leaves a store open, or a thread, a connection or a file of one."""
    before = {*threading.enumerate()}
    runs._current.set(())  # a run that a test has left, as some do on purpose, is not that of the next
    yield
    left = _left_behind(tmp_path, before)
    if left:
        for thread in {*threading.enumerate()} - before:
            if thread.name.startswith("chatstore-run-"):
                thread.join(20)  # an agent's thread ends a moment behind its run, which is what a test waits for
        gc.collect()  # slow: only where what is dropped but not yet gone would be blamed
        left = _left_behind(tmp_path, before)
    core._cores.clear()
    _checked_out.clear()
    assert not left, f"left behind: {', '.join(left)}"


@pytest.fixture(autouse=True)
def no_database_opened_by_hand() -> Iterator[None]:
    """Fails a test in which chatstore opens a database file itself: closing it would drop SQLite's locks."""
    opened_files.forget()
    yield
    assert not (wrong := opened_files.wrongly_opened()), ", ".join(wrong)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes where the whole suite runs, and one more than there are processors, as tests wait for other processes;
    a part of the suite runs here, where a debugger reaches it."""
    return (os.cpu_count() or 1) + 1 if config.args == config.getini("testpaths") else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures that tests printed: what was measured, however it ended."""
    reports = (one for ended in ("passed", "failed", "xfailed") for one in terminalreporter.getreports(ended))
    lines = [line for one in reports for line in one.capstdout.splitlines() if line.startswith(FIGURE)]
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.line(line)


def _left_behind(tmp_path: Path, before: set[threading.Thread]) -> list[str]:
    threads = (thread.name for thread in threading.enumerate() if thread not in before)
    return [
        *(f"open store {path}" for path in core._cores),
        *(f"thread {name}" for name in threads if name.startswith(("chatstore-", "threaded-store"))),
        *(f"connection {number}" for number in _checked_out),
        *(f"open file {path}" for path in _open_files() if path.startswith(str(tmp_path))),
    ]


def _open_files() -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    paths = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            paths.append(str(entry.readlink()))
        except OSError:  # the descriptor of the listing itself
            continue
    return paths
