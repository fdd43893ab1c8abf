"""Serves a store over HTTP, in a process that may be killed.

A parent that has imported everything and built the endpoints forks one after the other, each for a line on its input:
the file, and the port.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from served import Application

from chatstore import AsyncChatStore
from chatstore.server import Access, ServerLimits
from chatstore.server.serving import Server, listening, run

LIMITS = ServerLimits(rate=1_000_000, heartbeat=1.0, lease=3.0)
EVERYTHING = Access("the machine", write=True, admin=True, expires_at=4e9)


async def serve(app: Application, ear: socket.socket, path: str) -> None:
    """Until it is killed."""
    store = AsyncChatStore(path, durability="token")
    async with await app.begin(await store.__aenter__(), LIMITS):
        print(os.getpid(), app.token(EVERYTHING), flush=True)
        await Server(app.app).serve(sockets=[ear])


def end_with_the_parent() -> None:
    """Nothing is said while a server runs: what comes on the input is its end."""
    select.select([sys.stdin], [], [])
    os._exit(0)


def main() -> None:
    app = Application()
    for line in sys.stdin:
        port, _, path = line.strip().partition(" ")
        ear = listening("127.0.0.1", int(port))
        pid = os.fork()
        if pid == 0:
            threading.Thread(target=end_with_the_parent, daemon=True).start()
            run(serve(app, ear, path))
            os._exit(0)
        ear.close()
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
