"""A store at an address: how it is opened, what tokens reach, and what is not to be had over HTTP."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from held import locked
from http_support import Served, ServerProcess

from chatstore import (
    AsyncChatStore,
    BlockClosed,
    BlockDraft,
    BlockEnded,
    ChatStore,
    ChatStoreError,
    History,
    InvalidInput,
    Limits,
    Retain,
    RunInterrupted,
    StoreBusy,
    StoreClosed,
    StoreUnavailable,
    Subscription,
    UsageError,
)
from chatstore.remote import AsyncRemoteChatStore, RemoteChatStore
from chatstore.remote.answers import Patience, Sending
from chatstore.remote.core import about
from chatstore.remote.requesting import head
from chatstore.server import ServerLimits

PAGE = (Path(__file__).parents[2] / "docs" / "remote.md").read_text(encoding="utf-8")


def test_an_address_gives_a_store_of_the_same_kinds(served: Served) -> None:
    with ChatStore(served.url, token=served.token()) as remote:
        assert isinstance(remote, RemoteChatStore)
        assert isinstance(remote.history("c"), History)
        with remote.history("c").subscribe() as subscription:
            assert isinstance(subscription, Subscription)
            assert repr(subscription) == f"<RemoteSubscription at {subscription.cursor}>"
        assert repr(subscription) == "<RemoteSubscription ended>"
        assert remote.location == served.url
        assert remote.identity == served.store.identity
        assert "token" not in repr(remote)


async def test_an_address_gives_an_event_loop_one_too(served: Served) -> None:
    async with AsyncChatStore(served.url, token=served.token()) as remote:
        assert isinstance(remote, AsyncRemoteChatStore)
        assert await remote.history("c").count() == 0


async def test_a_subscription_that_nobody_has_asked_yet_ends_as_its_store_closes(served: Served) -> None:
    for opened in (True, False):
        remote = AsyncChatStore(served.url, token=served.token())
        subscriptions: list[Any] = [remote.history("c").subscribe(), remote.subscribe()]
        if opened:
            await remote.history("c").append_user_message("x")
        await remote.close()
        for subscription in subscriptions:
            assert [change async for change in subscription] == []
        with pytest.raises(StoreClosed):
            await anext(remote.history("c").subscribe())


@pytest.mark.slow
@pytest.mark.parametrize("face", [ChatStore, AsyncChatStore])
@pytest.mark.parametrize(
    "options",
    [
        {"retain": Retain(blocks=3)},
        {"limits": Limits(batch=3)},
        {"redact": str.upper},
        {"durability": "full"},
        {"wake": "poll"},
        {"lease": 3.0},
        {"listen_url": "postgresql://x/y"},
        {"busy_timeout": -1},
        {"token": "two\nlines"},
        {"token": 5},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_belong_to_the_served_store_are_refused(served: Served, face: Any, options: Any) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        face(served.url, **{"token": served.token(), **options})


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http://user:secret@host",
        "http://host/?q=1",
        "http://host/#f",
        "http://ho st",
        "http://host:x",
        "HTTPS://",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(InvalidInput, match="address") as refused:
        ChatStore(address)
    assert "secret" not in str(refused.value)


def test_a_token_is_for_addresses_alone(path: Path) -> None:
    with pytest.raises(InvalidInput, match="token="):
        ChatStore(path, token="x")
    with pytest.raises(InvalidInput, match="token="):
        AsyncChatStore(path, token="x")
    assert not path.exists()


def test_what_a_token_does_not_reach_is_refused(served: Served) -> None:
    for token in (None, "wrong"):
        with pytest.raises(UsageError, match="needs a token"):
            ChatStore(served.url, token=token)
    with ChatStore(served.url, token=served.token()) as owner:
        owner.history("own").append_user_message("x")
        owner.history("other").append_user_message("x")
    with ChatStore(served.url, token=served.token("own", read=True)) as reader:
        assert [block.text for block in reader.history("own").get_messages()] == ["x"]
        for refused in (
            lambda: reader.history("own").append_user_message("y"),
            lambda: reader.history("other").get_messages(),
            lambda: reader.history("own").erase(),
            lambda: next(reader.history("other").subscribe()),
            lambda: next(reader.subscribe()),
            reader.contexts,
            reader.check,
            reader.prune,
            reader.compact,
        ):
            with pytest.raises(UsageError, match="refused"):
                refused()


def test_upkeep_is_for_administrators_and_files_for_their_machine(served: Served, tmp_path: Path) -> None:
    with ChatStore(served.url, token=served.token()) as remote:
        with remote.history("c").open_message() as block:
            for place in range(5):
                block.write(f"{place} ")
                block.flush()
        told: list[tuple[int, int]] = []
        report = remote.check(progress=lambda done, total: told.append((done, total)))
        assert (report.histories, report.blocks, report.problems, told) == (1, 1, (), [(1, 1)])
        assert remote.compact() == 5
        assert remote.prune() == 0
        with pytest.raises(UsageError, match="chatstore backup"):
            remote.backup(tmp_path / "copy.db")
        with pytest.raises(UsageError, match="path is for stores that are files"):
            _ = remote.path


def test_long_histories_and_lists_of_contexts_come_whole(serve: Callable[..., Served]) -> None:
    served = serve(limits=ServerLimits(page=10))
    with ChatStore(served.url, token=served.token()) as remote:
        history = remote.history("c")
        history.append([BlockDraft(role="user", text=str(place)) for place in range(95)])
        for window, wanted in (
            ({}, range(95)),
            ({"limit": 42}, range(42)),
            ({"last": 42}, range(53, 95)),
            ({"limit": 0}, range(0)),
            ({"last": 0}, range(0)),
            ({"kind": "prompt"}, range(95)),
        ):
            assert [int(block.text) for block in history.get_messages(**window)] == [*wanted]  # type: ignore[arg-type]
        for place in range(25):
            remote.history(f"other {place:02}").append_user_message("x")
        assert len(remote.contexts()) == 26
        assert [context.context_id for context in remote.contexts(limit=12, newest_first=True)][-1] == "other 13"


def test_text_larger_than_a_request_is_sent_in_pieces(serve: Callable[..., Served]) -> None:
    served = serve(limits=ServerLimits(body_bytes=5_000))
    text = "".join(f"{place} 💬 \x01" for place in range(3_000))
    with ChatStore(served.url, token=served.token()) as remote:
        with remote.history("c").open_message() as block:
            block.write(text)
        with remote.history("c").open_message() as block:
            block.write(text)
            block.flush()
        with remote.history("c").run():
            remote.history("c").open_message().write(text)
        assert [block.text for block in remote.history("c").get_messages()] == [text] * 3


def test_a_write_that_raised_has_not_taken_its_text_over_http_either(serve: Callable[..., Served], path: Path) -> None:
    served = serve(store_options={"busy_timeout": 0.05})
    with ChatStore(served.url, token=served.token(), busy_timeout=0.1) as remote:
        writer = remote.history("c").open_message()
        text, refused, deadline = "", 0, time.monotonic() + 20
        with locked(path):
            while refused < 2 and time.monotonic() < deadline:
                try:
                    writer.write(f"{len(text)} ")
                except StoreBusy:
                    refused += 1
                else:
                    text += f"{len(text)} "
        assert refused == 2
        assert writer.close().text == text


def test_the_lease_of_what_is_open_is_renewed(serve: Callable[..., Served]) -> None:
    served = serve(limits=ServerLimits(lease=1.0))
    with ChatStore(served.url, token=served.token()) as remote:
        history = remote.history("c")
        with history.run() as run:
            block = history.open_message()
            assert [*history.subscribe(after="now", timeout=2)] == []
            block.write("still here")
            assert block.close().text == "still here"
        assert history.get_run(run.id).state == "completed"


def test_the_leases_of_more_than_one_request_names_are_renewed(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstore.remote.core._NAMED", 2)
    served = serve(limits=ServerLimits(lease=1.0))
    with ChatStore(served.url, token=served.token()) as remote:
        history = remote.history("c")
        with history.run(), history.run(), history.run():
            blocks = [history.open_message() for _ in range(5)]
            assert [*history.subscribe(after="now", timeout=2)] == []
            assert {block.close().state for block in blocks} == {"closed"}


def test_what_a_dead_writer_left_open_is_interrupted(serve: Callable[..., Served], path: Path) -> None:
    served = serve(limits=ServerLimits(lease=0.5))
    dead, other = (ChatStore(served.url, token=served.token()) for _ in range(2))
    with dead, other:
        block = dead.history("c").open_message()
        block.write("so far")
        block.flush()
        assert isinstance(dead._core, object)
        dead._open().flusher.close()  # its thread, and with it what tells the server that it lives
        with other.history("c").subscribe() as subscription:
            while not isinstance(change := next(subscription), BlockClosed):
                pass
        assert (change.block.text, change.block.state) == ("so far", "interrupted")
        with pytest.raises((RunInterrupted, BlockEnded)):
            block.close()


async def refused(face: Any, address: str) -> tuple[ChatStoreError, float]:
    """What opening a store raises, with its usual patience, and after how many seconds."""
    begun = time.monotonic()
    with pytest.raises((StoreUnavailable, UsageError)) as found:
        if face is ChatStore:
            await asyncio.to_thread(ChatStore, address, token="x")
        else:
            async with AsyncChatStore(address, token="x"):
                pass
    return found.value, time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("face", [ChatStore, AsyncChatStore])
async def test_an_address_that_looks_wrong_is_refused_soon_with_what_to_look_at(served: Served, face: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()[1]
    error, seconds = await refused(face, f"http://127.0.0.1:{nobody}")
    assert "cannot be reached: nothing listens there; is `chatstore serve` running" in str(error)
    assert isinstance(error, StoreUnavailable)
    assert error.retryable
    assert seconds < 10  # and not 30
    for address, why in (
        ("http://no.such.host.invalid:8000", "no host of that name is known"),
        (served.url.replace("http:", "https:"), "it does not speak https; is it http://?"),
    ):
        error, seconds = await refused(face, address)
        assert why in str(error)
        assert seconds < 10


def test_a_server_that_begins_to_listen_soon_is_waited_for() -> None:
    clock = [0.0]
    patience = Patience(30.0, lambda: clock[0], lambda: 1.0)
    sending = Sending(about(), patience, "there")
    pauses = []
    with pytest.raises(StoreUnavailable):
        while True:
            pauses.append(sending.failed(ConnectionRefusedError()))
            clock[0] += pauses[-1]
    assert sum(pauses) == pytest.approx(2.0)
    assert len(pauses) > 5


def test_what_is_open_is_waited_for_with_all_patience() -> None:
    clock = [0.0]
    sending = Sending(head("c"), Patience(30.0, lambda: clock[0], lambda: 1.0), "there")
    for error in (ConnectionRefusedError(), socket.gaierror(), ssl.SSLError()):
        clock[0] += sending.failed(error)
    clock[0] = 29.0
    assert sending.failed(ConnectionRefusedError()) > 0


def test_a_page_at_the_address_is_no_store(served: Served) -> None:
    with pytest.raises(UsageError, match="no chatstore"):
        about().read(b"<!doctype html>")


def test_something_else_at_the_address_is_no_store(served: Served) -> None:
    with pytest.raises(UsageError, match="refused"):
        ChatStore(f"{served.url}/nothing/here", token=served.token())


@pytest.mark.slow
def test_the_page_says_what_is_true(start: Callable[..., ServerProcess], capsys: pytest.CaptureFixture[str]) -> None:
    server = start()
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        code = block.replace("http://localhost:8000", server.url)
        assert code != block
        exec(compile(code, "remote.md", "exec"), {"token": server.token})
    assert capsys.readouterr().out.splitlines()[0] == "['What is the weather in Paris?', 'It is sunny.']"
