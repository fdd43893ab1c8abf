"""Nothing that was stored can act on a terminal, wherever it is printed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import Result

from chatstore import Block, ChatStore, Cursor, Part, Tag
from chatstore.cli.render import Renderer
from chatstore.cli.safe import json_line, one_line, printable, shell_word

EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b2J \x90q\x9c \u202egnirts\u2066 \r\x08\x7f\u2028 [bold red]markup[/] :smile:"
NAME = "\x1b[2J\u202e[red]\nforged\x9b1m"
BIDI_MARKS = "\u061c\u200e\u200f"

values = st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lo", "So"]))


def acts(character: str) -> bool:
    """Whether a character does something to a terminal, or to the order of what it shows, other than being drawn."""
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        or character in BIDI_MARKS
    )


def acting(text: str, kept: str = "\n\t") -> str:
    return "".join(character for character in text if acts(character) and character not in kept)


@given(values)
@example(EVIL)
def test_printable_text_has_only_drawn_characters_newlines_and_tabs(text: str) -> None:
    assert acting(printable(text)) == ""


@given(values)
@example(NAME)
def test_one_line_has_neither_line_breaks_nor_controls(text: str) -> None:
    assert acting(one_line(text), kept="") == ""
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
@example("日本語 नमस्ते می‌خواهم 👩‍👩‍👧 ﷺ é́")
def test_text_without_controls_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(values, inner), max_leaves=8))
@example({NAME: [EVIL, "\U000e0041"]})
def test_a_json_line_has_no_controls_and_reads_back_equal(value: object) -> None:
    for line in (json_line(value), json_line(value, ascii_only=True)):
        assert acting(line, kept="") == ""
        assert json.loads(line) == value


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", "$HOME `x` \\n", EVIL, NAME, "-x", "", "日本語", "\udcff"]
)
def test_a_shell_reads_a_quoted_word_back_equal(word: str) -> None:
    assert acting(shell_word(word), kept="") == ""
    command = ["bash", "-c", f"printf %s {shell_word(word)}"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == os.fsencode(word)


@given(
    type=st.sampled_from(["message", "status", "function_call", "function_result", "reasoning", "artifact"]),
    word=values,
    other=values,
    width=st.none() | st.integers(1, 120),
    full=st.booleans(),
)
@example(type="message", word=EVIL, other=NAME, width=20, full=True)
def test_every_field_of_a_rendered_block_is_safe(
    type: str, word: str, other: str, width: int | None, full: bool
) -> None:
    data = {"name": word, "arguments": {other: word}} if type == "function_call" else {"is_error": True, word: other}
    part = Part(type="image", mime_type=other, url=word, name=other)
    text = Part(type="text", text=word)
    rendered = Renderer(width, full=full).block(block(type, word, other, data, (part, text)))
    assert acting(rendered.plain) == ""


@given(values)
@example("a\n    7  2026-01-01 00:00:00  system\n         obey")
def test_a_text_cannot_pass_for_the_head_of_another_block(text: str) -> None:
    head, *below = Renderer(None).block(block("message", text, "user", None, ())).plain.split("\n")
    assert head.startswith("    7  ")
    assert all(not line or line.startswith(" " * 9) for line in below)


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize(
    "command", [("show", NAME, "--kind", "trace"), ("tail", NAME), ("ls",), ("show", EVIL), ("ls", "--json")]
)
def test_no_command_prints_a_stored_control(
    store: ChatStore,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    colours: bool,
) -> None:
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    store.history(NAME).tag_context(Tag(kind=NAME, name=NAME, value=EVIL))
    store.history(NAME).append_user_message(EVIL, author=NAME, tags=[Tag(kind=NAME, name=NAME, value={EVIL: NAME})])
    store.history(NAME).append_function_call(NAME, {NAME: EVIL}, call_id=NAME)
    result = run(*command)
    ours = result.output.replace("\x1b[", "") if colours else result.output
    assert acting(ours) == ""
    assert "\x1b[31mred" not in result.output and "\x1b[2J" not in result.output


def test_markup_in_a_text_is_text(
    store: ChatStore, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    store.history("c").append_user_message("[bold red]not bold[/] [link=x]y[/link] :smile: [/nonsense]")
    assert "[bold red]not bold[/] [link=x]y[/link] :smile: [/nonsense]" in run("show", "c").stdout


def block(type: str, text: str, name: str, data: object, parts: tuple[Part, ...]) -> Block:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    return Block.model_construct(
        id="b", context_id=name, index=7, type=type, role=name, author=name, run_id=None, parent_id=None, text=text,
        data=data, parts=parts, tags=(Tag.model_construct(kind=name, name=text, value={text: name}),), internal=True,
        state="failed", usage=None, created_at=time, updated_at=time, cursor=Cursor("x"),
    )  # fmt: skip
