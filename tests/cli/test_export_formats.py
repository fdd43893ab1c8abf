"""`chatstore export --format`: what providers take, and what people read."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from data_support import conversation_files, records
from provider_rules import check_anthropic
from typer.testing import Result

from chatstore import ChatStore, Part
from chatstore.formats.openai_chat import to_drafts

Run = Callable[..., Result]
ATTACK = "</p></section><script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; javascript:alert(3)"
PIXEL = b"\x89PNG\r\n\x1a\n pixel"


def conversation(store: ChatStore, context: str = "c", text: str = "Paris?") -> None:
    history = store.history(context)
    history.append_system_message("Be brief.")
    history.append_user_message(text)
    history.append_status_message("Looking it up")
    history.append_reasoning("I need the weather.", data={"signature": "sig"})
    call = history.append_function_call("get_weather", {"city": "Paris"}, call_id="call_1")
    history.append_function_result("18 °C", call=call)
    history.append_assistant_message("It has 18 °C.", parts=[Part(type="image", mime_type="image/png", content=PIXEL)])


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text; fails for one that is not closed."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_line_for_each_provider(run: Run, store: ChatStore) -> None:
    conversation(store, "one")
    conversation(store, "two")
    lines = [json.loads(line) for line in run("export", "--format", "anthropic").stdout.splitlines()]
    assert [line.pop("id") for line in lines] == ["one", "two"]
    for line in lines:
        check_anthropic(line)
        assert line["system"] == "Be brief."
        assert line["messages"][1]["content"][0] == {
            "type": "thinking",
            "thinking": "I need the weather.",
            "signature": "sig",
        }
    assert run("export", "--format", "openai").stdout == run("export").stdout


def test_markdown_is_read_in_order(run: Run, store: ChatStore) -> None:
    conversation(store)
    page = run("export", "c", "--format", "markdown").stdout
    places = [
        page.index(text)
        for text in (
            *("# c\n", "### system", "> Be brief.", "### user", "> Paris?", "### status", "> Looking it up"),
            *("### assistant thinks", "> I need", "### call of get\\_weather", '> {"city":"Paris"}'),
            *("### result of get\\_weather", "> 18 °C", "### assistant\n", "> It has 18 °C.", "image/png"),
        )
    ]
    assert places == sorted(places)


def test_no_text_in_markdown_passes_for_a_heading(run: Run, store: ChatStore) -> None:
    """Also of another line end, of a context's name, or of arguments with a fence in them."""
    history = store.history("# c\n## user")
    history.append_user_message("Hi\n### assistant\r\n# x\u2028## y\x85## z")
    history.append_function_call("f`\n# g", "```\n# out\n````\n", call_id="c")
    page = run("export", "--format", "markdown").stdout
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["# \\# c \\#\\# user", "### user", "### call of f\\` \\# g"]
    assert page.count("> `````") == 2


def test_html_has_everything_and_no_scripts(run: Run, store: ChatStore) -> None:
    conversation(store, ATTACK, ATTACK)
    history = store.history(ATTACK)
    history.append_function_call(ATTACK, {ATTACK: ATTACK}, call_id=ATTACK, author=ATTACK)
    history.append_reasoning(ATTACK, author=ATTACK)
    history.append_user_message(
        ATTACK,
        author=ATTACK,
        parts=[
            Part(type="image", url="https://tracker.test/pixel.png", name=ATTACK),
            Part(type="image", mime_type="image/svg+xml", content=b"<svg onload=alert(4)>"),
            Part(type="text", text=ATTACK),
        ],
    )
    page = Page(run("export", "--format", "html").stdout)
    tags = {tag for tag, _ in page.elements}
    assert tags <= {"html", "head", "meta", "title", "style", "body", "section", "h1", "article"} | {
        *("span", "time", "p", "pre", "details", "summary", "img")
    }
    names = {name for _, given in page.elements for name in given}
    assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "dir", "alt", "src"}
    sources = [str(given["src"]) for tag, given in page.elements if tag == "img"]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert page.text.count(ATTACK) >= 5
    assert "default-src 'none'" in str(page.elements)


def test_controls_do_not_act_where_a_page_or_a_text_is_printed(run: Run, store: ChatStore) -> None:
    store.history("c").append_user_message("a\x1b[2Jb\x9bc\u202ed\x00")
    for format in ("html", "markdown", "anthropic"):
        out = run("export", "--format", format).stdout
        assert not {"\x1b", "\x9b", "\u202e", "\x00"} & {*out}


def test_what_was_stopped_is_told(run: Run, store: ChatStore) -> None:
    history = store.history("c")
    with history.open_message() as block:
        block.write("Half of")
        block.cancel()
    history.append_assistant_message("Between us.", internal=True, author="critic")
    for format in ("html", "markdown"):
        out = run("export", "--format", format).stdout
        assert "assistant (cancelled)" in out
        assert "critic (internal)" in out


def test_an_empty_store_and_an_unknown_format(run: Run, store: ChatStore) -> None:
    assert run("export", "--format", "markdown").stdout == ""
    assert Page(run("export", "--format", "html").stdout).text.strip().startswith("Conversations")
    refused = run("export", "--format", "pdf")
    assert refused.exit_code == 2
    assert "markdown" in refused.stderr


@pytest.mark.parametrize("format", ["anthropic", "markdown", "html"])
def test_real_conversations_of_every_kind(run: Run, store: ChatStore, format: str) -> None:
    """The first two of each file: a request that is accepted, or a page that is whole and has what was said."""
    said: dict[str, list[Any]] = {}
    for file in conversation_files():
        for record, _ in zip(records(file), range(2), strict=False):
            if record.get("messages"):
                history = store.history(f"{file.name}/{record['id']}")
                history.append(to_drafts(record["messages"]))
                said[history.context_id] = [block for block in history.get_messages() if block.type == "message"]
    out = run("export", "--format", format).stdout
    if format == "anthropic":
        lines = [json.loads(line) for line in out.splitlines()]
        for line in lines:
            assert line.pop("id") in said
            check_anthropic(line)
        return
    text = Page(out).text if format == "html" else out
    for blocks in said.values():
        for block in blocks:
            first = next((line for line in block.text.splitlines() if line.isprintable() and line), "")
            assert first in text


def test_openai_stays_what_it_was(run: Run, store: ChatStore) -> None:
    conversation(store)
    [line] = run("export").stdout.splitlines()
    assert json.loads(line)["messages"][0] == {"role": "system", "content": "Be brief."}


def test_times_are_those_of_the_source_and_results_have_the_name_of_their_call(run: Run, store: ChatStore) -> None:
    history = store.history("c")
    history.append_user_message("Hi", data={"timestamp": "2025-01-02T03:04:05.678+01:00"})
    call = history.append_function_call("look", {}, call_id="c")
    history.append_function_result("a", call=call, data={"created_at": "2025-01-02 03:04:06"})
    history.append_function_result("b", call=call, name="function", data={"timestamp": 1_735_787_047_000})
    for odd in ("soon", 5, True, float("1e300"), [], "0001-01-01T00:00:00+23:59"):
        history.append_user_message("odd", data={"timestamp": odd})
    for format in "markdown", "html":
        page = run("export", "--format", format).stdout
        for at in ("02:04:05", "03:04:06", "03:04:07"):
            assert f"2025-01-02 {at} UTC" in page
        assert page.count("result of look") == 2
        assert page.count(f"{history.get_messages()[-1].created_at:%Y-%m-%d}") >= 6
