"""Conversations as one page of HTML: complete in itself, without scripts, and everything from the store escaped.

It loads nothing: images that the store keeps are inside, addresses are shown as text, and the page forbids the rest.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from chatstore.formats.openai_parts import ReadBytes
from chatstore.formats.provider_media import IMAGES
from chatstore.formats.shown import Shown, described, shown
from chatstore.model import Block, Part

_ACTING: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_STYLE: Final = """
body { margin: 2rem auto; max-width: 50rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #222; }
section { margin: 0 0 4rem; }
article { margin: 0.8rem 0; padding: 0.5rem 0.9rem; border-radius: 0.5rem; background: #f3f3f3; }
article.said.user { background: #e4effc; }
article.thought, article.note { background: none; color: #666; }
article.call, article.result { border-left: 0.25rem solid #ccc; }
h1, .who, pre, p { unicode-bidi: isolate; overflow-wrap: anywhere; }
.who { font-weight: 600; }
time { color: #767676; font-size: 0.8rem; }
p, pre { white-space: pre-wrap; margin: 0.3rem 0; }
pre { font: 0.85rem/1.4 ui-monospace, monospace; }
img { max-width: 100%; }
"""
_HEAD: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Conversations</title>
<style>{_STYLE}</style>
</head>
<body>
"""


def to_html(conversations: Iterable[tuple[str, Iterable[Block]]], read_bytes: ReadBytes) -> Iterator[str]:
    """A page of conversations, each a context's id and its blocks, in pieces. `read_bytes` is the store's."""
    yield _HEAD
    for context_id, blocks in conversations:
        yield f'<section>\n<h1 dir="auto">{_safe(context_id)}</h1>\n'
        for one in shown(blocks):
            yield _article(one, read_bytes)
        yield "</section>\n"
    yield "</body>\n</html>\n"


def _article(one: Shown, read_bytes: ReadBytes) -> str:
    role = one.role if one.role in ("user", "assistant", "system", "developer", "tool") else "other"
    head = f'<span class="who" dir="auto">{_safe(one.title)}</span> <time>{one.at}</time>'
    element = "pre" if one.code else "p"
    text = f'<{element} dir="auto">{_safe(one.text)}</{element}>\n' if one.text else ""
    parts = "".join(f"{_part(part, read_bytes)}\n" for part in one.parts)
    if one.look == "thought":
        inner = f"<details><summary>{head}</summary>\n{text}{parts}</details>"
    else:
        inner = f"{head}\n{text}{parts}"
    return f'<article class="{one.look} {role}">{inner}</article>\n'


def _part(part: Part, read_bytes: ReadBytes) -> str:
    if part.type == "text" and part.text:
        return f'<p dir="auto">{_safe(part.text)}</p>'
    name = _safe(described(part))
    if part.digest is not None and part.type == "image" and part.mime_type in IMAGES:
        return f'<img alt="{name}" src="data:{part.mime_type};base64,{b64encode(read_bytes(part)).decode()}">'
    return f'<p dir="auto">[{name}]</p>'


def _safe(text: str) -> str:
    """Text that is text wherever it stands. Controls and marks that turn the direction of what follows are named."""
    return _ACTING.sub(lambda found: f"&lt;U+{ord(found[0]):04X}&gt;", escape(text))
