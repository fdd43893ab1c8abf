"""Stores that may not be written, or have no space left to grow into."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_processes import digests, run

from chatstore import (
    AsyncChatStore,
    BlockDraft,
    ChatStore,
    ChatStoreError,
    OpenError,
    StoreFull,
)

pytestmark = pytest.mark.slow

root_only = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a file system or changes the user: needs root"
)


def make_store(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("a").append([BlockDraft(text="x" * 200) for _ in range(100)])


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Path]:
    """A directory that any user can enter, which pytest's own are not."""
    directory = Path(tempfile.mkdtemp(prefix="chatstore-test-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def test_an_error_of_reading_and_writing_says_where_to_look(path: Path) -> None:
    """A limit of the size of a file, which SQLite sees as a disk that fails."""
    make_store(path)
    code = """
        import resource, sys
        from chatstore import ChatStore, StorageError
        with ChatStore(sys.argv[1]) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            try:
                store.history("a").append_user_message("x" * 1_000_000)
            except StorageError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """
    said = run(code, path)
    assert "SQLITE_IOERR_WRITE" in said and "ulimit -f" in said


_AS_NOBODY = """
    import os, sys
    import chatstore, chatstore.store
    os.setgid(65534); os.setuid(65534)
    try:
        with chatstore.ChatStore(sys.argv[1]) as store:
            store.history("a").append_user_message("x")
    except chatstore.ChatStoreError as error:
        print(type(error).__name__)
"""


@root_only
@pytest.mark.parametrize("protected", ["file", "directory", "both", "unreadable"])
def test_a_store_that_may_not_be_written_is_refused(public: Path, protected: str) -> None:
    path = public / "chat.db"
    make_store(path)
    path.chmod({"file": 0o644, "directory": 0o666, "both": 0o644, "unreadable": 0o600}[protected])
    public.chmod(0o777 if protected == "file" else 0o755)
    before = digests(public)
    assert run(_AS_NOBODY, path) == "StoreReadOnly"
    assert digests(public) == before


@root_only
def test_a_store_in_a_directory_that_may_not_be_written_is_not_made(public: Path) -> None:
    public.chmod(0o755)
    assert run(_AS_NOBODY, public / "chat.db") == "StoreReadOnly"
    public.chmod(0o700)
    assert run(_AS_NOBODY, public / "chat.db") in ("StoreReadOnly", "StoreNotFound")
    assert [*public.iterdir()] == []


@root_only
def test_a_store_of_another_user_is_refused(public: Path) -> None:
    path = public / "chat.db"
    make_store(path)
    os.chown(path, 1, 1)
    before = digests(public)
    assert run(_AS_NOBODY, path) == "StoreReadOnly"
    assert digests(public) == before


@root_only
def test_a_store_on_a_disk_mounted_read_only_is_refused(small_disk: Path) -> None:
    path = small_disk / "chat.db"
    make_store(path)
    before = digests(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for name in ("chat.db", "new.db"):
        with pytest.raises(OpenError):
            ChatStore(small_disk / name)
    assert digests(small_disk) == before
    assert [file.name for file in small_disk.iterdir()] == ["chat.db"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_its_owner_can_read_a_store_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with ChatStore(path) as store:
            store.history("a").append_user_message("x")
            assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield directory
    subprocess.run(["umount", directory], check=True)


@root_only
def test_a_full_disk_refuses_writes_whole_and_takes_them_again_once_there_is_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    with ChatStore(small_disk / "chat.db") as store:
        history = store.history("c")
        block = history.append_user_message("before")
        written = 1
        with pytest.raises(StoreFull) as refusal:
            for _ in range(100):
                history.append([BlockDraft(text="x" * 10_000) for _ in range(10)], key=f"key-{written}")
                written += 10
        assert refusal.value.retryable
        assert (history.count(), history.get_messages(limit=1)) == (written, [block])
        assert history.head() == history.get_messages(last=1)[0].cursor
        ballast.unlink()
        batch = history.append([BlockDraft(text="x" * 10_000) for _ in range(10)], key=f"key-{written}")
        assert [block.index for block in batch] == list(range(written, written + 10))


@root_only
async def test_a_full_disk_is_said_on_an_event_loop_too(small_disk: Path) -> None:
    async with AsyncChatStore(small_disk / "chat.db") as store:
        history = store.history("c")
        written = 0
        with pytest.raises(StoreFull):
            for _ in range(200):
                await history.append(BlockDraft(text="x" * 30_000))
                written += 1
        assert await history.count() == written


@root_only
def test_a_store_that_finds_no_space_is_not_made(small_disk: Path) -> None:
    with pytest.raises(OSError), (small_disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(ChatStoreError):
        ChatStore(small_disk / "chat.db")
    assert [file.name for file in small_disk.iterdir()] == ["ballast"]


def test_a_file_that_may_not_grow_refuses_writes_whole(path: Path) -> None:
    written, stored, error = run(
        """
        import resource, sys
        from chatstore import BlockDraft, ChatStore, StorageError
        with ChatStore(sys.argv[1]) as store:
            history, written = store.history("c"), 0
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
            try:
                while True:
                    history.append([BlockDraft(text="x" * 10_000) for _ in range(10)])
                    written += 10
            except StorageError as refused:
                print(written, history.count(), type(refused).__name__)
        """,
        path,
    ).split()
    assert written == stored != "0"
    assert error in ("StoreFull", "StorageError")
    with ChatStore(path) as store:
        assert store.history("c").count() == int(written)
