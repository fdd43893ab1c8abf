"""What a process did to the files of a directory, from a record of its system calls by strace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

CALLS = (
    "openat,pwrite64,write,ftruncate,fallocate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,unlink,unlinkat"
)
_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_HALF = re.compile(r"(\d+) +(?:(\w+)\((.*) <unfinished \.\.\.>|<\.\.\. (\w+) resumed>(.*))")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"<((?:\\x[0-9a-f]{2})*)>")
_FILES = {"write", "pwrite64", "ftruncate", "fsync", "fdatasync"}
_MOVES = {"linkat", "rename", "renameat", "renameat2", "fallocate"}


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that was done. `began` is how many things were done when it began."""

    what: Literal["create", "write", "truncate", "sync", "link", "unlink", "say"]
    path: str
    began: int
    offset: int = 0
    data: bytes = b""
    other: str = ""
    said: Any = None


def command(strace: str, log: Path) -> list[str]:
    """What to start a process with, to have its system calls recorded."""
    return [strace, "-f", "--seccomp-bpf", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(log)]


def recorded(log: Path, directory: Path) -> list[Done]:
    """All that was done to files below a directory and was said on standard output, in order."""
    done: list[Done] = []
    halves: dict[str, tuple[str, int]] = {}
    with log.open() as lines:
        for line in lines:
            if half := _HALF.match(line):
                thread, _, begun, name, rest = half.groups()
                if begun is not None:
                    halves[thread] = begun, len(done)
                    continue
                begun, began = halves.pop(thread)
                line, position = f"{thread} {name}({begun}{rest}", began
            else:
                position = len(done)
            if call := _CALL.match(line):
                done += _understood(call[2], call[3], int(call[4]), f"{directory}/", position)
    return done


def _understood(name: str, given: str, returned: int, below: str, began: int) -> Iterator[Done]:
    if returned < 0:
        return
    if name == "write" and given.startswith("1<"):
        for line in _bytes(_QUOTED, given).splitlines():
            yield Done("say", "", began, said=json.loads(line))
        return
    paths = [path for path in _paths(name, given) if f"{path}/".startswith(below) and not path.endswith("-shm")]
    if not paths:
        return
    assert name not in _MOVES, f"{name} is not understood yet"
    if name == "openat" and "O_CREAT" in given:
        yield Done("create", paths[-1], began)
    elif name == "pwrite64":
        yield Done("write", paths[0], began, int(given.rsplit(", ", 1)[1]), _bytes(_QUOTED, given)[:returned])
    elif name == "ftruncate":
        yield Done("truncate", paths[0], began, int(given.rsplit(", ", 1)[1]))
    elif name in ("fsync", "fdatasync"):
        yield Done("sync", paths[0], began)
    elif name == "link":
        yield Done("link", paths[1], began, other=paths[0])
    elif name in ("unlink", "unlinkat"):
        yield Done("unlink", paths[-1], began)
    else:
        assert name == "openat", f"{name} is not understood yet"


def _paths(name: str, given: str) -> list[str]:
    """The files that a call is about."""
    if name in _FILES:
        return [_bytes(_FILE, given).decode()]
    named = [_bytes(_QUOTED, match).decode() for match in re.findall(r'"[^"]*"', given)]
    if name == "unlinkat":  # a name within the directory that is given
        return [f"{_bytes(_FILE, given).decode()}/{named[0]}" if not named[0].startswith("/") else named[0]]
    return named


def _bytes(pattern: re.Pattern[str], text: str) -> bytes:
    found = pattern.search(text)
    return b"" if found is None else bytes.fromhex(found[1].replace("\\x", ""))
