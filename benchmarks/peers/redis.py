"""A Redis of the benchmark's own: the system's `redis-server`, on a free port, with an append-only file.

`everysec` is Redis's default for that file and loses up to a second on a power cut; `always` syncs with each write.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from benchmarks.measuring import Unavailable
from benchmarks.workloads import Append, AsyncAppend

START_WITHIN = 10.0
NOTE = (
    "a server, with all it holds in memory; entries are flat fields, found by their ids only; syncs once a second, so a"
    " power cut takes the last one"
)
NOTE_ALWAYS = "the same, synced before it answers"


@contextmanager
def server(appendfsync: str = "everysec") -> Iterator[int]:
    """A running server; its port."""
    program = shutil.which("redis-server")
    try:
        import redis  # noqa: F401
    except ImportError:
        raise Unavailable("redis-py is not installed: pip install -e '.[benchmarks]'") from None
    if program is None:
        raise Unavailable("REDIS IS NOT INSTALLED, so nothing is compared with it: apt-get install redis-server")
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        options = {"port": port, "bind": "127.0.0.1", "dir": directory, "save": "", "appendonly": "yes"}
        command = [program, *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        with subprocess.Popen([*command, "--appendfsync", appendfsync], stdout=subprocess.DEVNULL) as process:
            try:
                wait_for_port(port)
                yield port
            finally:
                process.terminate()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Returns once something listens there. Raises Unavailable if nothing does in time."""
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"nothing came to listen on port {port}: {error}") from error
            time.sleep(0.01)


@contextmanager
def streams(appendfsync: str = "everysec") -> Iterator[Callable[[str], Append]]:
    """Gives the XADD of a stream, by redis-py over TCP."""
    with server(appendfsync) as port:
        from redis import Redis

        with Redis(port=port) as client:
            yield lambda context: lambda text: client.xadd(context, _fields(text))


@asynccontextmanager
async def async_streams(appendfsync: str = "everysec") -> AsyncIterator[Callable[[str], AsyncAppend]]:
    """The same by redis.asyncio: one client, whose pool opens a connection for each call that is under way."""
    with server(appendfsync) as port:
        from redis.asyncio import Redis

        async with Redis(port=port) as client:
            yield lambda context: lambda text: client.xadd(context, _fields(text))


def _fields(text: str) -> dict[str, str]:
    return {"type": "message", "role": "user", "text": text}
