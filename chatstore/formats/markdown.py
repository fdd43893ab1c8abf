"""A conversation as Markdown. What was said is quoted, line by line: no text of it can pass for a heading of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from chatstore.formats.shown import Shown, described, shown
from chatstore.model import Block

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_LINE_ENDS: Final = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def to_markdown(context_id: str, blocks: Iterable[Block]) -> Iterator[str]:
    """The conversation of one context: a heading, and each block with who said it, what and when. Pieces of text."""
    yield f"# {_plain(context_id)}\n"
    for one in shown(blocks):
        yield f"\n### {_plain(one.title)}\n\n*{one.at}*\n"
        if one.text:
            yield f"\n{_quoted(one)}\n"
        for part in one.parts:
            yield f"\n> {_plain(part.text if part.type == 'text' and part.text else f'[{described(part)}]')}\n"


def _quoted(one: Shown) -> str:
    lines = _LINE_ENDS.split(one.text)
    if one.code:
        longest = max((len(run) for run in re.findall(r"`+", one.text)), default=0)
        fence = "`" * max(3, longest + 1)
        lines = [fence, *lines, fence]
    return "\n".join(f"> {line}" if line else ">" for line in lines)


def _plain(text: str) -> str:
    """Text on one line in which no character is a mark."""
    return _MARKS.sub(r"\\\1", _LINE_ENDS.sub(" ", text))
