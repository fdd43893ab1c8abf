"""`chatstore --wake nats://…`: commands are heard by NATS, and hear by it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import postgres_server
import pytest
from command_process import Process
from nats_server import NatsServer, hears, serving, wait_until
from typer.testing import Result

from chatstore import ChatStore
from chatstore.databases.postgres.database import PostgresDatabase

pytestmark = pytest.mark.slow


@pytest.fixture
def url() -> Iterator[str]:
    made = postgres_server.new_store()
    yield made
    postgres_server.drop(made)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with serving(tmp_path, 'authorization { user: me, password: "s3cr3t" }') as server:
        yield server


def test_what_a_command_appends_is_heard_and_a_command_hears(
    url: str, nats: NatsServer, start: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDatabase, "looks_every", 600.0)  # what is seen was heard
    wake, seen = nats.with_user("me:s3cr3t"), SimpleQueue[str]()
    with ChatStore(url, wake=wake) as store, store.history("c").subscribe() as subscription:
        follower = Thread(target=lambda: [seen.put(change.block.text) for change in subscription])  # type: ignore[union-attr]
        follower.start()
        wait_until(lambda: hears(store))
        tail = start("--wake", wake, "tail", "c", "-f", "--store", url)
        wait_until(lambda: len(nats.connections()) == 2)  # it waits for the context already
        appended = start("--wake", wake, "append", "c", "by a command", "--store", url)
        assert (appended.wait(), seen.get(timeout=30)) == (0, "by a command")
        assert "user" in tail.line()
        assert "by a command" in tail.line()
        *_, code = tail.stop(signal.SIGINT)
        assert code == 130
        subscription.close()
        follower.join(10)


def test_the_environment_says_it_for_every_command(
    url: str, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATSTORE_WAKE", "nats://me:s3cr3t@host:port")
    for command in (("append", "c", "text"), ("ls",), ("tail", "c")):
        refused = run(*command, "--store", url)
        assert refused.exit_code == 2, refused.output
        assert "wake= takes a URL like nats://" in refused.output
        assert "s3cr3t" not in refused.output


def test_for_a_store_that_is_a_file_it_says_why_not(run: Callable[..., Result]) -> None:
    refused = run("--wake", "nats://me:s3cr3t@host", "append", "c", "text")
    assert refused.exit_code == 2
    assert "file events" in refused.output
    assert "s3cr3t" not in refused.output
    assert run("append", "c", "text").exit_code == 0
