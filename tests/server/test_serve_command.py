"""`chatstore serve` and `chatstore token`, as a user runs them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from http_support import DEADLINE, ServerProcess, append, events, problem
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from chatstore.server.serving import listening, run

pytestmark = pytest.mark.slow

Start = Callable[..., ServerProcess]


def token(path: Path, state: Path, *arguments: str) -> str:
    """What `chatstore token` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "chatstore", "token", "--store", str(path), *arguments],
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return done.stdout.strip()


def test_the_link_opens_the_page_and_its_cookie_the_store(start: Start) -> None:
    server = start()
    with httpx.Client(follow_redirects=True, timeout=DEADLINE) as browser:
        assert browser.get(f"{server.url}/contexts").status_code == 401
        page = browser.get(server.link)
        assert (page.status_code, page.url.query) == (200, b"")
        assert page.headers["content-type"].startswith("text/html")
        assert browser.get(f"{server.url}/contexts").status_code == 200


def test_a_store_that_is_made_is_told(start: Start, path: Path) -> None:
    told = f"a new store: {path}\n"
    first = start()
    first.stop()
    assert told in first.error_log.read_text()
    first.error_log.write_text("")
    start().stop()
    assert told not in first.error_log.read_text()


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_streams_and_the_process(start: Start, number: int) -> None:
    server = start()
    with server.client() as client:
        append(client, "c", "x")
        with events(client, "/contexts/c/events") as stream:
            next(stream)
            begun = time.monotonic()
            code = server.stop(number)
            assert not [*stream]
    assert time.monotonic() - begun < 8
    assert code == 0
    assert "Traceback" not in server.error_log.read_text()


@pytest.mark.slow
def test_a_client_goes_on_where_it_was_when_the_server_was_started_anew(start: Start) -> None:
    first = start()
    with first.client() as client:
        append(client, "c", "before")
        with events(client, "/contexts/c/events") as stream:
            seen = next(stream)
    first.stop()
    second = start(port=first.port)
    with httpx.Client(
        base_url=second.url, headers={"Authorization": f"Bearer {first.token}"}, timeout=DEADLINE
    ) as client:
        append(client, "c", "after")
        params = {"follow": False}
        with events(client, "/contexts/c/events", params=params, headers={"Last-Event-ID": seen.id}) as stream:
            assert ["after" in event.data for event in stream] == [True]


def test_what_was_open_is_interrupted_when_the_server_ends(start: Start) -> None:
    first = start()
    with first.client() as client:
        block = client.post("/contexts/c/blocks", json={}).json()["id"]
        client.post(f"/contexts/c/blocks/{block}/text", json={"offset": 0, "text": "half"})
    first.stop()
    with start().client() as client:
        stored = client.get(f"/contexts/c/blocks/{block}").json()
    assert (stored["state"], stored["text"]) == ("interrupted", "half")


def test_a_token_of_the_command_allows_what_it_says(start: Start, path: Path, tmp_path: Path) -> None:
    server = start()
    made = token(path, tmp_path / "state", "--context", "c", "--read", "--ttl", "1h")
    with server.client() as client:
        append(client, "c", "x")
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {made}"}, timeout=DEADLINE) as reader:
        assert reader.get("/contexts/c/messages").status_code == 200
        problem(reader.get("/contexts"), 404, "not_found")
        problem(reader.post("/contexts/c/messages", json={"text": "y"}), 404, "not_found")


def test_a_log_of_requests_has_no_token(start: Start) -> None:
    server = start("--log")
    with httpx.Client(timeout=DEADLINE) as browser:
        browser.get(server.link)
        browser.get(f"{server.url}/contexts/c/events", params={"access_token": server.token})
    server.stop()
    log = server.error_log.read_text()
    assert "GET /?token=… 303" in log
    assert server.token not in log


def test_it_listens_on_this_machine_alone_unless_it_is_told(start: Start) -> None:
    server = start()
    listening = Path("/proc/net/tcp").read_text().split("\n")
    own = [line.split()[1] for line in listening if f":{server.port:04X} 00000000:0000 0A" in line]
    assert own == [f"0100007F:{server.port:04X}"]


def test_the_end_of_an_answer_does_not_wait_for_the_acknowledgement_of_its_head() -> None:
    with listening("127.0.0.1", 0) as ear, socket.create_connection(ear.getsockname(), DEADLINE):
        connection, _ = ear.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.slow
def test_a_server_for_other_machines_prints_a_link_that_opens_and_says_what_it_lacks(start: Start) -> None:
    server = start("--host", "0.0.0.0")
    assert server.link.startswith("http://localhost:")
    assert httpx.get(server.link, follow_redirects=True, timeout=DEADLINE).status_code == 200
    told = server.error_log.read_text()
    assert "without TLS" in told
    assert "--host-name" in told
    server.stop()
    named = start("--host", "0.0.0.0", "--host-name", "127.0.0.2")
    assert named.link.startswith("http://127.0.0.2:")
    assert httpx.get(named.link, follow_redirects=True, timeout=DEADLINE).status_code == 200


@pytest.mark.slow
def test_tabs_that_come_and_go_are_not_told_on_the_terminal(start: Start) -> None:
    server = start()
    address = f"ws://localhost:{server.port}/events"
    with connect(address, additional_headers={"Authorization": f"Bearer {server.token}"}) as socket:
        assert "heartbeat" in str(socket.recv(DEADLINE))
    with pytest.raises(InvalidStatus):
        connect(address)
    server.stop()
    told = server.error_log.read_text().splitlines()
    assert [line.split()[0] for line in told] == ["a", "serving", "stopped"]  # the first names the new store


def test_running_a_server_leaves_the_logging_of_its_process_alone() -> None:
    def found() -> list[object]:
        loggers = map(logging.getLogger, ("", "uvicorn", "uvicorn.error", "uvicorn.access"))
        return [(logger.level, logger.propagate, *logger.handlers) for logger in loggers]

    async def nothing() -> None:
        pass

    before = found()
    run(nothing())
    assert found() == before
