"""Clients that are killed and come back, straight and through a proxy: nothing is missed, and nothing comes again."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from event_folding import Folded, complete_events
from http_support import DEADLINE, ServerProcess

from chatstore import ChatStore

KILLS = 200
CONF = """
daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; proxy_set_header Host $http_host; }} }}
}}
"""


@contextmanager
def writing(store: Path) -> Iterator[None]:
    """Another process than the server's, that goes on writing: blocks of tokens, one after the other."""
    over = threading.Event()

    def write() -> None:
        with ChatStore(store) as own:
            history = own.history("live")
            while not over.is_set():
                history.append_user_message("go on")
                with history.open_message() as block:
                    for number in range(200):
                        block.write(f"token {number} 💬\n")
                        if over.wait(0.001):
                            break

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def straight(server: ServerProcess, _: Path) -> Iterator[str]:
    """The server's own URL."""
    yield server.url


@contextmanager
def through_nginx(server: ServerProcess, directory: Path) -> Iterator[str]:
    """That of an nginx before it, as it is set by default."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = directory / "nginx.conf"
    conf.write_text(CONF.format(directory=directory, port=port, url=server.url.replace("localhost", "127.0.0.1")))
    with subprocess.Popen([program, "-p", str(directory), "-c", str(conf)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + DEADLINE
        try:
            while not answers(port):
                assert time.monotonic() < deadline and process.poll() is None
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("way", [straight, through_nginx])
def test_a_client_killed_200_times_misses_and_repeats_nothing(
    way: Callable[[ServerProcess, Path], AbstractContextManager[str]],
    start: Callable[..., ServerProcess],
    path: Path,
    tmp_path: Path,
) -> None:
    server, folded = start(), Folded()
    with way(server, tmp_path) as url:
        with writing(path):
            kills = until_killed_and_told(f"{url}/contexts/live/events", server, folded)
        end = curl(f"{url}/contexts/live/events?follow=false", server, folded.last_id)
        for event in complete_events(end.communicate(timeout=DEADLINE)[0]):
            folded.take(event)
        with ChatStore(path) as own:
            blocks = own.history("live").get_messages()
        assert folded.equals(blocks)
        print(f"figure: {way.__name__}: {kills} kills, {folded.changes} changes of {len(blocks)} blocks, each once")


def until_killed_and_told(url: str, server: ServerProcess, folded: Folded) -> int:
    """How often a client was killed: 200 times, and more where a slow machine has told fewer changes than that."""
    generator, deadline = random.Random(7), time.monotonic() + 8 * DEADLINE
    kills = 0
    while kills < KILLS or folded.changes <= KILLS:
        assert time.monotonic() < deadline, f"{folded.changes} changes in {kills} lives"
        read_some(url, server, folded, generator.randrange(1, 12))
        kills += 1
    return kills


def curl(url: str, server: ServerProcess, last_id: str | None) -> subprocess.Popen[bytes]:
    headers = server.headers | ({} if last_id is None else {"Last-Event-ID": last_id})
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    return subprocess.Popen(["curl", "-sN", "--max-time", str(DEADLINE), *given, url], stdout=subprocess.PIPE)


def read_some(url: str, server: ServerProcess, folded: Folded, chunks: int) -> None:
    """Reads so many chunks, whatever they end in, and is killed."""
    with curl(url, server, folded.last_id) as client:
        assert client.stdout is not None
        data = b""
        for _ in range(chunks):
            data += client.stdout.read1(700)  # type: ignore[attr-defined]
        client.kill()
    for event in complete_events(data):
        folded.take(event)
