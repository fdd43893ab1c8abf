"""Wakers that cannot be had: what is said of it, and that nothing of them stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatstore import StorageError
from chatstore.wakers import choose

resource = pytest.importorskip("resource", reason="limits of a process are Unix's")
inotify = pytest.importorskip("chatstore.wakers.inotify")

pytestmark = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="inotify is Linux's")


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """Leaves this process room for so many more, none or one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def wal(tmp_path: Path) -> Path:
    found = tmp_path / "chat.db-wal"
    found.write_bytes(b"")
    return found


def test_a_waker_that_cannot_be_had_is_a_storage_error_that_says_what_to_do(wal: Path) -> None:
    with free_descriptors(0), pytest.raises(StorageError, match=r"inotify.*Too many open files.*wake='auto'") as caught:
        choose("inotify", wal)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_waker_that_gets_one_descriptor_of_two_gives_it_back(wal: Path) -> None:
    before = {*Path("/proc/self/fd").iterdir()}
    for _ in range(3):
        with free_descriptors(1), pytest.raises(OSError, match="Too many open files"):
            inotify.InotifyWaker(wal)
    assert {*Path("/proc/self/fd").iterdir()} == before
