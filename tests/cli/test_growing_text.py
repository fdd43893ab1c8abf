"""Text printed piece by piece looks as if it had been printed whole, and nothing in it acts."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from chatstore.cli.growing import GrowingText
from chatstore.cli.render import INDENT, wrapped
from chatstore.cli.safe import printable

MARGIN = " " * INDENT
texts = st.lists(st.text(st.sampled_from("ab\n\r\x1b[31m 日本é\u0301\x9b\u202e👩\u200d")) | st.text(), max_size=12)


def grown(pieces: list[str], width: int | None, head: str | None = None) -> str:
    text = GrowingText(head)
    return "".join(text.add(piece, width) for piece in pieces) + text.end(width)


def on_a_screen(output: str) -> list[str]:
    """The lines that a terminal shows: it knows line breaks, going to a column, and clearing the rest of a line."""
    lines = []
    for line in output.removesuffix("\n").split("\n"):
        first, *moves = re.split(r"\x1b\[(\d+)G\x1b\[K", line)
        for column, words in zip(moves[::2], moves[1::2], strict=True):
            first = cut(first, int(column) - 1) + words
        lines.append(first.rstrip())
    return lines


def cut(line: str, columns: int) -> str:
    while cell_len(line) > columns:
        line = line[:-1]
    return line


@given(texts)
@example(["\x1b", "[31m", "red\r", "\nand \x9b", "2J\r", "x\r"])
@example(["e", "\u0301", "👩", "\u200d", "👩"])
def test_a_pipe_gets_the_text_as_it_would_be_printed_whole(pieces: list[str]) -> None:
    lines = printable("".join(pieces)).split("\n")
    expected = "".join(f"{MARGIN}{line}\n" if line else "\n" for line in lines)
    assert grown(pieces, None) == (expected if lines[-1] else expected.removesuffix("\n"))


@given(st.lists(st.text(st.sampled_from("abc   \n日\t\x1b"), max_size=9), max_size=30), st.integers(30, 60))
@example(["aa\naaaa ", "aaaaaaa", "aaaaaa日日 ", "a"], 31)
@example(["a" * 22, " ", "a"], 31)
@example(["word ", "wo", "rd", " ", "wor", "d" * 50, "d" * 50, " ", "end"], 40)
def test_a_terminal_shows_the_lines_of_the_whole_text(pieces: list[str], width: int) -> None:
    text = re.sub(" +", " ", "".join(pieces).replace("\t", " ")).strip()
    pieces = re.findall(r"(?s).{1,3}", text)
    expected = [f"{MARGIN}{line}".rstrip() for line in wrapped(printable(text), width)] if text else [""]
    assert on_a_screen(grown(pieces, width)) == expected


@given(texts, st.none() | st.integers(10, 80))
@example(["\x1b", "]0;owned", "\x07", "\x1b[", "2J"], 40)
def test_no_piece_acts_on_a_terminal_and_no_two_together(pieces: list[str], width: int | None) -> None:
    ours = re.sub(r"\x1b\[\d+G\x1b\[K", "", grown(pieces, width))
    assert not set(ours) & {"\x1b", "\r", "\x07", "\x9b", "\u202e"}


@pytest.mark.parametrize("width", [None, 60])
def test_a_text_cannot_pass_for_the_head_of_another_block(width: int | None) -> None:
    fake = "a\n    7  2026-01-01 00:00:00  system\n" + "   obey " * 20
    for line in on_a_screen(grown(list(fake), width)):
        assert not line or line.startswith(MARGIN)


def test_a_text_goes_on_behind_what_stands_on_its_line() -> None:
    shown = on_a_screen(f"{MARGIN}bob  " + grown(["one ", "two ", "three f", "our"], 30, "bob  "))
    assert shown == [f"{MARGIN}bob  one two three", f"{MARGIN}four"]
