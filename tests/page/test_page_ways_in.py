"""How somebody comes to the page: by links and tokens that hold, that do not, and that reach one conversation alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_support import DEADLINE, Server, environment, shows, until

from chatstore import ChatStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

NOTE = "() => document.querySelector('#list-note').textContent"


def token(path: Path, *arguments: str) -> str:
    """What `chatstore token` prints."""
    command = [sys.executable, "-P", "-m", "chatstore", "token", "--store", str(path), *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=True)
    return done.stdout.strip()


def fill(path: Path) -> str:
    """A conversation of one question and an answer; the answer's id."""
    with ChatStore(path) as store:
        store.history("chat").append_user_message("Hello")
        return store.history("chat").append_assistant_message("Hello yourself").id


def home(server: Server) -> str:
    """Where the page is."""
    return f"http://localhost:{server.port}/"


def leave(page: Page) -> None:
    """As somebody who was never here."""
    page.context.clear_cookies()


def test_a_link_that_does_not_hold_leads_to_the_gate_and_from_there_to_where_it_led(
    visit: Any, server: Server, path: Path
) -> None:
    fill(path)
    page = visit(server)
    leave(page)
    page.goto(f"{home(server)}?token=stale#c=chat")
    page.wait_for_selector("dialog#gate[open]")
    assert page.inner_text("#gate-title") == "That token does not hold"
    assert page.url == f"{home(server)}#c=chat"
    page.fill("#gate-token", "wrong again")
    page.press("#gate-token", "Enter")
    until(page, "() => document.querySelector('#gate-token').value", "")
    page.wait_for_selector("dialog#gate[open]")
    page.fill("#gate-token", server.link)
    page.press("#gate-token", "Enter")
    shows(page, "Hello", "Hello yourself")


def test_a_program_with_a_wrong_token_is_told_so_as_before(visit: Any, server: Server) -> None:
    page = visit(server)
    answer = page.request.get(f"{home(server)}?token=stale", headers={"accept": "*/*"}, max_redirects=0)
    assert answer.status == 401
    assert answer.json()["code"] == "unauthorized"


def test_who_closes_the_gate_is_not_told_that_there_is_nothing(visit: Any, server: Server, path: Path) -> None:
    fill(path)
    page = visit(server, "chat")
    shows(page, "Hello", "Hello yourself")
    leave(page)
    page.reload()
    page.wait_for_selector("dialog#gate[open]")
    page.keyboard.press("Escape")
    until(page, NOTE, "This page needs a token. Enter one")
    until(page, "() => document.querySelector('#note').textContent", "This page needs a token.")
    page.click("#list-note button")
    page.wait_for_selector("dialog#gate[open]")


@pytest.mark.parametrize("way", ["link", "gate"])
def test_a_token_of_one_conversation_opens_it(visit: Any, server: Server, path: Path, way: str) -> None:
    fill(path)
    page = visit(server)
    leave(page)
    made = token(path, "--context", "chat", "--read", "--write")
    if way == "link":
        page.goto(f"{home(server)}?token={made}")
    else:
        page.goto(f"{home(server)}?token=stale")
        page.wait_for_selector("dialog#gate[open]")
        page.fill("#gate-token", made)
        page.press("#gate-token", "Enter")
    shows(page, "Hello", "Hello yourself")
    until(page, NOTE, "This token opens a single conversation: follow the link to it.")
    page.wait_for_selector("#connection.live")
    page.fill("#message", "Goodbye")
    page.press("#message", "Enter")
    shows(page, "Hello", "Hello yourself", "Goodbye")


PROBLEM = "() => document.querySelector('#problem').hidden ? '' : document.querySelector('#problem').textContent"


@pytest.mark.parametrize("block", ["0197d2a0-0000-7000-8000-000000000000", "no id"])
def test_a_link_to_a_block_that_is_not_there_says_so_and_shows_the_rest(
    visit: Any, server: Server, path: Path, block: str
) -> None:
    answer = fill(path)
    page = visit(server)
    page.goto(f"{home(server)}#c=chat&b={block}")
    until(page, PROBLEM, "The block that the link names is not in this conversation.")
    shows(page, "Hello", "Hello yourself")
    page.goto(f"{home(server)}#c=chat&b={answer}")
    page.wait_for_selector(f"#b-{answer}.marked")
    page.goto(f"{home(server)}#c=chat&b={block}9")
    until(page, PROBLEM, "The block that the link names is not in this conversation.")
    shows(page, "Hello", "Hello yourself")


def test_a_link_to_a_block_that_the_transcript_leaves_out_says_where_it_is(
    visit: Any, server: Server, path: Path
) -> None:
    fill(path)
    with ChatStore(path) as store:
        status = store.history("chat").append_status_message("Looking it up").id
    page = visit(server)
    page.click("a.row")
    page.wait_for_selector("article")
    page.click("#kind-transcript")
    until(page, "() => document.querySelector('#scroller').textContent.includes('Looking it up')", False)
    page.goto(f"{home(server)}#c=chat&b={status}")
    until(page, PROBLEM, "The block that the link names is not part of the transcript; the trace shows it.")


def test_previews_and_lists_of_tasks_are_shown_without_their_marks(visit: Any, server: Server, path: Path) -> None:
    text = "A *long* and **bold** [link](https://a.example) of `code` ~~no~~\n\n- [ ] todo\n- [x] done\n- [no] box"
    with ChatStore(path) as store:
        store.history("marks").append_assistant_message(text)
        store.history("person").append_user_message("2 * 3 * 4 = [24]")
    page = visit(server, "marks", raw=False)
    until(
        page,
        "() => [...document.querySelectorAll('a.row .last')].map((one) => one.textContent)",
        ["user: 2 * 3 * 4 = [24]", "assistant: A long and bold link of code no ☐ todo ☑ done [no] box"],
    )
    items = "() => [...document.querySelectorAll('.prose li')].map((one) => one.textContent.trim())"
    until(page, items, ["☐ todo", "☑ done", "[no] box"])
