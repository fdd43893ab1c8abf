"""What messages of pydantic-ai hold, as blocks have it; and the messages themselves, kept to be had again.

The messages are stored as pydantic-ai writes them as JSON, in blocks of type `model_messages`. Text and bytes that
another block of the run has are left out there: in their place is which block that is.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any, ClassVar, Final

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput, UsageError
from chatstore.history import History
from chatstore.model import Block, JsonValue, Part, Tag
from chatstore.recorders.machine.script import as_json
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.media import part_type

_TEXT: Final = "$chatstore_text"
_BYTES: Final = "$chatstore_bytes"
_SHORT: Final = 32
"""Text below this many characters is cheaper to repeat than to point at."""
_ALWAYS: Final = ("input_tokens", "output_tokens")
_USAGE: Final = (
    *_ALWAYS,
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "cache_audio_read_tokens",
)
_WITH_TEXT: Final = ("message", "reasoning", "function_call", "function_result", "compaction", "model_messages")


def content_of(content: Any) -> tuple[str, list[Part]]:
    """Text and parts of what somebody says: text that it begins with is its text."""
    if isinstance(content, str):
        return content, []
    values = content if isinstance(content, (list, tuple)) else [content]
    known = [part for part in map(_part, values) if part is not None]
    if known and known[0].text is not None:
        return known[0].text, known[1:]
    return "", known


def _part(value: Any) -> Part | None:
    if isinstance(value, str):
        return Part(type="text", text=value)
    one = Lenient(value)
    if isinstance(one.data, bytes):
        return Part(type=part_type(one.media_type), mime_type=one.media_type, content=one.data, name=_name(one))
    if isinstance(one.url, str):
        kind = str(one.it.kind if hasattr(one.it, "kind") else "").replace("-", "/")  # as in image-url
        return Part(type=part_type(kind), url=one.url, name=_name(one))
    if isinstance(one.content, str):
        return Part(type="text", text=one.content)
    return None


def _name(one: Lenient) -> str | None:
    name = one._identifier  # that of the model's own making says nothing
    return name if isinstance(name, str) else None


def result_of(part: Lenient) -> tuple[str, JsonValue, list[Part]]:
    """What a tool gave: text, the value where it is no text, and its files."""
    value = part.content
    values = value if isinstance(value, list) else [value]
    files = [one for one in values if _is_file(one)]
    parts = [found for one in files if (found := _part(one)) is not None]
    others = [one for one in values if not _is_file(one)]
    rest = value if not files else others[0] if len(others) == 1 else others or None
    if rest is None or isinstance(rest, str):
        return rest or "", None, parts
    native = as_json(_plain(rest))
    return json.dumps(native, ensure_ascii=False), native, parts


def _plain(value: Any) -> Any:
    try:
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value, serialize_unknown=True)
    except ValueError:
        return str(value)


def _is_file(value: Any) -> bool:
    return not isinstance(value, (str, dict)) and (hasattr(value, "media_type") and hasattr(value, "kind"))


def usage_of(messages: Iterable[Any]) -> dict[str, JsonValue] | None:
    """What the answers of a model among these cost together. Those of agents that a tool has run are not theirs."""
    found: dict[str, int] = {}
    for message in each(messages):
        if message.kind != "ModelResponse":
            continue
        found["requests"] = found.get("requests", 0) + 1
        usage = Lenient(message.usage)
        for name in _USAGE:
            if isinstance(amount := getattr(usage, name), int) and (amount or name in _ALWAYS):
                found[name] = found.get(name, 0) + amount
    return {**found} or None


class Folded:
    """The messages of one run as they are stored: without what its blocks say already."""

    TYPE: ClassVar[str] = "model_messages"
    MESSAGES: ClassVar[str] = "messages"
    FIRST: ClassVar[Tag] = Tag(kind="model_messages", name="first")

    def __init__(self) -> None:
        self.texts: dict[str, JsonValue] = {}
        self._digests: set[str] = set()
        self._stored = 0

    def add(self, parts: Iterable[Part]) -> None:
        """Bytes that a block has."""
        self._digests |= {sha256(part.content).hexdigest() for part in parts if part.content is not None}

    def fresh(self, messages: list[Any]) -> tuple[list[JsonValue], bool]:
        """Those that were not stored yet, and whether they are the first."""
        first, new = self._stored == 0, messages[self._stored :]
        if not new:
            return [], False
        dumped = as_json(_adapter().dump_python(new, mode="json"))
        self._stored = len(messages)
        return [self._fold(one) for one in dumped], first

    def _fold(self, value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [self._fold(one) for one in value]
        if isinstance(value, dict):
            if value.get("kind") == "binary" and (digest := self._digest(value.get("data"))) is not None:
                return {**value, "data": {_BYTES: digest}}
            return {name: self._fold(one) for name, one in value.items()}
        if isinstance(value, str) and len(value) >= _SHORT and value in self.texts:
            return {_TEXT: self.texts[value]}
        return value

    def _digest(self, data: JsonValue) -> str | None:
        if not isinstance(data, str):
            return None
        digest = sha256(urlsafe_b64decode(data)).hexdigest()
        return digest if digest in self._digests else None


async def messages(history: AsyncHistory, *, last: int | None = None) -> list[Any]:
    """What the agent remembers, as pydantic-ai takes it as `message_history`: the very messages of the runs that were
    recorded here, run after run in the order in which they began. `last`: of so many runs at the end; of all, by
    default."""
    check_history(history, "messages")
    blocks = await _blocks(history, last)
    texts = {(block.run_id, _data(block).get("part")): block.text for block in blocks}
    digests = {part.digest for block in blocks for part in block.parts if part.digest is not None}
    found: list[JsonValue] = []
    for block in blocks:
        for message in _data(block).get(Folded.MESSAGES) or ():
            wanted = [digest for digest in _digests(message) if digest in digests]
            contents = {digest: await history._store.read_bytes(digest) for digest in wanted}
            found += [_unfold(message, block.run_id, texts, contents)]
    return list(_adapter().validate_json(json.dumps(found)))


def check_history(history: Any, taker: str) -> None:
    """Raises InvalidInput for what is no history of a store, and UsageError for one of the other face."""
    if isinstance(history, History):
        raise UsageError(f"pydantic-ai works in an event loop: {taker} takes a history of an AsyncChatStore")
    if not isinstance(history, AsyncHistory):
        raise InvalidInput(f"{taker} takes a history of a store, not {type(history).__name__}")


async def _blocks(history: AsyncHistory, last: int | None) -> list[Block]:
    """Run after run: what those said that went on at the same time lies between each other."""
    if last is None:
        of_run: dict[str | None, list[Block]] = {}
        for block in await history.get_messages(types=_WITH_TEXT):
            of_run.setdefault(block.run_id, []).append(block)
        runs = [*of_run.values()]
    else:
        firsts = await history.get_messages(types=[Folded.TYPE], tags=[Folded.FIRST], last=last)
        runs = [await history.get_messages(types=_WITH_TEXT, run=first.run_id) for first in firsts]
        runs.sort(key=lambda blocks: blocks[0].index)
    return [block for blocks in runs for block in blocks]


def _data(block: Block) -> dict[str, Any]:
    return block.data if isinstance(block.data, dict) else {}


def _adapter() -> Any:
    return import_module("pydantic_ai.messages").ModelMessagesTypeAdapter


def _digests(value: JsonValue) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _digests(one)
    elif isinstance(value, dict):
        if value.keys() == {_BYTES}:
            yield str(value[_BYTES])
        for one in value.values():
            yield from _digests(one)


def _unfold(value: JsonValue, run: str | None, texts: Mapping[Any, str], contents: Mapping[str, bytes]) -> JsonValue:
    if isinstance(value, list):
        return [_unfold(one, run, texts, contents) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_TEXT}:
        return texts[run, value[_TEXT]]
    if value.keys() == {_BYTES}:
        return urlsafe_b64encode(contents[str(value[_BYTES])]).decode()
    return {name: _unfold(one, run, texts, contents) for name, one in value.items()}
