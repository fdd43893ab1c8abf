"""What is stored is shown, and none of it runs, loads or opens anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_support import Server, messages, until

from chatstore import ChatStore, Part, Tag

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

SVG = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(2)</script></svg>"
TEXTS = (
    "<script>alert('1')</script>",
    "<img src=x onerror=alert(1)><svg onload=alert(1)>",
    "[click](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) <javascript:alert(1)>",
    "![picture](https://evil.example/track.png) ![inline](data:image/svg+xml,<svg/onload=alert(1)>)",
    "<iframe src=javascript:alert(1)></iframe><a href='javascript:alert(1)'>x</a><style>*{display:none}</style>",
    "[good](https://good.example/a?b=c) and https://plain.example/x and <mail@good.example>",
    "[r]\n\n[r]: javascript:alert(1)\n\n```html\n<script>alert(1)</script>\n```\n\n| <b onclick=x>a |\n|---|\n| x |",
    "</div></article></main><script src=https://evil.example/x.js></script>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} \u202egnp.exe \0",
    SVG,
)
NAME = "<img src=x onerror=alert(1)>/../\"'&#"
PARTS = (
    Part(type="image", mime_type="image/svg+xml", content=SVG.encode(), name=NAME),
    Part(type="image", mime_type="image/png", content=SVG.encode(), name="no.png"),
    Part(type="file", mime_type="text/html", content=b"<script>alert(1)</script>", name="../../page.html"),
    Part(type="image", url="javascript:alert(1)", name="bad"),
    Part(type="image", url="https://evil.example/pixel.png", name="elsewhere"),
    Part(type="image", url="data:image/svg+xml;base64,PHN2Zy8+", name="inline"),
    Part(type="file", url="data:text/html,<script>alert(1)</script>", name="html"),
    Part(type="text", text=TEXTS[1]),
)


def fill(path: Path) -> str:
    """A conversation of nothing but attacks, in every field that takes text; its id."""
    with ChatStore(path) as store:
        history = store.history({NAME: NAME})
        history.tag_context(Tag(kind=NAME, name=NAME))
        for text in TEXTS:
            for role in ("user", "assistant", "system"):
                history.open_message(role=role, author=NAME, tags=[Tag(kind=NAME, name=NAME, value=text)]).close()
                with history.open_message(role=role, author=NAME) as block:
                    block.write(text)
            history.append_status_message(text, author=NAME)
            history.append_reasoning(text)
            call = history.append_function_call(NAME, {NAME: text}, author=NAME)
            history.append_function_result(text, call=call, is_error=True)
            history.append_function_call(NAME, text, author=NAME)
        history.append_assistant_message("parts", parts=PARTS)
        try:
            with history.run(), history.open_message() as block:
                block.write(TEXTS[0])
                raise ValueError(TEXTS[1])
        except ValueError:
            pass
        return history.context_id


def watched(page: Page, server: Server) -> dict[str, list[str]]:
    """What a page does that it should not: it fills while the page lives."""
    seen: dict[str, list[str]] = {"dialogs": [], "requests": [], "pages": []}
    page.on("dialog", lambda dialog: (seen["dialogs"].append(dialog.message), dialog.dismiss()))
    page.on("popup", lambda popup: seen["pages"].append(popup.url))

    def look(request: Any) -> None:
        if not request.url.startswith((f"http://localhost:{server.port}/", "blob:")):
            seen["requests"].append(request.url)

    page.on("request", look)
    return seen


WALK = """async () => {
    const scroller = document.querySelector('#scroller')
    const found = {links: {}, strange: {}, texts: {}}
    const strange = (one) => one.matches('script, iframe, object, embed, svg, style, link, base, meta')
        || one.matches('form:not(#composer, #gate-form)')
        || [...one.attributes].some(({name}) => name.startsWith('on') || name === 'srcdoc')
        || (one.hasAttribute('style') && !one.matches('.chunk'))
    const look = () => {
        for (const one of document.querySelectorAll('details')) one.open = true
        for (const one of document.querySelectorAll('body a')) found.links[one.href] = true
        for (const one of document.querySelectorAll('body *')) if (strange(one)) found.strange[one.outerHTML] = true
        for (const one of document.querySelectorAll('article.is-message'))
            found.texts[one.dataset.block] = one.querySelector('[data-text]').textContent
    }
    for (scroller.scrollTop = 0; ;) {
        for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame)
        look()
        const at = scroller.scrollTop
        scroller.scrollTop += scroller.clientHeight / 2
        if (scroller.scrollTop === at) return found
    }
}"""
"""Unfolds all of a conversation from the top down, and gathers what is on the page meanwhile."""


def test_nothing_of_what_is_stored_runs(visit: Any, server: Server, path: Path) -> None:
    context_id = fill(path)
    for raw in (False, True):
        page = visit(server, raw=raw)
        seen = watched(page, server)
        page.click("a.row")
        page.wait_for_selector("article.state-failed")
        found = page.evaluate(WALK)
        assert found["strange"] == {}
        own = f"http://localhost:{server.port}/"
        kept = {"https://good.example/a?b=c", "https://plain.example/x", "mailto:mail@good.example"}
        kept |= {f"https://evil.example/{name}" for name in ("pixel.png", "track.png", "x.js")}
        kept.add("http://www.w3.org/2000/svg")  # addresses in a text are links, if somebody follows them
        others = {link for link in found["links"] if not link.startswith(own)}
        assert others <= kept
        assert raw or others == kept
        assert seen == {"dialogs": [], "requests": [], "pages": []}
    stored = {block.id: block.text for block in messages(path, context_id) if block.type == "message"}
    assert found["texts"] == stored


def test_links_that_run_something_are_inert(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("links").append_assistant_message(TEXTS[2], parts=[PARTS[3], PARTS[6]])
    page = visit(server, "links", raw=False)
    seen = watched(page, server)
    page.wait_for_selector("article .text")
    for where in ("click", "data", "bad", "html"):
        page.get_by_text(where, exact=False).first.click()
    assert seen == {"dialogs": [], "requests": [], "pages": []}
    assert page.url.startswith(f"http://localhost:{server.port}/")


def test_files_are_downloaded_and_never_opened(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("files").append_user_message("look", parts=PARTS[:3])
    page = visit(server, "files")
    seen = watched(page, server)
    links = page.locator("a.file")
    until(page, "() => document.querySelectorAll('a.file').length", 2)
    for number in range(2):
        with page.expect_download() as download:
            links.nth(number).click()
        assert "/" not in download.value.suggested_filename
    assert seen == {"dialogs": [], "requests": [], "pages": []}


def test_links_of_answers_tell_the_other_page_nothing(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("links").append_assistant_message(TEXTS[5])
    page = visit(server, "links", raw=False)
    page.wait_for_selector(".prose a")
    found = page.evaluate("() => [...document.querySelectorAll('.prose a')].map((one) => [one.rel, one.target])")
    assert found == [["noopener noreferrer", "_blank"]] * 3


def test_without_a_token_the_page_says_how_to_open_it(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("secret").append_user_message("Only with a token")
    page = visit(server, "secret")
    page.wait_for_selector("article")
    page.context.clear_cookies()
    page.reload()
    page.wait_for_selector("dialog#gate[open]")
    assert "chatstore serve" in page.inner_text("#gate")
    assert page.locator("article").count() == 0
    page.fill("#gate-token", server.link)
    page.press("#gate-token", "Enter")
    page.wait_for_selector("article")
    assert not page.locator("dialog#gate[open]").count()


def test_a_token_that_only_reads_says_so_and_keeps_the_text(visit: Any, server: Server, path: Path) -> None:
    with ChatStore(path) as store:
        store.history("chat").append_user_message("Hello")
    page = visit(server)
    made = page.evaluate(
        """async () => (await (await fetch('tokens', {
            method: 'POST', headers: {'content-type': 'application/json'},
            body: JSON.stringify({context_id: 'chat', read: true, write: false, ttl: 600}),
        })).json()).token"""
    )
    page.goto(f"http://localhost:{server.port}/?token={made}")
    page.evaluate("() => { location.hash = 'c=chat' }")
    page.wait_for_selector("article")
    page.fill("#message", "May I?")
    page.press("#message", "Enter")
    page.wait_for_selector("#composer-note:not([hidden])")
    assert "not write" in page.inner_text("#composer-note")
    assert page.input_value("#message") == "May I?"
