"""Servers for tests, each with a store of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_support import Served, ServerProcess


@pytest.fixture
def serve(path: Path) -> Iterator[Callable[..., Served]]:
    """Serves the store in a thread, with options of the test's own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Served(path, **options))


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """The store, served in a thread."""
    return serve()


@pytest.fixture
def client(served: Served) -> httpx.Client:
    """A client that may do everything."""
    return served.client()


@pytest.fixture
def start(path: Path, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts `chatstore serve` in a process of its own."""
    started: list[ServerProcess] = []

    def start(*arguments: str, **options: Any) -> ServerProcess:
        started.append(ServerProcess(path, tmp_path / "state", *arguments, **options))
        return started[-1]

    yield start
    for process in started:
        process.stop()
