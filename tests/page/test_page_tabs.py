"""Many tabs of one browser: all are live, none takes from the others, and those that nobody looks at cost nothing."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_support import Server, Writer, shows, until

from chatstore import ChatStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

TABS = 9
HIDDEN = (
    "Object.defineProperty(document, 'visibilityState', {get: () => window.looked ?? 'hidden', configurable: true})"
)
LOOK = "() => { window.looked = 'visible'; document.dispatchEvent(new Event('visibilitychange')) }"
NO_SOCKETS = """window.WebSocket = class {
    constructor() { setTimeout(() => this.onclose?.({code: 1006})) }
    close() {}
}"""


def streams(server: Server) -> int:
    """How many streams the server has open."""
    token = server.link.partition("token=")[2]
    asked = urllib.request.Request(
        f"http://localhost:{server.port}/metrics", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        found = re.search(r"^chatstore_streams (\d+)", answer.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


def tab(page: Page, server: Server, context_id: str) -> Page:
    """One more tab of the same browser."""
    opened = page.context.new_page()
    opened.goto(f"http://localhost:{server.port}/#c={context_id}")
    return opened


def test_nine_tabs_of_one_browser_are_all_live(visit: Any, server: Server, path: Path) -> None:
    names = [f"chat-{number}" for number in range(TABS)]
    with ChatStore(path) as store:
        for name in names:
            store.history(name).append_user_message(f"Begun in {name}")
    first = visit(server, names[0])
    pages = [first, *(tab(first, server, name) for name in names[1:])]
    for name, page in zip(names, pages, strict=True):
        shows(page, f"Begun in {name}")
        page.wait_for_selector("#connection.live")
    with ChatStore(path) as store:
        for name in names:
            store.history(name).append_assistant_message(f"Answered in {name}")
    for name, page in zip(names, pages, strict=True):
        shows(page, f"Begun in {name}", f"Answered in {name}")
    for name, page in zip(names, pages, strict=True):
        page.fill("#message", "And one more")
        page.press("#message", "Enter")
        shows(page, f"Begun in {name}", f"Answered in {name}", "And one more")


def test_a_tab_opened_in_the_background_is_paused_until_it_is_looked_at(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("chat").append_user_message("Before")
    page = visit(server)
    page.wait_for_selector("#connection.live")
    before = streams(server)
    hidden = page.context.new_page()
    hidden.add_init_script(HIDDEN)
    hidden.goto(f"http://localhost:{server.port}/#c=chat")
    shows(hidden, "Before")
    hidden.wait_for_selector("#connection.paused")
    assert streams(server) == before
    with Writer(path, "chat") as writer:
        writer.do("append_user_message", "Meanwhile")
    hidden.evaluate(LOOK)
    shows(hidden, "Before", "Meanwhile")
    hidden.wait_for_selector("#connection.live")


def test_what_cannot_be_sent_is_said_and_kept(visit: Any, server: Server, path: Path) -> None:
    page = visit(server, "chat", clock=True)
    page.wait_for_selector("#connection.live")
    page.route("**/messages", lambda route: None)
    page.fill("#message", "Is anybody there?")
    page.press("#message", "Enter")
    until(page, "() => document.querySelector('#send').textContent", "Sending…")
    page.clock.run_for(21_000)
    page.wait_for_selector("#composer-note:not([hidden])")
    assert page.input_value("#message") == "Is anybody there?"
    page.unroute("**/messages")
    page.click("#send")
    shows(page, "Is anybody there?")


def test_a_page_behind_what_lets_no_web_socket_through_is_live_too(visit: Any, server: Server, path: Path) -> None:
    page = visit(server)
    page.add_init_script(NO_SOCKETS)
    page.goto(f"http://localhost:{server.port}/#c=chat")
    page.reload()
    page.wait_for_selector("#connection.live")
    with Writer(path, "chat") as writer:
        writer.do("append_user_message", "By events")
        shows(page, "By events")
        until(page, "() => [...document.querySelectorAll('a.row .title')].map((one) => one.textContent)", ["chat"])
