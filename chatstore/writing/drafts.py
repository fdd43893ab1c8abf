"""From a caller's drafts to checked ones, before anything waits for the database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import TypedDict

from pydantic import BaseModel, ValidationError

from chatstore import checks, ids
from chatstore.errors import InvalidInput
from chatstore.kinds import speaker_of, views_of
from chatstore.limits import DEFAULT, Limits, exceeded
from chatstore.model import Block, BlockDraft, JsonValue, Part, Tag
from chatstore.operations.appending import NewBlock
from chatstore.operations.transaction import ContextRef
from chatstore.redaction import Redact, redacted, redacted_json

_NAMES_OF_CALLS = ("name", "call_id")
"""The fields of `data` by which a result finds its call. They are names and no text, and so are never redacted."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a store takes what is written: up to which limits, and by what its text is redacted."""

    limits: Limits = DEFAULT
    redact: Redact | None = None


RULES = Rules()


def rules(limits: Limits, redact: Redact | None) -> Rules:
    """The rules of a store that is opened with these parameters: RULES itself where nothing was chosen."""
    if not isinstance(limits, Limits):
        raise InvalidInput(f"limits= takes Limits, not {type(limits).__name__}")
    if redact is not None and not callable(redact):
        raise InvalidInput(f"redact= takes a function of a str, not {type(redact).__name__}")
    if checks.is_coroutine(redact):
        raise InvalidInput("redact= is a coroutine function, which nobody would await; it takes a plain one")
    return RULES if limits == DEFAULT and redact is None else Rules(limits, redact)


@dataclass(frozen=True, slots=True)
class RuledContext(ContextRef):
    """A context of a store that has rules of its own."""

    rules: Rules = RULES


def rules_of(context: ContextRef) -> Rules:
    """How what is written into a context is taken."""
    return context.rules if isinstance(context, RuledContext) else RULES


class BlockOptions(TypedDict, total=False):
    """What every `append_…` method takes beside its text; the fields of BlockDraft."""

    author: str | None
    tags: Sequence[Tag]
    data: JsonValue
    parts: Sequence[Part]
    internal: bool
    parent: Block | BlockDraft | str | None
    run_id: str | None
    usage: Mapping[str, JsonValue] | None


def draft(type: str, role: str | None, text: str, options: BlockOptions) -> BlockDraft:
    """The draft of a named method. Raises InvalidInput where a field has the wrong type."""
    checks.options(options, BlockOptions.__annotations__)
    try:
        return BlockDraft(type=type, role=role, text=checks.text(text, "text"), **options)
    except ValidationError as error:
        raise _invalid(error) from None


def function_call(
    name: str, arguments: JsonValue, call_id: str | None, options: BlockOptions, limits: Limits = DEFAULT
) -> BlockDraft:
    """A function call. Arguments given as a string are kept as the model wrote them and parsed where they parse."""
    if isinstance(arguments, str):
        text, parsed = arguments, checks.parsed_json(arguments, limits.depth)
    else:
        text, parsed = checks.json_text(arguments, "the arguments", limits.depth), arguments
    data = {
        "name": checks.name(name, "the function's name"),
        "arguments": parsed,
        "call_id": None if call_id is None else checks.name(call_id, "call_id"),
    }
    return draft("function_call", "assistant", text, {**options, "data": _beside(options, data)})


def function_result(
    text: str,
    call: Block | BlockDraft | str | None,
    call_id: str | None,
    name: str | None,
    is_error: bool,
    options: BlockOptions,
) -> BlockDraft:
    """The result of a function call; what names the call is taken from it where it is given whole."""
    known = call.data if isinstance(call, (Block, BlockDraft)) and isinstance(call.data, dict) else {}
    data = {
        "call_id": known.get("call_id") if call_id is None else checks.name(call_id, "call_id"),
        "name": known.get("name") if name is None else checks.name(name, "the function's name"),
        "is_error": bool(is_error),
    }
    if call is not None:
        options = {**options, "parent": call}
    return draft("function_result", "tool", text, {**options, "data": _beside(options, data)})


def check(drafts: Iterable[BlockDraft], rules: Rules = RULES) -> list[NewBlock]:
    """The drafts of one append, checked. Raises an InvalidInput that says which field of which draft is wrong."""
    if isinstance(drafts, (str, Mapping, BaseModel)) or not isinstance(drafts, Iterable):
        raise _no_draft(drafts)
    given = list(drafts)
    if len(given) > rules.limits.batch:
        raise exceeded(f"{len(given):,} blocks in one append", "batch", rules.limits.batch)
    places: dict[int, int] = {}
    checked = []
    for place, one in enumerate(given):
        if not isinstance(one, BlockDraft):
            raise _no_draft(one)
        new = _check(one, places, rules.limits)
        if rules.redact is not None:
            # Checked before, so that a redactor is given what is right, and after: what it makes is a caller's, too,
            # and may be too long.
            new = _check(_redacted(one, rules.redact, rules.limits.depth), places, rules.limits)
        checked.append(new)
        # By identity: two drafts that are equal are two blocks.
        places[id(one)] = place
    return checked


def _no_draft(given: object) -> InvalidInput:
    refused = f"append takes one or several BlockDraft, not {type(given).__name__}"
    if isinstance(given, str):
        return InvalidInput(f"{refused}; append_user_message and append_assistant_message take a text")
    if isinstance(given, Mapping):
        return InvalidInput(f"{refused}; BlockDraft(role=…, text=…) makes one")
    return InvalidInput(refused)


def digest(blocks: Iterable[NewBlock]) -> bytes:
    """A digest of the content of an append, equal for equal content: what a key stands for."""
    summed = blake2b(digest_size=16)
    for new in blocks:
        parent = new.parent.hex() if isinstance(new.parent, bytes) else new.parent
        fields = (new.type, new.role, new.author, new.run_id, parent, new.text, new.data, new.parts, new.tags)
        # As JSON, which keeps None, numbers and texts apart, and where one field ends.
        summed.update(json.dumps([*fields, new.internal, new.usage]).encode())
    return summed.digest()


def tags_json(tags: Sequence[Tag], limits: Limits = DEFAULT) -> str | None:
    """Tags as JSON, checked; of several with one kind and name the last holds."""
    if isinstance(tags, (str, Tag)) or not all(isinstance(tag, Tag) for tag in tags):
        raise InvalidInput("tags= takes a list of Tag")
    if len(tags) > limits.tags:
        raise exceeded(f"{len(tags):,} tags on one block or history", "tags", limits.tags)
    kept = {(tag.kind, tag.name): tag for tag in tags}
    for kind, name in kept:
        checks.name(kind, "a tag's kind", limit=limits.name)
        checks.name(name, "a tag's name", limit=limits.name)
    return checks.json_text([tag.model_dump() for tag in kept.values()], "the tags", limits.depth) if kept else None


def redacted_tags(tags: Sequence[Tag], redact: Redact) -> list[Tag]:
    """Tags with their values redacted."""
    return [tag.model_copy(update={"value": redacted_json(redact, tag.value)}) for tag in tags]


def _redacted(one: BlockDraft, redact: Redact, depth: int) -> BlockDraft:
    """A draft, checked before, as it may be stored."""
    text, data = redacted(redact, one.text), redacted_json(redact, one.data)
    if one.type in ("function_call", "function_result") and isinstance(data, dict):
        data |= {name: one.data[name] for name in _NAMES_OF_CALLS if name in one.data}
        if "arguments" in data and one.text == checks.json_text(one.data["arguments"], "the arguments", depth):
            text = checks.json_text(data["arguments"], "the arguments", depth)  # it was made of them, and stays JSON
    parts = [part.model_copy(update=_redacted_part(part, redact)) for part in one.parts]
    return one.model_copy(update={"text": text, "data": data, "parts": parts, "tags": redacted_tags(one.tags, redact)})


def _redacted_part(part: Part, redact: Redact) -> dict[str, str]:
    """Its text and its address; bytes, and addresses that are bytes, are as they are."""
    found = {"text": part.text, "url": None if part.url is not None and part.url.startswith("data:") else part.url}
    return {field: redacted(redact, value) for field, value in found.items() if value is not None}


def _check(one: BlockDraft, places: Mapping[int, int], limits: Limits) -> NewBlock:
    parent, check_parent = _parent(one.parent, places)
    parts, blobs = _parts(one.parts, limits) if one.parts else (None, ())
    views, speaker = _place_among_kinds(one.type, one.role, one.internal, limits.name)
    new = NewBlock(
        type=one.type,
        role=one.role,
        author=None if one.author is None else checks.name(one.author, "the author", limit=limits.name),
        run_id=None if one.run_id is None else checks.name(one.run_id, "the run", limit=limits.name),
        parent=parent,
        check_parent=check_parent,
        text=checks.text(one.text, "text"),
        data=None if one.data is None else checks.json_text(one.data, "data", limits.depth),
        parts=parts,
        tags=tags_json(one.tags, limits) if one.tags else None,
        internal=one.internal,
        views=views,
        speaker=speaker,
        usage=None if one.usage is None else checks.json_text(dict(one.usage), "usage", limits.depth),
        tag_names=tuple({(tag.kind, tag.name): None for tag in one.tags}) if one.tags else (),
        blobs=blobs,
    )
    texts = (new.text, new.data, new.parts, new.tags, new.usage)
    checks.size(texts, "a block", limits.block_bytes, " (put large content into parts)")
    return new


@lru_cache(maxsize=1024)
def _place_among_kinds(type: str, role: str | None, internal: bool, limit: int) -> tuple[int, int | None]:
    """The views and the speaker of a block, once its type and role are found to be right."""
    _lower(type, "the type", limit)
    if role is not None:
        checks.name(role, "the role", limit=limit)
    return views_of(type, role, internal), speaker_of(type, role, internal)


def _parent(parent: Block | BlockDraft | str | None, places: Mapping[int, int]) -> tuple[bytes | int | None, bool]:
    if parent is None:
        return None, False
    if isinstance(parent, BlockDraft):
        if id(parent) not in places:
            raise InvalidInput("a draft as parent has to stand earlier in the same append")
        return places[id(parent)], False
    return ids.id_bytes(parent.id if isinstance(parent, Block) else parent), True


def _parts(parts: Sequence[Part], limits: Limits) -> tuple[str | None, tuple[tuple[bytes, bytes], ...]]:
    if len(parts) > limits.parts:
        raise exceeded(f"{len(parts):,} parts of one block", "parts", limits.parts)
    rows, blobs = [], []
    for part in parts:
        _check_part(part, limits)
        row = part.model_dump(exclude={"content"}, exclude_none=True)
        if part.content is not None:
            digest = sha256(part.content).digest()
            row |= {"digest": digest.hex(), "size": len(part.content)}
            blobs.append((digest, part.content))
        rows.append(row)
    return checks.json_text(rows, "the parts") if rows else None, tuple(blobs)


def _check_part(part: Part, limits: Limits) -> None:
    for what in ("mime_type", "name"):
        if (value := getattr(part, what)) is not None:
            checks.name(value, f"a part's {what}", limit=limits.name)
    given = [what for what in ("text", "url", "content") if getattr(part, what) is not None]
    if given != ["text"] if part.type == "text" else given not in (["url"], ["content"]):
        raise InvalidInput(f"a part of type {part.type} takes {'text' if part.type == 'text' else 'url or content'}")
    if part.digest is not None or part.size is not None:
        raise InvalidInput("digest and size of a part are given by the store; pass its bytes as content")
    if part.content is not None and len(part.content) > limits.block_bytes:
        raise exceeded(f"a part of {len(part.content):,} bytes", "block_bytes", limits.block_bytes)


def _lower(value: str, what: str, limit: int) -> str:
    checked = checks.name(value, what, limit=limit)
    if checked != checked.lower():
        raise InvalidInput(f"{what} {checked!r} is not lower case")
    return checked


def _beside(options: BlockOptions, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The named fields of `data`, with the caller's own beside them."""
    own = options.get("data")
    if own is not None and not isinstance(own, dict):
        raise InvalidInput("data= beside a function call or result is a dict")
    return {**(own or {}), **data}


def _invalid(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    return InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
