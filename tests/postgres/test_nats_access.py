"""Who is let in to NATS, whom we say a password to, and what is shown of a URL: never that."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import other_processes
import pytest
from nats_server import hears, serving, wait_until
from postgres_server import beside
from watching import Watcher

from chatstore import ChatStore, InvalidInput
from chatstore.wakers.nats.url import parse

pytestmark = pytest.mark.slow

PASSWORD = "s3cr3t/@: %"
QUOTED = "s3cr3t%2F%40%3A%20%25"


USERS = {
    "a user": (f'authorization {{ user: me, password: "{PASSWORD}" }}', f"me:{QUOTED}"),
    "a token": (f'authorization {{ token: "{PASSWORD}" }}', QUOTED),
}


@pytest.mark.parametrize("who", USERS)
def test_who_is_let_in_hears_and_who_is_not_is_told_so_without_the_password(
    url: str, tmp_path: Path, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    configured, given = USERS[who]
    with serving(tmp_path, configured) as server:
        with ChatStore(url, wake=server.with_user(given)) as store, Watcher(store):
            wait_until(lambda: hears(store))
        assert "WARNING" not in {record.levelname for record in caplog.records}
        with ChatStore(url, wake=server.with_user(f"{given}x")) as store, Watcher(store):
            wait_until(lambda: "Authorization Violation" in caplog.text)
            assert not hears(store)
    assert "s3cr3t" not in caplog.text


@pytest.mark.timed
@pytest.mark.parametrize("denied", ["subscribe", "publish"])
def test_what_the_server_does_not_permit_is_said_once_and_costs_less_than_a_second(
    url: str, tmp_path: Path, denied: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = f'{{ user: me, password: pw, permissions: {{ {denied}: {{ deny: "chatstore.*" }} }} }}'
    with serving(tmp_path, f"authorization {{ users: [ {user} ] }}") as server:
        wake = server.with_user("me:pw")
        with (
            ChatStore(url, wake=wake) as store,
            ChatStore(beside(url), wake=wake) as other,
            Watcher(store.history("c")) as watcher,
        ):
            wait_until(lambda: hears(store) or "does not work" in caplog.text)
            for number in range(3):
                begun = time.monotonic()
                other.history("c").append_user_message(f"message {number}")
                assert watcher.next()[1] - begun < 1
            wait_until(lambda: "ermissions" in caplog.text)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings of a server that speaks TLS, with a certificate of its own that this process trusts."""
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True, timeout=60)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return f'tls {{ cert_file: "{made}", key_file: "{key}" }}'


def test_tls_is_spoken_where_the_url_or_the_server_asks_for_it(url: str, tmp_path: Path, certificate: str) -> None:
    with serving(tmp_path, f"{certificate}\nauthorization {{ user: me, password: pw }}") as server:
        for wake in (server.with_user("me:pw"), server.with_user("me:pw").replace("nats://", "tls://")):
            with ChatStore(url, wake=wake) as store, Watcher(store):
                wait_until(lambda store=store: hears(store))
                [client] = server.asked("connz")["connections"]
                assert client["tls_version"]


def test_a_server_that_is_not_trusted_is_not_spoken_to(
    url: str, tmp_path: Path, certificate: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with (
        serving(tmp_path, certificate) as server,
        ChatStore(url, wake=server.url.replace("nats://", "tls://")) as store,
        Watcher(store),
    ):
        wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
        assert not hears(store)


@pytest.mark.parametrize("user", ["me:s3cr3t@", "s3cr3t@", ""])
def test_with_tls_in_the_url_nothing_is_said_to_a_server_without_it(
    url: str, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        answering(b'INFO {"max_payload":1048576}\r\n') as (port, said),
        ChatStore(url, wake=f"tls://{user}127.0.0.1:{port}") as store,
        Watcher(store),
    ):
        wait_until(lambda: len(said) > 1 and "does not work" in caplog.text)
    assert b"s3cr3t" not in b"".join(said)
    assert b"PUB" not in b"".join(said)
    assert "s3cr3t" not in caplog.text


@contextmanager
def answering(greeting: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that greets whoever comes, and what each of them said to it."""
    said: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(0.5)
                client.sendall(greeting)
                said.append(b"")
                try:
                    while received := client.recv(4096):
                        said[-1] += received
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], said
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


BAD = [
    "nats://",
    "nats://:4222",
    "nats://me:s3cr3t@host:port",
    "nats://me:s3cr3t@host:99999",
    "nats://me:s3cr3t@host/subject",
    "nats://me:s3cr3t@host?tls=1",
    "nats://me:s3cr3t@ho st",
    "nats://me:s3cr3t@host\n",
    "nats://me:s3cr3t@[host",
    "nats://me:s3cr3t@a,tls://me:s3cr3t@b",
    "nats://me:s3cr3t@a,nats://me:s3cr3t2@b",
    "nats://me:s3cr3t@a,",
    "redis://me:s3cr3t@host",
]


@pytest.mark.parametrize("wake", BAD)
def test_a_url_that_means_nothing_is_refused_at_once_and_not_shown(wake: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ChatStore("postgresql://127.0.0.1:9/nowhere", wake=wake)
    assert "s3cr3t" not in str(refused.value)


def test_a_store_that_is_a_file_says_why_it_takes_none(path: Path) -> None:
    with pytest.raises(InvalidInput, match="file events") as refused:
        ChatStore(path, wake="nats://me:s3cr3t@host")
    assert "s3cr3t" not in str(refused.value)
    assert not path.exists()


def test_where_another_store_of_the_process_has_another_url_neither_is_shown(url: str) -> None:
    with ChatStore(url, wake="nats://me:s3cr3t@127.0.0.1:9") as store:
        with pytest.raises(InvalidInput, match="another wake=") as refused:
            ChatStore(url, wake="nats://me:s3cr3t@127.0.0.1:10")
        assert "s3cr3t" not in str(refused.value) + repr(store._core and store._core.options)


def test_a_missing_extra_is_named() -> None:
    code = """
    import sys
    sys.modules["nats"] = None
    from chatstore import ChatStore, MissingExtra
    try:
        ChatStore("postgresql://127.0.0.1:9/nowhere", wake="nats://host")
    except MissingExtra as error:
        print(error)
    """
    assert "pip install 'chatstore[nats]'" in other_processes.run(code)


SHOWN: list[tuple[str, Callable[[], object]]] = [
    ("nats://host:4222", lambda: parse("nats://me:s3cr3t@HOST")),
    ("tls://host:4443,tls://[::1]:4222", lambda: parse("tls://me:s3cr3t@host:4443/,tls://[::1]")),
]


@pytest.mark.parametrize(("shown", "made"), SHOWN)
def test_a_url_is_shown_without_who_we_are(shown: str, made: Callable[[], object]) -> None:
    assert str(made()) == shown
    assert "s3cr3t" not in repr(made())
