"""Stores to look at, and the commands run on them: in this process, or in one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_process import Process
from typer.testing import CliRunner, Result

from chatstore import ChatStore
from chatstore.cli import app


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands of this process look for the store by default; nothing is there yet."""
    monkeypatch.chdir(tmp_path)
    for name in ("CHATSTORE_STORE", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "chatstore.db"


@pytest.fixture
def store(path: Path) -> Iterator[ChatStore]:
    """The store that commands use by default."""
    with ChatStore(path) as opened:
        yield opened


@pytest.fixture
def run(path: Path) -> Callable[..., Result]:
    """Runs a command in this process."""
    return lambda *arguments, **options: CliRunner().invoke(app, [*map(str, arguments)], **options)


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a command in a process of its own, beside the default store."""
    started: list[Process] = []

    def start(*arguments: str | bytes) -> Process:
        started.append(Process([*arguments], path.parent))
        return started[-1]

    yield start
    for process in started:
        process.kill()
