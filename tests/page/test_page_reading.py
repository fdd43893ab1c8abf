"""Finding one's way through a conversation: kinds, links, keys, long histories, and what a screen reader hears."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from page_support import DEADLINE, Server, Writer, long_history, shows, until

from chatstore import ChatStore, Part

pytestmark = pytest.mark.slow

FOCUSED = "() => document.activeElement.dataset.block ?? document.activeElement.id"


def test_a_transcript_is_what_the_person_saw(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("kinds")
        history.append_system_message("Be brief")
        history.append_user_message("Question")
        history.append_assistant_message("To the other agent", internal=True)
        history.append_status_message("Working")
        history.append_assistant_message("Answer")
    page = visit(server, "kinds")
    shows(page, "Be brief", "Question", "To the other agent", "Answer")
    page.keyboard.press("t")
    shows(page, "Question", "Answer")
    with ChatStore(path) as store:
        history = store.history("kinds")
        history.append_assistant_message("Another to the agent", internal=True)
        history.append_user_message("Thanks")
    shows(page, "Question", "Answer", "Thanks")
    page.click("#kind-trace")
    shows(page, "Be brief", "Question", "To the other agent", "Answer", "Another to the agent", "Thanks")


def test_calls_and_results_are_folded_and_keep_their_numbers(visit: Any, server: Server, path: Path) -> None:
    text = '{"id": 12345678901234567890, "list": [1.0, 2.50]}'
    with ChatStore(path) as store:
        call = store.history("calls").append_function_call("look_up", text, author="agent")
        store.history("calls").append_function_result(text, call=call)
        store.history("calls").append_reasoning("I should look it up")
    page = visit(server, "calls")
    until(page, "() => document.querySelectorAll('details:not([open])').length", 3)
    for number in range(3):
        page.locator("summary").nth(number).click()
    until(page, "() => document.querySelectorAll('details[open]').length", 3)
    wholes = page.locator(".whole").all_inner_texts()
    assert "12345678901234567890" in wholes[0] and "2.50" in wholes[1]
    assert json.loads(wholes[0]) == json.loads(text)
    assert wholes[2] == "I should look it up"


def test_images_and_sounds_are_shown(visit: Any, server: Server, path: Path) -> None:
    dot = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8ffff3f0005fe02fea7"
        "3581840000000049454e44ae426082"
    )
    parts = [
        Part(type="image", mime_type="image/png", content=dot, name="dot.png"),
        Part(type="audio", mime_type="audio/wav", content=b"RIFF", name="a.wav"),
    ]
    with ChatStore(path) as store:
        store.history("../a b/🙂").append_user_message("look", parts=parts)
    page = visit(server, "../a b/🙂")
    until(page, "() => document.querySelector('article img')?.naturalWidth", 1)
    assert page.locator("article audio").count() == 1


def test_a_link_leads_to_its_block(visit: Any, server: Server, path: Path) -> None:
    ids = long_history(path, 4_000)
    page = visit(server, None)
    page.evaluate("given => { location.hash = new URLSearchParams({c: 'long', b: given}) }", ids[2001])
    page.wait_for_selector(f"#b-{ids[2001]}.marked")
    until(page, FOCUSED, ids[2001])
    assert page.locator(f"#b-{ids[2001]}").is_visible()
    assert page.locator("article").count() < 300
    page.keyboard.press("End")
    page.wait_for_selector(f"#b-{ids[-1]}")
    until(page, "() => document.querySelector('#latest').hidden")
    page.evaluate("given => { location.hash = new URLSearchParams({c: 'long', b: given}) }", ids[3_990])
    page.wait_for_selector(f"#b-{ids[3_990]}.marked")


@pytest.mark.parametrize("named", ["a block", "none"])
def test_a_link_that_is_followed_while_the_kind_changes_is_not_lost(
    visit: Any, server: Server, path: Path, named: str
) -> None:
    ids = long_history(path, 400)
    page = visit(server, "long")
    page.wait_for_selector(f"#b-{ids[-1]}")
    held: list[Any] = []
    page.route("**/messages?kind=transcript**", lambda route: route.continue_() if held else held.append(route))
    page.click("#kind-transcript")
    deadline = time.monotonic() + DEADLINE
    while not held:
        assert time.monotonic() < deadline
        page.wait_for_timeout(5)
    wanted = ids[248] if named == "a block" else ids[0].replace("-", "0")
    page.evaluate("given => { location.hash = new URLSearchParams({c: 'long', b: given}) }", wanted)
    held[0].continue_()
    until(page, "() => document.querySelectorAll('article:not(.from-user, .from-assistant)').length", 0)
    if named == "a block":
        page.wait_for_selector(f"#b-{wanted}.marked")
    else:
        page.wait_for_selector("#problem:not([hidden])")


def test_what_comes_while_one_reads_back_does_not_move_the_page(visit: Any, server: Server, path: Path) -> None:
    long_history(path, 400)
    page = visit(server, "long")
    page.wait_for_selector("article")
    page.evaluate("() => { document.querySelector('#scroller').scrollTop -= 1500 }")
    until(page, "() => !document.querySelector('#latest').hidden")
    place = """() => {
        const one = [...document.querySelectorAll('article')].find((one) => one.getBoundingClientRect().top > 80)
        return [one.id, Math.round(one.getBoundingClientRect().top)] }"""
    page.wait_for_timeout(100)
    before = page.evaluate(place)
    with Writer(path, "long") as writer:
        for number in range(5):
            writer.do("append_user_message", f"More {number}")
    until(page, "() => Number(document.querySelector('.amount').textContent.replace(/\\D/g, ''))", 405)
    assert page.evaluate(place) == before
    page.click("#latest")
    until(page, "() => [...document.querySelectorAll('article')].at(-1).textContent.includes('More 4')")


def test_everything_can_be_done_by_keyboard(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        for name in ("first", "second"):
            history = store.history(name)
            said = history.append_user_message(f"Hello {name}")
            call = history.append_function_call("look", {}, author="agent")
    page = visit(server)
    until(page, "() => document.querySelectorAll('a.row').length", 2)
    page.keyboard.press("/")
    until(page, FOCUSED, "filter")
    page.keyboard.type("second")
    until(page, "() => document.querySelectorAll('a.row').length", 1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    shows(page, "Hello second")
    page.keyboard.press("m")
    until(page, FOCUSED, "message")
    page.keyboard.type("jk / ?")
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    until(page, FOCUSED, said.id)
    page.keyboard.press("ArrowDown")
    until(page, FOCUSED, call.id)
    page.keyboard.press("Enter")
    until(page, "() => document.querySelector('details').open")
    page.keyboard.press("Escape")
    until(page, "() => document.activeElement.matches('a.row')")
    page.keyboard.press("?")
    page.wait_for_selector("dialog#help[open]")
    page.keyboard.press("Escape")
    until(page, "() => document.querySelector('#help').open", False)
    assert page.input_value("#message") == "jk / ?"


def test_a_screen_reader_hears_of_an_answer_and_not_of_its_tokens(visit: Any, server: Server, path: Path) -> None:
    page = visit(server, "spoken")
    page.wait_for_selector("#connection.live")
    page.evaluate(
        """() => { window.heard = []
            new MutationObserver(() => window.heard.push(document.querySelector('#said').textContent))
                .observe(document.querySelector('#said'), {childList: true, characterData: true, subtree: true}) }"""
    )
    with Writer(path, "spoken") as writer:
        writer.do("append_user_message", "Tell me")
        shows(page, "Tell me")
        writer.do("open")
        for number in range(20):
            writer.do("write", f"word{number} ")
        writer.do("close")
    until(page, "() => window.heard.at(-1)?.startsWith('writer: word0 word1')")
    assert page.evaluate("() => window.heard.length") <= 4
    assert page.evaluate("() => document.querySelector('#flow').closest('[aria-live]')") is None


def test_a_filter_by_key_finds_what_is_not_loaded(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        for number in range(150):
            store.history({"user": f"u{number}"}).append_user_message(f"Hello {number}")
    page = visit(server)
    until(page, "() => document.querySelectorAll('a.row').length >= 50")
    page.fill("#filter", "user:u3")
    until(page, "() => [...document.querySelectorAll('a.row .title')].some((one) => one.textContent === 'u3')")
    page.fill("#filter", "user:u149 hello")
    until(page, "() => document.querySelectorAll('a.row').length", 1)


def test_a_filter_finds_words_of_any_text_of_any_conversation(visit: Any, server: Server, path: Path) -> None:
    titles = "() => [...document.querySelectorAll('a.row .title')].map((one) => one.textContent)"
    note = "() => document.querySelector('#list-note').textContent"
    with ChatStore(path) as store:
        store.history("oldest").append_user_message("Where is the Needle?")
        for number in range(20):
            store.history("oldest").append_assistant_message(f"Not here {number}")
        for number in range(130):
            store.history(f"hay-{number}").append_user_message("Hay")
        store.history("tools").append_function_call("find", {"what": "a needle"})
        store.history("tools").append_assistant_message("Found")
    page = visit(server)
    until(page, "() => document.querySelectorAll('a.row').length >= 50")
    page.fill("#filter", "needle")
    until(page, note, "2 conversations")
    until(page, titles, ["tools", "oldest"])
    page.fill("#filter", "needle where")
    until(page, titles, ["oldest"])
    page.fill("#filter", "needle nowhere")
    until(page, note, "Nothing matches")
    with ChatStore(path) as store:
        store.history("hay-7").append_user_message("nowhere a needle")
        store.history("hay-7").append_user_message("Hay again")
    until(page, titles, ["hay-7"])


def test_a_search_of_texts_says_how_far_it_is_and_can_be_stopped(visit: Any, server: Server, path: Path) -> None:
    note = "() => document.querySelector('#list-note').textContent"
    with ChatStore(path) as store:
        for number in range(3):
            store.history(f"hay-{number}").append_user_message("Hay")
            store.history(f"hay-{number}").append_user_message("More hay")
    page = visit(server)
    page.route("**/messages?kind=trace*limit=*", lambda route: None)
    until(page, "() => document.querySelectorAll('a.row').length", 3)
    page.fill("#filter", "needle")
    until(page, note, "Nothing yet; texts of 0 of 3 readStop")
    page.click("#list-note button")
    until(page, note, "Nothing yet; texts of 0 of 3 readGo on")
    page.unroute("**/messages?kind=trace*limit=*")
    page.click("#list-note button")
    until(page, note, "Nothing matches")


def test_the_choice_of_colours_is_kept(visit: Any, server: Server) -> None:
    page = visit(server, color_scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    until(page, ground, "rgb(20, 22, 25)")
    page.click("#theme")
    until(page, ground, "rgb(250, 249, 247)")
    page.reload()
    until(page, ground, "rgb(250, 249, 247)")


def test_a_narrow_screen_shows_one_thing_at_a_time(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("phone").append_assistant_message("x" * 500 + "\n\n```\n" + "y" * 500 + "\n```", author="a" * 100)
    page = visit(server, raw=False, viewport={"width": 360, "height": 640})
    page.wait_for_selector("a.row")
    assert not page.is_visible("#main")
    page.click("a.row")
    page.wait_for_selector("article")
    assert not page.is_visible("#side")
    assert page.evaluate("() => document.scrollingElement.scrollWidth <= innerWidth")
    assert page.evaluate(
        "() => { const one = document.querySelector('#scroller'); return one.scrollWidth <= one.clientWidth }"
    )
    page.click("#back")
    page.wait_for_selector("a.row", state="visible")
