"""Redis streams, and a table of one's own beside them: what readers get, and the same in a store of ours."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from comparing import (
    ANSWER,
    CONTEXT,
    PARTIAL,
    QUESTION,
    TOKENS,
    Follower,
    as_they_come,
    die,
    elsewhere,
    kept,
    killed,
    stored,
)
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from chatstore import AsyncChatStore, ChatStore, CursorExpired, Retain

HERE = "test_comparison_redis"
DEADLINE = 30.0
PROGRAM = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no redis-server: apt-get install redis-server")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server(directory: Path, *options: str) -> Iterator[tuple[Redis, int]]:
    """A server with the options as Redis has them by default, and with these. In the end it is killed."""
    port = free_port()
    command = [str(PROGRAM), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
        Redis(port=port, decode_responses=True) as client,
    ):
        try:
            _wait_for(port)
            yield client, port
        finally:
            process.send_signal(signal.SIGKILL)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("the server never listened")


def read(port: int, after: str, wanted: int) -> list[str]:
    """The tokens behind an id of the stream, as many as are wanted, or those that come within a second."""
    tokens: list[str] = []
    with Redis(port=port, decode_responses=True) as client:
        while len(tokens) < wanted:
            answer: Any = client.xread({CONTEXT: after}, block=1000)
            if not answer:
                break
            tokens += [fields["text"] for _, fields in answer[0][1]]
            after = answer[0][1][-1][0]
    return tokens


def write_both(port: int, directory: str, dies: bool) -> None:
    """An answer goes token by token into the stream, and as a whole into a table; and into a store of ours."""
    with Redis(port=port) as client, closing(sqlite3.connect(Path(directory) / "table.db")) as table:
        table.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, role TEXT, text TEXT)")
        table.execute("INSERT INTO messages (role, text) VALUES ('user', ?)", [QUESTION])
        table.commit()

        def tokens() -> Iterator[str]:
            for token in TOKENS:
                client.xadd(CONTEXT, {"text": token})
                yield token

        async def half_way() -> None:
            if dies:
                die()

        asyncio.run(kept(Path(directory) / "chat.db", as_they_come(tokens()), half_way, stops=False))
        table.execute("INSERT INTO messages (role, text) VALUES ('assistant', ?)", [ANSWER])
        table.commit()


def rows(directory: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(directory / "table.db")) as table:
        return table.execute("SELECT role, text FROM messages ORDER BY id").fetchall()


def test_a_stream_is_followed_from_another_process_and_resumed_at_an_id(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        ids = [client.xadd(CONTEXT, {"text": token}) for token in TOKENS[:3]]
        assert elsewhere(f"{HERE}:read", port, "0", 3) == [*TOKENS[:3]]
        assert elsewhere(f"{HERE}:read", port, ids[0], 2) == [*TOKENS[1:3]]
    with ChatStore(tmp_path / "chat.db") as store, Follower(tmp_path / "chat.db") as follower:
        answer = store.history(CONTEXT).open_message()
        for number, token in enumerate(TOKENS):
            answer.write(token)
            follower.until("".join(TOKENS[: number + 1]))
        answer.close()


def test_what_is_trimmed_is_missing_from_a_stream_and_its_reader_is_not_told(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        seen = client.xadd(CONTEXT, {"text": "0"})
        for number in range(1, 10):
            client.xadd(CONTEXT, {"text": str(number)}, maxlen=3, approximate=False)
        assert read(port, str(seen), 9) == ["7", "8", "9"]
    with ChatStore(tmp_path / "chat.db", retain=Retain(blocks=3)) as store:
        history = store.history(CONTEXT)
        first = history.append_user_message("0").cursor
        for number in range(1, 10):
            history.append_user_message(str(number))
        store.prune()
        with pytest.raises(CursorExpired) as told:
            [*history.subscribe(after=first, follow=False)]
        rest = [change.block.text for change in history.subscribe(after=told.value.start, follow=False)]
    assert rest == ["7", "8", "9"]


def test_of_a_killed_writer_a_stream_has_the_tokens_a_table_nothing_and_no_reader_is_told(tmp_path: Path) -> None:
    with server(tmp_path) as (_, port):
        killed(f"{HERE}:write_both", port, tmp_path, True)
        assert read(port, "0", 100) == [*TOKENS[:3]]  # and then it waits
        assert rows(tmp_path) == [("user", QUESTION)]
    with Follower(tmp_path / "chat.db") as follower:
        assert follower.ended() == "interrupted"
    assert stored(tmp_path / "chat.db")[1:] == [("assistant", PARTIAL, "interrupted")]


def test_the_stream_and_the_table_have_each_an_order_of_their_own(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        write_both(port, str(tmp_path), False)
        stream: Any = client.xrange(CONTEXT)
        assert "".join(fields["text"] for _, fields in stream) == ANSWER
        assert rows(tmp_path) == [("user", QUESTION), ("assistant", ANSWER)]  # nothing in common with the ids above
    with ChatStore(tmp_path / "chat.db") as store:
        changes = [*store.history(CONTEXT).subscribe(follow=False)]
    assert len({change.cursor for change in changes}) == len(changes)  # messages, tokens and runs under one


def test_a_stream_is_read_by_id_alone(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        client.xadd(CONTEXT, {"type": "status", "text": "Looking it up"})
        client.xadd(CONTEXT, {"type": "message", "text": ANSWER})
        assert read(port, "0", 2) == ["Looking it up", ANSWER]  # it is for the reader to leave out
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        history.append_status_message("Looking it up")
        history.append_assistant_message(ANSWER)
        given = [change.block.text for change in history.subscribe(kind="transcript", follow=False)]
    assert given == [ANSWER]


def test_as_it_is_set_by_default_a_killed_server_loses_what_it_had_acknowledged(tmp_path: Path) -> None:
    for options, left in (((), 0), (("--appendonly", "yes", "--appendfsync", "always"), 1)):
        directory = tmp_path / str(left)
        directory.mkdir()
        with server(directory, *options) as (client, _):
            client.xadd(CONTEXT, {"text": ANSWER})
        with server(directory, *options) as (client, _):
            assert client.xlen(CONTEXT) == left
    killed(f"{HERE}:append_and_die", tmp_path / "chat.db")
    assert [text for _, text, _ in stored(tmp_path / "chat.db")] == [ANSWER]


def append_and_die(path: str) -> None:
    ChatStore(path).history(CONTEXT).append_assistant_message(ANSWER)
    os.kill(os.getpid(), signal.SIGKILL)


def test_consumers_of_a_group_share_the_entries_and_subscribers_get_all(tmp_path: Path) -> None:
    with server(tmp_path) as (client, _):
        client.xgroup_create(CONTEXT, "workers", id="0", mkstream=True)
        for number in range(4):
            client.xadd(CONTEXT, {"text": str(number)})
        taken: Any = [client.xreadgroup("workers", name, {CONTEXT: ">"}, count=2) for name in ("one", "two")]
        assert [[fields["text"] for _, fields in each[0][1]] for each in taken] == [["0", "1"], ["2", "3"]]
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        for number in range(4):
            history.append_user_message(str(number))
        for _ in range(2):
            given = [change.block.text for change in history.subscribe(follow=False)]
            assert given == ["0", "1", "2", "3"]


def test_a_stream_is_written_over_a_socket_without_any_library_and_expires_by_itself(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain:
            plain.sendall(f"XADD {CONTEXT} * text hello\r\n".encode())
            assert plain.recv(100).startswith(b"$")
        assert read(port, "0", 1) == ["hello"]
        assert client.pexpire(CONTEXT, 1)
        deadline = time.monotonic() + DEADLINE
        while client.exists(CONTEXT):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_replica_has_the_stream_and_is_followed_like_the_original(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with (
        server(tmp_path / "first") as (client, port),
        server(tmp_path / "second", "--replicaof", f"127.0.0.1 {port}") as (_, other),
    ):
        client.xadd(CONTEXT, {"text": ANSWER})
        deadline = time.monotonic() + DEADLINE
        while not (tokens := read(other, "0", 1)):
            assert time.monotonic() < deadline
        assert tokens == [ANSWER]


async def test_redis_is_there_for_threads_and_event_loops(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        client.xadd(CONTEXT, {"text": ANSWER})
        async with AsyncRedis(port=port, decode_responses=True) as other:
            [_, fields], *_ = (await other.xread({CONTEXT: "0"}))[0][1]
            assert fields == {"text": ANSWER}
    async with AsyncChatStore(tmp_path / "chat.db") as store:
        await store.history(CONTEXT).append_assistant_message(ANSWER)
    assert [text for _, text, _ in stored(tmp_path / "chat.db")] == [ANSWER]


def test_one_entry_is_deleted_from_a_stream_and_of_a_history_the_whole_alone(tmp_path: Path) -> None:
    with server(tmp_path) as (client, port):
        ids: Any = [client.xadd(CONTEXT, {"text": text}) for text in ("one", "two", "three")]
        assert client.xdel(CONTEXT, ids[1]) == 1
        assert read(port, "0", 2) == ["one", "three"]
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history(CONTEXT)
        assert not {name for name in dir(history) if name.startswith(("delete", "remove", "pop"))}
        assert hasattr(history, "erase")
