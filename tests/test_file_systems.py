"""Stores on file systems where SQLite's log is not safe: refused before a file is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from chatstore import AsyncChatStore, ChatStore, UnsafeFileSystem
from chatstore.databases import mounts
from chatstore.databases.mounts import TRUSTED, is_unsafe, mount_of

MACHINE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 / /home rw,relatime shared:12 - nfs4 server:/home rw,vers=4.2
41 40 0:41 / /home/me/local rw,relatime shared:13 master:2 - xfs /dev/vdb rw
42 27 0:42 / /mnt/my\\040share rw - cifs //server/my\\040share rw
43 27 0:43 / /mnt/tab\\011line\\012back\\134slash rw - fuse.sshfs me@server: rw
44 27 254:0 /srv/data /mnt/bound rw - ext4 /dev/vda rw
45 27 0:45 / /mnt/host rw - virtiofs host rw
46 27 0:46 / /mnt/wsl rw - 9p drvfs rw
47 27 0:47 / /hidden/nfs rw - nfs server:/ rw
48 27 0:48 / /hidden rw - tmpfs tmpfs rw
49 27 0:49 / /twice rw - nfs server:/ rw
50 49 0:50 / /twice rw - ext4 /dev/vdc rw
51 27 0:51 / /été rw - smb3 //server/s rw
52 27 0:45 /deeper /bound/host rw - virtiofs host rw
53 27 0:53 / /overlaid rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c
"""
CONTAINER = """\
900 800 0:60 / / rw,relatime master:4 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
901 900 0:61 / /data rw,relatime - fuse.grpcfuse grpcfuse rw
902 900 254:1 /volumes/v /volume rw,relatime - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("mountinfo", "path", "type"),
    [
        (MACHINE, "/chat.db", "ext4"),
        (MACHINE, "/home", "nfs4"),
        (MACHINE, "/home/me/chat.db", "nfs4"),
        (MACHINE, "/homes/chat.db", "ext4"),
        (MACHINE, "/home/me/local/chat.db", "xfs"),
        (MACHINE, "/home/me/local2/chat.db", "nfs4"),
        (MACHINE, "/mnt/my share/chat.db", "cifs"),
        (MACHINE, "/mnt/my\\040share/chat.db", "ext4"),
        (MACHINE, "/mnt/tab\tline\nback\\slash/chat.db", "fuse.sshfs"),
        (MACHINE, "/mnt/bound/chat.db", "ext4"),
        (MACHINE, "/bound/host/chat.db", "virtiofs"),
        (MACHINE, "/mnt/host/a/b/c/chat.db", "virtiofs"),
        (MACHINE, "/mnt/wsl/chat.db", "9p"),
        (MACHINE, "/hidden/nfs/chat.db", "tmpfs"),
        (MACHINE, "/twice/chat.db", "ext4"),
        (MACHINE, "/été/chat.db", "smb3"),
        (MACHINE, "/overlaid/chat.db", "overlay"),
        (CONTAINER, "/app/chat.db", "overlay"),
        (CONTAINER, "/data/chat.db", "fuse.grpcfuse"),
        (CONTAINER, "/volume/chat.db", "ext4"),
    ],
)
def test_the_mount_that_a_path_leads_to(mountinfo: str, path: str, type: str) -> None:
    mount = mount_of(mountinfo, PurePosixPath(path))
    assert mount is not None
    assert mount.type == type


@pytest.mark.parametrize("mountinfo", ["", "\n\n", "nonsense", "1 2 3", "a b 0:1 / / rw - nfs x rw", "1 1 0:1 / / rw"])
def test_a_list_that_says_nothing_finds_nothing(mountinfo: str) -> None:
    assert mount_of(mountinfo, PurePosixPath("/chat.db")) is None


def test_a_mount_that_is_its_own_parent_is_walked_once() -> None:
    mount = mount_of("1 1 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / /a rw - nfs s:/ rw", PurePosixPath("/a/chat.db"))
    assert mount is not None
    assert mount.type == "nfs"


@pytest.mark.parametrize(
    "type",
    [
        *("9p", "virtiofs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "lustre", "afs", "vboxsf", "fakeowner"),
        *("fuse", "fuseblk", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs"),
    ],
)
def test_what_reaches_elsewhere_is_unsafe(type: str) -> None:
    assert is_unsafe(type)


@pytest.mark.parametrize(
    "type",
    ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "bcachefs", "ext3", "rootfs", "ramfs", "fusectl"],
)
def test_what_is_local_is_not(type: str) -> None:
    assert not is_unsafe(type)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that the list of mounts says is a server's."""
    directory = tmp_path / "my share"
    directory.mkdir()
    listing = tmp_path / "mountinfo"
    point = str(directory).replace(" ", "\\040")
    listing.write_text(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n40 27 0:40 / {point} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", listing)
    monkeypatch.delenv(TRUSTED, raising=False)
    return directory


async def test_a_store_there_is_refused_before_anything_is_made(elsewhere: Path) -> None:
    with pytest.raises(UnsafeFileSystem, match=rf"nfs4 .*local disk.*{TRUSTED}=nfs4"):
        ChatStore(elsewhere / "chat.db")
    store = AsyncChatStore(elsewhere / "chat.db")
    with pytest.raises(UnsafeFileSystem):
        await store.history("c").append_user_message("x")
    await store.close()
    (elsewhere.parent / "link").symlink_to(elsewhere)
    with pytest.raises(UnsafeFileSystem):
        ChatStore(elsewhere.parent / "link" / "chat.db")
    assert [*elsewhere.iterdir()] == []


def test_a_store_that_was_copied_there_is_not_opened(elsewhere: Path, tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db") as store:
        store.history("c").append_user_message("x")
    copied = (tmp_path / "chat.db").rename(elsewhere / "chat.db")
    before = copied.stat()
    with pytest.raises(UnsafeFileSystem):
        ChatStore(copied)
    assert (copied.stat().st_mtime_ns, copied.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert [*elsewhere.iterdir()] == [copied]


@pytest.mark.parametrize("trusted", ["nfs4", "9p, nfs4"])
def test_a_type_that_is_vouched_for_is_used(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, trusted: str) -> None:
    monkeypatch.setenv(TRUSTED, trusted)
    with ChatStore(elsewhere / "chat.db") as store:
        assert store.history("c").append_user_message("x").index == 0


def test_another_type_that_is_vouched_for_does_not_help(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED, "nfs,1,*")
    with pytest.raises(UnsafeFileSystem):
        ChatStore(elsewhere / "chat.db")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[list[Path]]:
    """Directories that a test mounted something on, to take off again."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounts file systems: needs root")
    points: list[Path] = []
    yield points
    for point in reversed(points):
        subprocess.run(["umount", point], check=True)


def mount(mounted: list[Path], *command: str | Path, on: Path) -> None:
    on.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", *command, on], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    mounted.append(on)


def device(path: Path) -> str:
    number = path.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def test_the_walk_finds_the_device_that_the_kernel_finds(tmp_path: Path, mounted: list[Path]) -> None:
    tmpfs = ("-t", "tmpfs", "tmpfs")
    place = tmp_path / "a place\nof its own"
    mount(mounted, *tmpfs, on=place)
    mount(mounted, *tmpfs, on=place / "deeper" / "and deeper")
    mount(mounted, *tmpfs, on=place)  # hides both
    mount(mounted, "--bind", tmp_path, on=place / "bound")
    mount(mounted, *tmpfs, on=place / "bound" / "within")
    listing = Path("/proc/self/mountinfo").read_text()
    devices = {int(line.split()[0]): line.split()[2] for line in listing.splitlines()}
    (place / "deeper" / "and deeper").mkdir(parents=True)
    for path in (tmp_path, place, place / "deeper" / "and deeper", place / "bound", place / "bound" / "within"):
        found = mount_of(listing, PurePosixPath(path))
        assert found is not None
        assert devices[found.id] == device(path), path


def test_a_store_on_an_overlay_is_one_file_although_it_is_copied_up(tmp_path: Path, mounted: list[Path]) -> None:
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "disk/upper", "disk/work", "merged"))
    lower.mkdir()
    with ChatStore(lower / "chat.db") as store:
        store.history("c").append_user_message("in the image")
    mount(mounted, "-t", "tmpfs", "tmpfs", on=tmp_path / "disk")
    for directory in (upper, work):
        directory.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount(mounted, "-t", "overlay", "overlay", "-o", options, on=merged)
    with ChatStore(merged / "chat.db") as store:
        history = store.history("c")
        history.append_user_message("in the container")
        with ChatStore(merged / "chat.db"):
            assert [block.text for block in history.get_messages()] == ["in the image", "in the container"]
