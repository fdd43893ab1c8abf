"""LangChain's SQLChatMessageHistory in a file: a row for each message, as `message_to_dict` writes it.

Seen with langchain-community 0.4. A session is a context; the message itself is kept with its first block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chatstore.errors import InvalidInput
from chatstore.importing.contents import call, content_of, first_with, result
from chatstore.importing.entries import Entry, Found, Source, Unread
from chatstore.importing.tables import context_of, opened, rows_of, tables_with
from chatstore.importing.values import an_object, as_text, inner, name_of, objects, parsed, text_of
from chatstore.model import JsonValue, Part
from chatstore.recorders import Put

COLUMNS: Final = {"session_id", "message"}
"""What tells a table of messages, whatever it is called."""
_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_THOUGHTS: Final = ("thinking", "reasoning", "text")
_THINKING: Final = frozenset({"thinking", "reasoning", "redacted_thinking"})


def read(source: Source) -> Iterator[Found]:
    """The messages of all sessions in a file."""
    file = opened(source)
    tables = tables_with(file, COLUMNS)
    if not tables:
        raise InvalidInput(f"no table of it has the columns {' and '.join(sorted(COLUMNS))}")
    for table in tables:
        for row_id, session, content in rows_of(source, file, table, ["session_id", "message"]):
            source.meter.done += 1
            place = f"{table} row {row_id}"
            try:
                context = context_of(session, table, tables)
                yield Entry(context, place, f"{table}/{row_id}", blocks_of(content), place_in="order")
            except InvalidInput as error:
                yield Unread(place, str(error))


def blocks_of(content: Any) -> list[Put]:
    """The blocks of a message, which is JSON of its type and its data."""
    if not isinstance(content, str):
        raise InvalidInput(f"its message is {type(content).__name__}, not text")
    message = an_object(parsed(content), "the message")
    kind, data = text_of(message.get("type")), message.get("data", message)
    if kind is None:
        raise InvalidInput("the message has no `type`")
    said = an_object(data, "the message's `data`")
    whole = kind.removesuffix("MessageChunk").lower() if kind.endswith("Chunk") else kind
    return first_with(_made(whole, said), item=message)


def _made(kind: str, said: dict[str, JsonValue]) -> Iterator[Put]:
    role = _ROLES.get(kind) or name_of(said.get("role")) or kind.lower()
    author = name_of(said.get("name"))
    if role == "tool" and kind != "chat":
        yield _result(said)
    elif role == "assistant":
        yield from _answer(said, author)
    elif kind == "remove":
        yield Put("status", text=as_text(said.get("id")), internal=True)
    else:
        text, parts = content_of(said.get("content"))
        yield Put("message", {"human": "user", "ai": "assistant"}.get(role, role), text, author=author, parts=parts)


def _result(said: dict[str, JsonValue]) -> Put:
    text, parts = content_of(said.get("content"))
    failed = said.get("status") == "error"
    return result(text, said.get("name"), said.get("tool_call_id"), failed, parts=parts)


def _answer(said: dict[str, JsonValue], author: str | None) -> Iterator[Put]:
    """Thoughts, what was said, the calls; the usage is of the first that is no thought."""
    usage = said.get("usage_metadata")
    cost = usage if isinstance(usage, dict) and usage else None
    for thought, data in _thoughts(said):
        yield Put("reasoning", "assistant", thought, author=author, data=data)
    text, parts = content_of(said.get("content"))
    calls = [*_calls(said, author)]
    if text or parts or not calls:
        yield Put("message", "assistant", text, author=author, parts=_shown(parts), usage=cost)
        cost = None
    for put in calls:
        put.usage, cost = cost, None
        yield put


def _shown(parts: list[Part]) -> list[Part]:
    return [part for part in parts if part.text is None or part.text]


def _thoughts(said: dict[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    for item in objects(said.get("content")):
        if text_of(item.get("type")) in _THINKING:
            text = next((found for name in _THOUGHTS if isinstance(found := item.get(name), str)), None)
            summary = "\n\n".join(as_text(one.get("text")) for one in objects(item.get("summary")))
            extras = inner(item, "extras")
            signature = item.get("signature", extras.get("signature"))
            yield text or summary, None if signature is None else {"signature": signature}
    told = text_of(inner(said, "additional_kwargs").get("reasoning_content"))
    if told:
        yield told, None


def _calls(said: dict[str, JsonValue], author: str | None) -> Iterator[Put]:
    """The calls; those of before `tool_calls` only where there are no others, since they are the same."""
    listed = objects(said.get("tool_calls"))
    invalid = objects(said.get("invalid_tool_calls"))
    for one in listed:
        yield call(one.get("name"), one.get("args"), one.get("id"), author=author)
    for one in invalid:
        error = {"error": one.get("error")} if one.get("error") is not None else {}
        yield call(
            one.get("name"), one.get("args") or "", one.get("id"), author=author, data={"invalid": True, **error}
        )
    if listed or invalid:
        return
    more = inner(said, "additional_kwargs")
    for one in objects(more.get("tool_calls")):
        function = inner(one, "function")
        yield call(function.get("name"), function.get("arguments"), one.get("id"), author=author)
    if function := inner(more, "function_call"):
        yield call(function.get("name"), function.get("arguments"), None, author=author)
