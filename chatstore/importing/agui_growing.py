"""Messages of AG-UI that grow event by event, and the blocks that they are in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from chatstore.encoders.agui_events import BLOCK
from chatstore.importing.contents import call, content_of, result
from chatstore.importing.entries import TRUNCATED
from chatstore.importing.values import as_text, inner, key_of, name_of, objects, text_of
from chatstore.model import JsonValue, Part, Tag
from chatstore.recorders import Put

Key: TypeAlias = tuple[Any, ...]
"""What something is, and its id."""
_STATE: Final = "chatstore.state"


def truncated(name: str) -> Tag:
    """On what the trace ended in the middle of, which is named so."""
    return Tag(kind="agui", name=TRUNCATED, value=name)


@dataclass
class Growing:
    """A message, a call, thoughts or an activity, from its begin on. `ended`: the number of the run it ended in."""

    key: Key
    kind: str
    place: str
    event: dict[str, JsonValue]
    run: str | None = None
    pieces: list[str] = field(default_factory=list)
    content: JsonValue = None
    more: dict[str, JsonValue] = field(default_factory=dict)
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    ended: int | None = None
    truncated: bool = False
    tags: list[Tag] = field(default_factory=list)
    usage: dict[str, JsonValue] | None = None

    def learn(self, event: dict[str, JsonValue]) -> None:
        """Takes what an event says beside its text: a client merges metadata by its outermost keys."""
        self.metadata |= inner(event, "metadata")

    @property
    def name(self) -> str:
        """What the block goes by among those of its context."""
        return key_of(*self.key)

    def put(self) -> Put:
        """The block that it has become."""
        note = inner(self.metadata, BLOCK)
        made = self._made("".join(self.pieces), note)
        made.key = self.key if made.key is None else made.key
        made.author = name_of(note.get("author")) or made.author or name_of(self.event.get("name"))
        data: dict[str, JsonValue] = {**(made.data if isinstance(made.data, dict) else {}), **self.more}
        rest = {name: value for name, value in self.metadata.items() if name != BLOCK and not name.startswith("chatst")}
        ids = {"message_id": _id(self.event), "timestamp": self.event.get("timestamp"), "metadata": rest or None}
        made.data = {**data, **{name: value for name, value in ids.items() if value is not None}} or None
        made.tags, made.usage = [*self.tags, *self._tags()], self.usage
        return made

    def _tags(self) -> list[Tag]:
        state = name_of(self.metadata.get(_STATE))
        ended = [Tag(kind="agui", name="state", value=state)] if state else []
        return [*ended, *([truncated(self.name)] if self.truncated else [])]

    def _made(self, text: str, note: dict[str, JsonValue]) -> Put:
        if self.kind == "call":
            return self._call(text, note)
        if self.kind == "result":
            return self._result(note)
        if self.kind == "reasoning":
            return Put("reasoning", "assistant", text)
        if self.kind == "activity":
            return activity(self.event, self.content)
        said, parts = content_of(self.content)
        role = name_of(self.event.get("role")) or "assistant"
        kept, lost = _parts(note)
        data: JsonValue = {"parts": lost} if lost else None
        return Put("message", role.lower(), text or said, parts=kept or ([] if text else parts), data=data)

    def _call(self, text: str, note: dict[str, JsonValue]) -> Put:
        id, above = name_of(self.event.get("toolCallId")), name_of(self.event.get("parentMessageId"))
        made = call(self.event.get("toolCallName"), text, note.get("call_id", id))
        made.key, made.parent = ("call", id), None if above in (None, id) else ("message", above)
        return made

    def _result(self, note: dict[str, JsonValue]) -> Put:
        text, parts = content_of(self.content)
        failed = note.get("is_error") is True or self.event.get("error") is not None
        call_id = name_of(self.event.get("toolCallId"))
        told = text or ("" if isinstance(self.content, (str, list)) else as_text(self.content))
        made = result(told, None, note.get("call_id", call_id), failed, parts=parts)
        made.parent = ("call", call_id)
        return made


def activity(event: dict[str, JsonValue], content: JsonValue) -> Put:
    """A status, or a block of somebody's own type, as it was at last. Blocks of ours come back as they were."""
    fields: dict[str, Any] = content if isinstance(content, dict) else {}
    kind = (name_of(event.get("activityType")) or "status").lower()
    text = next((fields[name] for name in ("text", "title", "message") if isinstance(fields.get(name), str)), "")
    role, author = name_of(fields.get("role")), name_of(fields.get("author"))
    if fields.get("type") == event.get("activityType"):
        return Put(kind, role, text, author=author, data=fields.get("data"))
    return Put(kind, text=text, data={"content": content})


def snapshot(message: dict[str, JsonValue], place: str, run: str | None) -> list[Growing]:
    """A message of a snapshot, and its calls, as if they had been told event by event."""
    role, id = text_of(message.get("role")) or "user", name_of(message.get("id"))
    made = Growing(("message", id), "message", place, {**message, "messageId": id}, run, content=message.get("content"))
    made.learn(message)
    calls = [_snapshot_call(one, message, place, run) for one in objects(message.get("toolCalls"))]
    if role == "tool":
        made.kind, made.key = "result", ("result", id)
    elif role in ("reasoning", "activity"):
        made.kind, made.key = role, (role, id)
        made.pieces = [as_text(message.get("content"))] if role == "reasoning" else []
    elif calls and not message.get("content"):
        return calls
    return [made, *calls]


def _snapshot_call(one: dict[str, JsonValue], message: dict[str, JsonValue], place: str, run: str | None) -> Growing:
    function = inner(one, "function")
    id = name_of(one.get("id"))
    event: dict[str, JsonValue] = {"toolCallId": id, "toolCallName": function.get("name")}
    if message.get("content"):
        event["parentMessageId"] = message.get("id")
    made = Growing(("call", id), "call", place, event, run, [as_text(function.get("arguments"))])
    if one.get("id") == message.get("id") or not message.get("content"):
        made.learn(message)
    return made


def _parts(note: dict[str, JsonValue]) -> tuple[list[Part], list[dict[str, JsonValue]]]:
    """The parts of a block of ours that say where they are, and those whose bytes are in its store alone."""
    found = objects(note.get("parts"))
    kept = [one for one in found if isinstance(one.get("url"), str) or isinstance(one.get("text"), str)]
    lost = [one for one in found if one not in kept]
    names = ("mime_type", "text", "url", "name")
    given = ({name: text_of(one.get(name)) for name in names} for one in kept)
    return [Part.model_validate({"type": _part_type(one), **more}) for one, more in zip(kept, given, strict=True)], lost


def _part_type(one: dict[str, JsonValue]) -> Any:
    return one.get("type") if one.get("type") in ("text", "image", "audio", "file") else "file"


def _id(event: dict[str, JsonValue]) -> str | None:
    return name_of(event.get("messageId"))
