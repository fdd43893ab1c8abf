"""A process that ends without closing its store, in one of the ways in which processes end.

It says what it was told is stored, then "ready"; told to, it ends. `WAYS` has the ways, with the exit code of each.
"""

from __future__ import annotations

import signal

from faults import endings_of_loops, endings_of_threads
from faults.processes import arguments

WAYS: dict[str, int] = {
    **dict.fromkeys(("normal", "open_block", "running_run", "submitted", "never_iterated", "dropped", "suspended"), 0),
    **dict.fromkeys(("daemon_subscriber", "store_subscriber", "daemon_writer", "daemon_streamer"), 0),
    **dict.fromkeys(("thread_ends_last", "atexit_before", "atexit_after", "forked", "spawned"), 0),
    **dict.fromkeys(("in_a_cycle", "deleted", "finalizer", "locked"), 0),
    **dict.fromkeys(("loop_closed", "loop_never_closed", "never_awaited", "task_running", "pending_append"), 0),
    **{"async_block": 0, "exception": 1, "sys_exit": 3, "open_block_exits": 3, "os_exit": 4, "replaced": 5},
    **{"abort": -signal.SIGABRT, "terminated": -signal.SIGTERM},
    **{"interrupted": -signal.SIGINT, "loop_interrupted": -signal.SIGINT},
}


def main() -> None:
    way = arguments()["way"]
    (getattr(endings_of_threads, way, None) or getattr(endings_of_loops, way))()


if __name__ == "__main__":
    main()
