"""The page in a real browser: what another process writes is on it, as it comes and through every cut, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGKILL, Signals
from typing import TYPE_CHECKING, Any

import pytest
from page_support import Network, Server, Writer, messages, pieces, shows, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

CHAT = "support/42 🙂"


@pytest.fixture
def writer(path: Path, server: Server) -> Iterator[Writer]:
    """An agent in a process of its own."""
    with Writer(path, CHAT) as started:
        yield started


def shows_the_store(page: Page, path: Path) -> None:
    """Waits until the page shows what is stored, once."""
    shows(page, *(block.text for block in messages(path, CHAT) if block.type == "message"))


def write_some(writer: Writer, text: str, words: int = 10) -> str:
    """Writes on; the text by now."""
    for piece in pieces(words):
        writer.do("write", piece)
        text += piece
    return text


def test_tokens_appear_while_they_are_written(visit: Any, server: Server, writer: Writer, path: Path) -> None:
    writer.do("append_user_message", "How are you?")
    page = visit(server, CHAT)
    shows(page, "How are you?")
    writer.do("open")
    text = ""
    for piece in pieces(12):
        writer.do("write", piece)
        text += piece
        shows(page, "How are you?", text)
    assert page.locator("article.state-open").count() == 1
    writer.do("close")
    page.wait_for_selector("article.state-open", state="detached")
    shows_the_store(page, path)


def test_two_pages_follow_the_same_answer(visit: Any, server: Server, writer: Writer) -> None:
    pages = [visit(server, CHAT), visit(server, CHAT)]
    writer.do("open")
    text = write_some(writer, "")
    for page in pages:
        shows(page, text)


def test_a_reload_in_mid_answer_shows_it_whole(visit: Any, server: Server, writer: Writer, path: Path) -> None:
    page = visit(server, CHAT)
    writer.do("open")
    text = write_some(writer, "")
    shows(page, text)
    page.reload()
    shows(page, text)
    text = write_some(writer, text)
    shows(page, text)
    writer.do("close")
    shows_the_store(page, path)


@pytest.mark.parametrize("how", [SIGKILL, SIGINT])
def test_a_server_restarted_in_mid_answer(visit: Any, server: Server, writer: Writer, path: Path, how: Signals) -> None:
    page = visit(server, CHAT)
    writer.do("open")
    text = write_some(writer, "")
    shows(page, text)
    server.stop(how)
    page.wait_for_selector("#connection.reconnecting")
    text = write_some(writer, text)
    server.start()
    shows(page, text)
    page.wait_for_selector("#connection.live")
    writer.do("close")
    shows_the_store(page, path)


def test_a_network_cut_for_five_seconds(visit: Any, server: Server, writer: Writer, path: Path) -> None:
    with Network(server.port) as network:
        page = visit(server, CHAT, port=network.port)
        writer.do("open")
        text = write_some(writer, "")
        shows(page, text)
        network.cut()
        page.wait_for_selector("#connection.reconnecting")
        mending = threading.Timer(5, network.mend)
        mending.start()
        text = write_some(writer, text)
        shows(page, text)
        mending.join()
        writer.do("close")
        shows_the_store(page, path)


@pytest.mark.parametrize("jump", ["asleep for an hour", "silent for 41 seconds"])
def test_a_connection_that_died_without_a_word(
    visit: Any, server: Server, writer: Writer, path: Path, jump: str
) -> None:
    with Network(server.port) as network:
        page = visit(server, CHAT, port=network.port, clock=True)
        writer.do("open")
        text = write_some(writer, "")
        shows(page, text)
        network.fall_silent()
        text = write_some(writer, text)
        if jump == "asleep for an hour":
            page.clock.fast_forward("01:00:00")  # no timer runs meanwhile, as in sleep
        else:
            page.clock.run_for(41_000)
        # What is left of other dead connections may be tried first, each for a few seconds.
        shows(page, text, meanwhile=lambda: page.clock.run_for(1_000))
        writer.do("close")
        shows_the_store(page, path)


def test_offline_and_online_again(visit: Any, server: Server, writer: Writer) -> None:
    page = visit(server, CHAT)
    writer.do("open")
    text = write_some(writer, "")
    shows(page, text)
    page.context.set_offline(True)
    page.wait_for_selector("#connection.reconnecting")
    text = write_some(writer, text)
    page.context.set_offline(False)
    shows(page, text)


def test_a_tab_nobody_looks_at_gives_its_connections_back(visit: Any, server: Server, writer: Writer) -> None:
    look = """state => {
        Object.defineProperty(document, 'visibilityState', {value: state, configurable: true})
        document.dispatchEvent(new Event('visibilitychange'))
    }"""
    page = visit(server, CHAT, clock=True)
    writer.do("open")
    text = write_some(writer, "")
    shows(page, text)
    page.evaluate(look, "hidden")
    page.clock.run_for(21_000)
    page.wait_for_selector("#connection.paused")
    text = write_some(writer, text)
    page.evaluate(look, "visible")
    shows(page, text)
    page.wait_for_selector("#connection.live")


def test_the_stop_button_stops_the_writer(visit: Any, server: Server, writer: Writer, path: Path) -> None:
    page = visit(server, CHAT)
    writer.do("run")
    writer.do("open")
    writer.begin("stream", "on 🙂 ")
    page.click("#runs button.stop")
    assert writer.done() == "RunCancelled"
    page.wait_for_selector("#runs .ended-cancelled")
    page.wait_for_selector("article.state-cancelled")
    shows_the_store(page, path)


def test_a_message_is_stored_once_however_often_it_is_sent(
    visit: Any, server: Server, path: Path, writer: Writer
) -> None:
    page = visit(server, CHAT)
    lost: list[int] = []

    def lose_the_answer(route: Any) -> None:
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/messages", lose_the_answer, times=1)
    page.fill("#message", "Once, please 🙂")
    page.press("#message", "Enter")
    page.wait_for_selector("#composer-note:not([hidden])")
    assert lost == [201]
    assert page.input_value("#message") == "Once, please 🙂"
    page.click("#send")
    until(page, "() => document.querySelector('#message').value", "")
    page.fill("#message", "And another")
    page.click("#send")
    shows(page, "Once, please 🙂", "And another")
    shows_the_store(page, path)


def test_an_erased_conversation_says_so(visit: Any, server: Server, writer: Writer) -> None:
    writer.do("append_user_message", "Forget this")
    page = visit(server, CHAT)
    shows(page, "Forget this")
    writer.begin("erase")
    until(page, "() => document.querySelector('#note').textContent.includes('erased')")
    shows(page)
    until(page, "() => document.querySelectorAll('a.row').length", 0)


def test_the_list_is_live_and_newest_first(visit: Any, server: Server, path: Path) -> None:
    titles = "() => [...document.querySelectorAll('a.row .title')].map((one) => one.textContent)"
    page = visit(server)
    with Writer(path, "one") as one, Writer(path, "two") as two:
        one.do("append_user_message", "first")
        until(page, titles, ["one"])
        two.do("append_user_message", "second 🙂")
        until(page, titles, ["two", "one"])
        one.do("append_user_message", "third")
        until(page, titles, ["one", "two"])
        page.fill("#filter", "SECOND")
        until(page, titles, ["two"])
        page.fill("#filter", "nothing such")
        until(page, "() => document.querySelector('#list-note').textContent", "Nothing matches")
