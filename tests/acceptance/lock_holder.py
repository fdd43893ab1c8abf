"""A process that takes the write lock of a store again and again, as any other program may."""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time

from children import arguments, say


def main() -> None:
    given = arguments()
    rng = random.Random(given["seed"])
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
    conn = sqlite3.connect(given["path"], isolation_level=None, timeout=30)
    say("ready")
    while not done.is_set():
        conn.execute("BEGIN IMMEDIATE")
        done.wait(rng.uniform(0, given["longest"]))
        conn.execute("ROLLBACK")
        time.sleep(rng.uniform(0, given["longest"]))
    conn.close()


if __name__ == "__main__":
    main()
