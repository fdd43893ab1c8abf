"""The items of OpenAI's Agents SDK, and the blocks that they are.

They are those of the Responses API as it takes them in: dicts, whose messages need not name their type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatstore.checks import json_text, parsed_json
from chatstore.errors import ChatStoreError
from chatstore.formats.openai_parts import audio_part, data_url
from chatstore.model import JsonValue, Part
from chatstore.recorders.machine.script import Put
from chatstore.recorders.shared.provider_events import known, member
from chatstore.recorders.shared.response_items import base64_bytes, result_of, said_by

_FAKE_ID: Final = "__fake_id__"
"""What the package gives as the id of items that come from models of other interfaces."""
_CONTENTS: Final = {"input_image": "image_url", "input_file": "file_data"}
_KINDS: Final = {"input_image": "image", "input_file": "file"}


def type_of(item: Any) -> str:
    """The type of an item, also of a message that does not name it."""
    named = member(item, "type")
    return named if isinstance(named, str) else "message"


def id_of(item: Any) -> str | None:
    """The id that a server gave to an item."""
    found = member(item, "id")
    return found if isinstance(found, str) and found != _FAKE_ID else None


def call_id_of(item: Any) -> str | None:
    """What a call and its result are found by."""
    found = member(item, "call_id")
    return found if isinstance(found, str) else None


def is_input(item: Any) -> bool:
    """Whether it was said to the model, by a person or by the application."""
    return type_of(item) == "message" and member(item, "role") != "assistant"


def text_of(item: Any) -> str:
    """What an item says."""
    return "\n".join(put.text for put in shown_by(item))


def shown_by(item: Any) -> Iterator[Put]:
    """The blocks of a whole item; the result of a call may stand behind it."""
    content = member(item, "content")
    if type_of(item) == "message" and (is_input(item) or isinstance(content, str)):
        yield _message(item, content)
        return
    for said in said_by(item):
        if said.text or said.parts or said.begins or said.keep:
            data = said.data
            if said.type == "function_call":
                data = {**data, "arguments": parsed_json(said.text or "", 100)}
            yield _put(said.type, "assistant", said.text or "", data, said.parts)
    if (result := result_of(item)) is not None:
        yield _put("function_result", "tool", result.text, result.data)


def _message(item: Any, content: Any) -> Put:
    texts, parts, files = [], [], []
    for one in [content] if isinstance(content, str) else content or ():
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(text := member(one, "text"), str):
            texts.append(text)
        elif (part := _part(one)) is not None:
            parts.append(part)
        else:
            files.append(member(one, "file_id"))
    data = known(message_id=id_of(item), file_ids=[id for id in files if id] or None)
    return _put("message", str(member(item, "role") or "user"), "\n".join(texts), data or None, parts)


def _part(content: Any) -> Part | None:
    kind: Any = member(content, "type")
    if kind == "input_audio":
        audio = member(content, "input_audio")
        return audio_part(member(audio, "data"), member(audio, "format"))
    if kind not in _KINDS:
        return None
    name, given = member(content, "filename"), member(content, _CONTENTS[kind])
    url = given if given is not None else member(content, "file_url")
    if not isinstance(url, str) or not url:
        return None
    named: Any = {"type": _KINDS[kind], "name": name if isinstance(name, str) and name else None}
    type, encoded = data_url(url) or (None, url if kind == "input_file" and given is not None else "")
    if encoded and (held := base64_bytes(encoded)) is not None:
        return Part(mime_type=type, content=held, **named)
    return Part(url=url, **named)


def _put(type: str, role: str, text: str, data: JsonValue = None, parts: Any = ()) -> Put:
    return Put(type, role=role, text=clean(text), data=storable(data), parts=parts)


def clean(text: str) -> str:
    """Text as a store takes it: what is no character is replaced by the sign for that."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if text else text


def is_storable(value: JsonValue) -> bool:
    """Whether a store takes it as JSON."""
    try:
        json_text(value, "an item")
    except ChatStoreError:
        return False
    return True


def storable(value: JsonValue) -> JsonValue:
    """JSON as a store takes it; of what it does not take, that which it does."""
    if value is None or is_storable(value):
        return value
    if isinstance(value, Mapping):
        return {clean(str(name)): storable(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(one) for one in value]
    return clean(str(value))
