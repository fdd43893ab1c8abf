"""Whether another process on this machine lives: by its id and the time it started."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """A name for what shares process ids with us: this boot of this machine, or of this container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def started(pid: int) -> int:
    """When a process started, in ticks that only compare equal or not; 0 where that cannot be known."""
    try:
        # The second field is the program's name in brackets, which may hold anything (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0


def is_gone(pid: int, start: int) -> bool:
    """Whether the process of that id and start is certainly dead."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    now = started(pid)
    return bool(start and now) and (now != start or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
