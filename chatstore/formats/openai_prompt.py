"""Blocks as the `messages` of an OpenAI chat-completions request.

The rules are those of https://platform.openai.com/docs/api-reference/chat/create, and what its endpoint refuses beyond
them: https://github.com/agno-agi/agno/issues/5382 (call ids over 40 characters).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeAlias

from chatstore.formats.exchanges import FAILED, Call, Exchange, exchanges
from chatstore.formats.openai_message import tool_call
from chatstore.formats.openai_parts import ReadBytes, to_item
from chatstore.formats.provider_media import IMAGES, PDF, Item, Render, items, loaded, nothing, reader, text_item
from chatstore.model import Block, JsonValue, Part

OpenAIMessage: TypeAlias = JsonValue
"""A message as OpenAI's package takes it: a dict. Its own types are not imported here."""

_NOT_IN_A_NAME = re.compile(r"[\s<|\\/>]")
_LONGEST_NAME = 64
_AUDIO = frozenset({"audio/wav", "audio/mpeg"})


def to_openai(blocks: Iterable[Block], read_bytes: ReadBytes | None = None) -> list[OpenAIMessage]:
    """The `messages` of a chat-completions request, for `client.chat.completions.create(messages=…)`.

    Takes what `get_messages(kind="prompt")` returns, or any other blocks in order. `read_bytes` is the store's, for
    images, audio and files that are kept as bytes. What is made of them keeps the rules of the API:

    - Every call is answered directly: a result that came later moves behind its call, one whose call is not among
      the blocks is left out, and a call without a result gets one that says so. Several results of one call are one.
    - A call id that came before in the request, or that is none for OpenAI, becomes the id of the call's block.
    - Text that was written until a stop is kept. An answer without any text, and reasoning, are left out.
    - Images in a function's result follow in a user message. A part that has no place is named in words.
    """
    render = partial(_item, read_bytes=reader(read_bytes))
    return [message for exchange in exchanges(blocks) for message in _messages(exchange, render)]


def _messages(exchange: Exchange, render: Render) -> Iterator[OpenAIMessage]:
    named = {} if exchange.author is None else {"name": _NOT_IN_A_NAME.sub("_", exchange.author)[:_LONGEST_NAME]}
    said = exchange.said
    if exchange.role != "assistant" and said is not None:
        found = items(said, render if exchange.role == "user" else nothing)
        yield {"role": exchange.role, "content": _content(found) or said.text, **named}
        return
    content = None if said is None else _content(items(said, nothing))
    if exchange.calls:
        calls = [_call(call) for call in exchange.calls]
        yield {"role": "assistant", "content": content, **named, "tool_calls": calls}
        yield from map(_result, exchange.calls)
        yield from _shown(exchange.calls, render)
    elif content is not None:
        yield {"role": "assistant", "content": content, **named}


def _call(call: Call) -> OpenAIMessage:
    """A call; one of a custom tool, as a recorder marks it, takes any text and not JSON alone."""
    if isinstance(call.block.data, dict) and call.block.data.get("custom") is True:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.block.text}}
    return tool_call(call.id, call.name, call.text)


def _result(call: Call) -> OpenAIMessage:
    content = _content([item for result in call.results for item in items(result, nothing)])
    return {"role": "tool", "tool_call_id": call.id, "content": content or (FAILED if call.is_error else "")}


def _shown(calls: Iterable[Call], render: Render) -> Iterator[OpenAIMessage]:
    """A user message with the images, audio and files of results, which tool messages cannot carry."""
    shown: list[Item] = []
    for call in calls:
        parts = (part for result in call.results for part in result.parts if part.type != "text")
        found = [item for item in map(render, parts) if item is not None]
        shown += [text_item(f"From the result of {call.name} ({call.id}):"), *found] if found else []
    if shown:
        yield {"role": "user", "content": shown}


def _content(found: list[Item]) -> str | list[Item] | None:
    """Items as the content of a message: text alone as a string."""
    if len(found) == 1 and found[0]["type"] == "text":
        return str(found[0]["text"])
    return found or None


def _item(part: Part, read_bytes: ReadBytes) -> Item | None:
    ready = loaded(part, read_bytes)
    if ready is None or not _is_taken(ready):
        return None
    if ready.type == "file":
        ready = ready.model_copy(update={"name": ready.name or ("file.pdf" if ready.mime_type == PDF else "file")})
    return to_item(ready, read_bytes)


def _is_taken(ready: Part) -> bool:
    if ready.content is None:
        return ready.type == "image"
    return ready.mime_type in {"image": IMAGES, "audio": _AUDIO}.get(ready.type, {ready.mime_type})
