"""File systems on which SQLite's log is not safe, told by Linux's list of mounts before any file is touched.

In WAL mode the processes that have a store open share memory through a file beside it, and rely on its locks. On
file systems that reach over a network, or out of a virtual machine, either may seem to work and does not: the store
is damaged without an error (https://www.sqlite.org/wal.html, section 1; https://www.sqlite.org/howtocorrupt.html,
section 2.1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from chatstore.errors import UnsafeFileSystem

TRUSTED = "CHATSTORE_TRUST_FILE_SYSTEMS"
"""The environment variable that names types of file systems, with commas between, which are used all the same."""

_UNSAFE = frozenset(
    [
        "9p",
        "virtiofs",
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smbfs",
        "smb2",
        "smb3",
        "ncpfs",
        "afs",
        "coda",
        "ceph",
        "lustre",
        "gfs2",
        "ocfs2",
        "glusterfs",
        "pvfs2",
        "orangefs",
        "beegfs",
        "gpfs",
        "panfs",
        "vboxsf",
        "vmhgfs",
        "prl_fs",
        "drvfs",
        "fakeowner",
    ]
)
_MOUNTS = Path("/proc/self/mountinfo")


class Mount(NamedTuple):
    """One line of the list (proc_pid_mountinfo(5))."""

    id: int
    parent: int
    point: PurePosixPath
    type: str


def check_file_system(path: Path) -> None:
    """Refuses a path on a file system that is known to be unsafe; where there is no list of mounts, none is known."""
    try:
        mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    mount = mount_of(mountinfo, PurePosixPath(path))
    trusted = {name.strip() for name in os.environ.get(TRUSTED, "").split(",")}
    if mount is not None and is_unsafe(mount.type) and mount.type not in trusted:
        raise UnsafeFileSystem(
            f"{str(path)!a} lies on {mount.type} (mounted at {str(mount.point)!a}), where SQLite's log can be damaged"
            " without an error; keep the store on a local disk. If only one machine has it open, and locks and shared"
            f" memory are known to work there, set {TRUSTED}={mount.type}"
        )


def is_unsafe(type: str) -> bool:
    """Whether a type of file system is one of a network, of a virtual machine's host, or of a program (FUSE)."""
    return type in _UNSAFE or type.split(".")[0] in ("fuse", "fuseblk")


def mount_of(mountinfo: str, path: PurePosixPath) -> Mount | None:
    """The mount that an absolute path without links leads to.

    It is walked to from the root, as the kernel does: a mount that lies below one mounted later cannot be seen, and
    the longest mount point alone would find it.
    """
    mounts = [*_parse(mountinfo)]
    ids = {mount.id for mount in mounts}
    on_the_way = [mount for mount in mounts if path.is_relative_to(mount.point)]
    below = [mount for mount in on_the_way if mount.parent not in ids or mount.parent == mount.id]
    found = None
    while below:
        found = min(below, key=lambda mount: len(mount.point.parts))
        below = [mount for mount in on_the_way if mount.parent == found.id != mount.id]
    return found


def _parse(mountinfo: str) -> Iterator[Mount]:
    for line in mountinfo.split("\n"):
        fields, _, rest = line.partition(" - ")
        match fields.split(" "), rest.split(" "):
            case [id, parent, _, _, point, *_], [type, _, *_] if id.isdigit() and parent.isdigit():
                yield Mount(int(id), int(parent), PurePosixPath(_unescape(point)), type)


def _unescape(text: str) -> str:
    """Spaces, tabs, line ends and backslashes are written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), text)
