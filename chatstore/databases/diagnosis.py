"""What a store's file and the place it lies in are like: findings, each with what to do about it."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from shutil import disk_usage
from typing import Literal, NamedTuple

from sqlalchemy import func, select

from chatstore import ids, processes
from chatstore.databases.inspecting import Inspector
from chatstore.databases.mounts import is_unsafe, mount_of
from chatstore.databases.sqlite_file import PAGE_SIZE, wal_of
from chatstore.databases.versions import has_reset_bug
from chatstore.operations import erasing, leases
from chatstore.schema import blocks, histories

Status = Literal["good", "note", "problem"]

LONGEST_LOG = 16_000_000
_LITTLE_SPACE = 100_000_000
_FEW_FILES = 256
_FIRST_YEAR = 1_750_000_000
"""Seconds since 1970 at a time that has passed for good."""
_OPTIONS = ("THREADSAFE", "SECURE_DELETE", "DEFAULT_SYNCHRONOUS", "DEFAULT_WAL_SYNCHRONOUS", "MAX_LENGTH", "OMIT_")
"""The options of SQLite's build that make a difference here."""
_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})


class Finding(NamedTuple):
    """One thing that was looked at: what was found, and what to do where that is not as it should be."""

    name: str
    status: Status
    found: str
    advice: str | None = None


def place(path: Path) -> Iterator[Finding]:
    """What can be said of a path without opening what is there."""
    yield _file_system(path)
    yield _sqlite()
    yield _space(path)
    yield _clock()
    yield from _limits()
    yield from _permissions(path)


def file(path: Path) -> Iterator[Finding]:
    """What can be said of the store at a path; it is open meanwhile."""
    with Inspector(path) as inspector:
        yield _journal(inspector)
        yield _pages(inspector)
        yield _log(path)
        yield _newest(inspector)
        yield _leases(inspector)
        yield _erasing(inspector)


def durability(path: Path) -> Finding:
    """How long the disk takes to keep something, which is what the durability waits for."""
    milliseconds = 1_000 * sync_seconds(path.parent)
    meaning = (
        '"message" waits for it whenever something is finished, "full" at every commit, "token" never;'
        " the death of a process takes nothing, whichever it is"
    )
    if _type_of(path) in _MEMORY:
        return Finding("durability", "problem", "the store lies in memory", "a restart takes all of it; use a disk")
    return Finding("durability", "good", f"a sync takes {milliseconds:.2f} ms; {meaning}")


def sync_seconds(directory: Path, times: int = 9) -> float:
    """The median time of a small write and its sync, in a file of its own."""
    taken = []
    with tempfile.TemporaryFile(dir=directory) as probe:
        for _ in range(times):
            began = time.perf_counter()
            probe.write(b"x" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
            taken.append(time.perf_counter() - began)
    return sorted(taken)[times // 2]


@contextmanager
def scratch(path: Path) -> Iterator[tuple[Path, Callable[[], None], Callable[[], bool]]]:
    """A database beside the store: its log, what commits to it, and what says whether there was a commit."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name[:100]}-", dir=path.parent) as directory:
        there = Path(directory) / "scratch.db"
        with closing(_connect(there)) as writer, closing(_connect(there)) as reader:
            writer.execute("PRAGMA journal_mode=WAL")
            writer.execute("CREATE TABLE commits (number INTEGER PRIMARY KEY)")
            last = _version(reader)

            def moved() -> bool:
                nonlocal last
                before, last = last, _version(reader)
                return before != last

            yield wal_of(there), lambda: writer.execute("INSERT INTO commits DEFAULT VALUES").close(), moved


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)


def _version(conn: sqlite3.Connection) -> int:
    [(number,)] = conn.execute("PRAGMA data_version").fetchall()
    return int(number)


def _type_of(path: Path) -> str | None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    mount = mount_of(mounts, PurePosixPath(path))
    return None if mount is None else mount.type


def _file_system(path: Path) -> Finding:
    type = _type_of(path)
    if type is None:
        return Finding(
            "file system", "note", "unknown", "make sure that it is a local disk: no network, no shared folder"
        )
    if is_unsafe(type):
        return Finding(
            "file system", "problem", type, "SQLite's log can be damaged there; move the store to a local disk"
        )
    if type == "overlay":
        return Finding("file system", "note", type, "it goes when the container does; put the store on a volume")
    return Finding("file system", "good", type)


def _sqlite() -> Finding:
    with closing(sqlite3.connect(":memory:")) as conn:
        rows = conn.execute("PRAGMA compile_options").fetchall()
    options = " ".join(option for (option,) in rows if option.startswith(_OPTIONS))
    found = f"{sqlite3.sqlite_version} ({options})"
    if sqlite3.threadsafety == 0:
        return Finding("SQLite", "problem", found, "it was built without locks for threads; use another Python")
    if has_reset_bug(sqlite3.sqlite_version_info):
        return Finding(
            "SQLite",
            "note",
            f"{found}; it has the WAL-reset bug",
            "chatstore runs its checkpoints while nobody commits, so nothing is lost to it as long as no other program"
            " writes to the file; SQLite 3.51.3 and later are without it",
        )
    return Finding("SQLite", "good", found)


def _space(path: Path) -> Finding:
    free = disk_usage(path.parent).free
    needed = max(_LITTLE_SPACE, path.stat().st_size if path.exists() else 0)
    found = f"{free:,} bytes free"
    if free < _LITTLE_SPACE:
        return Finding("disk space", "problem", found, "writes will be refused soon; free some")
    if free < needed:
        return Finding(
            "disk space", "note", found, "a backup would not fit beside the store; free some, or use another disk"
        )
    return Finding("disk space", "good", found)


def _clock() -> Finding:
    now = time.time()
    found = ids.to_datetime(ids.now()).isoformat(timespec="seconds")
    if now < _FIRST_YEAR:
        return Finding("clock", "problem", found, "it is years behind; set it. Order goes by numbers and stays right")
    return Finding("clock", "good", found)


def _limits() -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 0 <= files < _FEW_FILES
    advice = "a process with many stores or connections needs more; raise it (ulimit -n)" if few else None
    yield Finding("open files", "note" if few else "good", f"at most {files:,} for a process", advice)
    longest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if longest != resource.RLIM_INFINITY:
        yield Finding(
            "file size", "note", f"at most {longest:,} bytes", "writes beyond are refused; raise it (ulimit -f)"
        )
    instances = Path("/proc/sys/fs/inotify/max_user_instances")
    if instances.exists():
        count = int(instances.read_text())
        yield Finding("inotify", "good", f"{count:,} instances for a user; each process that follows a store takes one")


def _permissions(path: Path) -> Iterator[Finding]:
    for name, there, mask in (("file", path, 0o077), ("directory", path.parent, 0o022)):
        if not there.exists():
            continue
        mode = stat.S_IMODE(there.stat().st_mode)
        found = f"mode {mode:04o}"
        if not os.access(there, os.R_OK | os.W_OK):
            yield Finding(f"{name} access", "problem", found, f"this user cannot write to it: chown or chmod {there}")
        elif mode & 0o002 and not mode & stat.S_ISVTX:
            yield Finding(f"{name} access", "problem", found, f"anyone can change it: chmod o-w {there}")
        elif mode & mask and not mode & stat.S_ISVTX:
            yield Finding(
                f"{name} access", "note", found, f"others can get at it; unless they should: chmod go-rwx {there}"
            )
        else:
            yield Finding(f"{name} access", "good", found)


def _journal(inspector: Inspector) -> Finding:
    mode = inspector.text("journal_mode")
    if mode != "wal":
        return Finding(
            "journal", "problem", mode, "close the store everywhere, and set it back: PRAGMA journal_mode=WAL"
        )
    return Finding("journal", "good", mode)


def _pages(inspector: Inspector) -> Finding:
    size, count, free = (inspector.number(name) for name in ("page_size", "page_count", "freelist_count"))
    found = f"{count:,} of {size:,} bytes, {free:,} of them free"
    if free * size > 1_000_000 and free > count // 5:
        return Finding("pages", "note", found, "chatstore vacuum gives them back")
    if size != PAGE_SIZE:
        return Finding("pages", "note", found, f"writes are fastest with {PAGE_SIZE:,} bytes, which new stores have")
    return Finding("pages", "good", found)


def _log(path: Path) -> Finding:
    try:
        size = wal_of(path).stat().st_size
    except FileNotFoundError:
        size = 0
    if size > LONGEST_LOG:
        return Finding(
            "log",
            "problem",
            f"{size:,} bytes",
            "some program reads without an end, or wrote very much at once; close what else has the file open",
        )
    return Finding("log", "good", f"{size:,} bytes")


def _newest(inspector: Inspector) -> Finding:
    with inspector.snapshot() as conn:
        newest = conn.execute(select(func.max(histories.c.updated_at))).scalar()
    if newest is None:
        return Finding("last change", "good", "none yet")
    found = ids.to_datetime(newest).isoformat(timespec="seconds")
    if newest > ids.now() + 60_000_000:
        return Finding("last change", "note", found, "that is in the future: the clock was set back, here or elsewhere")
    return Finding("last change", "good", found)


def _leases(inspector: Inspector) -> Finding:
    with inspector.snapshot() as conn:
        held = leases.all_leases(conn)
        open_blocks = conn.execute(select(func.count()).where(blocks.c.state == "open")).scalar_one()
    shown = [_shown(lease) for lease in held]
    found = "; ".join([f"{open_blocks:,} open blocks", *shown])
    if any("gone" in one for one in shown):
        return Finding(
            "leases", "note", found, "what the dead left open ends as interrupted once anyone opens the store"
        )
    return Finding("leases", "good", found)


def _erasing(inspector: Inspector) -> Finding:
    with inspector.snapshot() as conn:
        count = erasing.unfinished(conn)
    if count:
        advice = (
            "what they held is in the file still; it goes while anyone has the store open, once nobody reads for long"
        )
        return Finding("erasing", "note", f"{count:,} contexts", advice)
    return Finding("erasing", "good", "nothing is being erased")


def _shown(lease: leases.Lease) -> str:
    if lease.machine != processes.machine():
        return f"process {lease.pid} of another machine or boot, silent for {lease.seconds} s at most"
    gone = processes.is_gone(lease.pid, lease.started)
    return f"process {lease.pid} {'is gone' if gone else 'lives'}"
