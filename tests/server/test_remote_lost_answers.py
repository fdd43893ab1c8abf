"""Answers that are lost on their way: what was asked for is done once, and its caller is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from http_support import Served
from losing_proxy import LosingProxy

from chatstore import (
    AsyncChatStore,
    BlockAdded,
    BlockDraft,
    BlockUpdated,
    ChatStore,
    ContextErased,
    History,
    RunCancelled,
    StoreUnavailable,
    Tag,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(served: Served) -> Iterator[LosingProxy]:
    with LosingProxy(served.port) as between:
        yield between


@pytest.fixture
def remote(served: Served, proxy: LosingProxy) -> Iterator[ChatStore]:
    with ChatStore(proxy.url, token=served.token()) as opened:
        yield opened


def _open_and_close(history: History) -> None:
    with history.open_message() as block:
        block.write("grown")


def _run(history: History) -> None:
    with history.run():
        history.append_user_message("inside")


WRITES: dict[str, tuple[Callable[[History], object], list[str]]] = {
    "append": (lambda history: history.append_user_message("said"), ["said"]),
    "batch": (lambda history: history.append([BlockDraft(text="one"), BlockDraft(text="two")]), ["one", "two"]),
    "append by key": (lambda history: history.append_user_message("said", key="k"), ["said"]),
    "append to a head": (lambda history: history.append_user_message("said", expect=history.head()), ["said"]),
    "open block": (_open_and_close, ["grown"]),
    "run": (_run, ["inside"]),
    "submission": (
        lambda history: history._store.submit(lambda h, p: None, "asked", context=history.context_id).result(30),
        ["asked"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("lost", [1, 2, 5])
@pytest.mark.parametrize(("write", "texts"), WRITES.values(), ids=WRITES)
def test_what_is_written_is_stored_once(
    path: Path,
    remote: ChatStore,
    proxy: LosingProxy,
    write: Callable[[History], object],
    texts: list[str],
    lost: int,
) -> None:
    proxy.lose(lost)
    write(remote.history("c"))
    assert proxy.lost > 0
    with ChatStore(path) as beside:
        history = beside.history("c")
        assert [(block.text, block.state) for block in history.get_messages()] == [(text, "closed") for text in texts]
        assert all(run.state == "completed" for run in history.runs())
        assert len(history.runs()) <= 1


async def test_an_event_loop_stores_once_too(path: Path, served: Served, proxy: LosingProxy) -> None:
    async with AsyncChatStore(proxy.url, token=served.token()) as remote:
        history = remote.history("c")
        for place in range(20):
            proxy.lose(place % 3)
            await history.append_user_message(str(place))
        assert proxy.lost == 19
        assert [block.text for block in await history.get_messages()] == [str(place) for place in range(20)]


def test_text_that_was_acknowledged_to_nobody_is_stored_once(remote: ChatStore, proxy: LosingProxy) -> None:
    with remote.history("c").open_message() as block:
        for place in range(30):
            proxy.lose(place % 2)
            block.write(f"{place} ")
            block.flush()
    [stored] = remote.history("c").get_messages()
    assert stored.text == "".join(f"{place} " for place in range(30))


def test_tags_and_usage_come_through(remote: ChatStore, proxy: LosingProxy) -> None:
    history = remote.history("c")
    block = history.append_user_message("x")
    proxy.lose(1)
    assert history.tag(block, Tag(kind="k", name="n")).tags == (Tag(kind="k", name="n"),)
    proxy.lose(1)
    assert history.set_usage(block, {"tokens": 1}).usage == {"tokens": 1}
    proxy.lose(1)
    history.tag_context(Tag(kind="k", name="n"))
    changes = [type(change) for change in history.subscribe(follow=False)]
    assert changes == [BlockAdded, BlockUpdated, BlockUpdated]


def test_an_erasing_and_a_cancelling_whose_answers_are_lost_have_happened(
    remote: ChatStore, proxy: LosingProxy
) -> None:
    history = remote.history("c")
    with suppress(RunCancelled), history.run() as run:
        proxy.lose(1)
        assert history.cancel_run(run.id).state == "cancelled"
        proxy.lose(0)
        history.append_user_message("too late")
    proxy.lose(1)
    history.erase()
    with pytest.raises(ContextErased):
        history.count()


def test_an_answer_that_never_comes_is_an_error_in_the_end(served: Served, proxy: LosingProxy) -> None:
    with ChatStore(proxy.url, token=served.token(), busy_timeout=0.3) as remote:
        proxy.lose(1_000_000)
        with pytest.raises(StoreUnavailable) as away:
            remote.history("c").append_user_message("x")
        assert away.value.retryable
        proxy.lose(0)
        assert remote.history("c").append_user_message("y").text == "y"
