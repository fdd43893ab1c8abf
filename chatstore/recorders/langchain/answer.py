"""What one model says in one answer, as it comes and as it is said at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from chatstore.recorders.langchain.messages import (
    Piece,
    calls_of,
    media,
    pieces,
    reason_of,
    source_of,
    usage_of,
)
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Put, Step
from chatstore.recorders.shared.provider_events import plain, stopped

_TYPES: Final = {"text": "message", "reasoning": "reasoning"}


@dataclass
class _Part:
    """What is being said, or thought."""

    key: Key
    kind: str
    data: dict[str, Any]
    text: list[str] = field(default_factory=list)


@dataclass
class _Call:
    key: Key
    id: Any
    name: Any
    index: Any


class Answer:
    """One `message` for what is said, `reasoning` for what is thought, and a `function_call` for each call.

    `said`: what all its blocks have, such as their author.
    """

    def __init__(self, run_id: Any, said: dict[str, Any], *, streamed: bool = True) -> None:
        self.calls: dict[Any, tuple[Key, Any]] = {}
        """The calls by their ids: the key of the block, and the name of the function."""
        self.message: Key | None = None
        """What was said last."""
        self.id: Any = None
        self._run_id = run_id
        self._said = said
        self._streamed = streamed
        self._part: _Part | None = None
        self._spoken: list[str] = []
        self._thought: list[str] = []
        self._open_calls: list[_Call] = []
        self._count = 0

    @property
    def speaks(self) -> bool:
        """Whether it is in the middle of what it says, so that text alone makes it longer and nothing else."""
        return self._part is not None and self._part.kind == "text"

    def take(self, chunk: Any) -> Iterator[Step]:
        """A chunk of the message."""
        if not self._streamed:
            return
        if self.id is None:
            self.id = getattr(chunk, "id", None)
        for piece in pieces(chunk):
            if piece.kind != "other" and (piece.text or piece.data):
                yield from self._grow(piece, source_of(chunk))
        for call in getattr(chunk, "tool_call_chunks", None) or ():
            yield from self._grow_call(call)

    def take_text(self, text: str) -> Iterator[Step]:
        """Text of a model that has no messages."""
        if self._streamed and text:
            yield from self._grow(Piece("text", text, {}), {})

    def take_event(self, event: Any) -> Iterator[Step]:
        """An event of the protocol that `stream_events(version="v3")` speaks. Calls come whole, with the message."""
        found = event.get("delta") if self._streamed and isinstance(event, dict) else None
        delta: dict[str, Any] = found if isinstance(found, dict) else {}
        type = delta.get("type")
        if type == "text-delta" and delta.get("text"):
            yield from self._grow(Piece("text", delta["text"], {}), {})
        elif type == "reasoning-delta" and delta.get("reasoning"):
            yield from self._grow(Piece("reasoning", delta["reasoning"], {}), {})

    def end(self, generation: Any, response: Any) -> Iterator[Step]:
        """All of it is said; what of this has not come before is stored now."""
        message = getattr(generation, "message", None)
        if message is None:
            message = _Text(str(getattr(generation, "text", "") or ""))
        self.id = getattr(message, "id", None) or self.id
        steps = [*self._rest(message), *self._last_calls(message)]
        usage = usage_of(message, response)
        reason = reason_of(generation, message)
        if not steps and (usage or not reason):
            self.message = self._key()
            steps = [Put(role="assistant", key=self.message, data=source_of(message), **self._said)]
        if usage and steps:
            steps[-1] = replace(steps[-1], usage=usage)
        yield from steps
        if reason:
            yield from stopped(steps[-1].key if steps else None, reason)

    def fail(self, error: str) -> Iterator[Step]:
        """The model failed in the middle of it."""
        for key in [*([self._part.key] if self._part else []), *(call.key for call in self._open_calls)]:
            yield Finish(key, error=error)
        self._part, self._open_calls = None, []

    def _key(self) -> Key:
        self._count += 1
        return (self._run_id, self._count)

    def _grow(self, piece: Piece, source: dict[str, Any]) -> Iterator[Step]:
        part = self._part
        if part is None or part.kind != piece.kind:
            if part is not None:
                yield Finish(part.key, data=part.data)
            part = self._part = _Part(self._key(), piece.kind, {**source, **piece.data})
            if piece.kind == "text":
                self.message = part.key
            yield Begin(part.key, _TYPES[piece.kind], role="assistant", data={**part.data}, **self._said)
        part.data.update(piece.data)
        if piece.text:
            (self._spoken if piece.kind == "text" else self._thought).append(piece.text)
            part.text.append(piece.text)
            yield Grow(part.key, piece.text)

    def _grow_call(self, told: Any) -> Iterator[Step]:
        """A piece of a call. It belongs to the last call of its index; a new id there begins another."""
        id, name, index, text = (told.get(field) for field in ("id", "name", "index", "args"))
        same = [call for call in self._open_calls if call.index == index]
        call = same[-1] if same else None
        if call is None or (id and name and call.id not in (None, id)):
            call = _Call(self._key(), id, name, index)
            self._open_calls.append(call)
            yield Begin(call.key, "function_call", role="assistant", data=_named(id, name), **self._said)
        call.id, call.name = call.id or id, call.name or name
        if text:
            yield Grow(call.key, text)

    def _rest(self, message: Any) -> Iterator[Finish | Put]:
        """What is said, whole: the end of what has come, or all of it."""
        found = [*pieces(message)]
        source = source_of(message)
        if self._part is None and not self._spoken and not self._thought:
            yield from self._whole(found, source)
            return
        spoken, came = "".join(piece.text for piece in found if piece.kind == "text"), "".join(self._spoken)
        rest = spoken[len(came) :] if spoken.startswith(came) else ""
        part, self._part = self._part, None
        if part is not None and part.kind == "text":
            own = "".join(part.text)
            yield self._finish(part, found, source, spoken if own == came else own + rest)
        else:
            if part is not None:
                yield self._finish(part, found, source, None)
            if rest:
                yield from self._whole([Piece("text", rest, {})], source)
        yield from self._whole([piece for piece in found if piece.kind == "other"], source)

    def _finish(self, part: _Part, found: list[Piece], source: dict[str, Any], text: str | None) -> Finish:
        data = {**part.data, **source}
        for piece in found:
            if piece.kind == part.kind:
                data.update(piece.data)
        return Finish(part.key, text=text, data=data)

    def _whole(self, found: list[Piece], source: dict[str, Any]) -> Iterator[Put]:
        """Blocks for what has not come by chunks; texts behind each other are one."""
        for kind, text, data in _joined(found):
            key = self._key()
            if kind == "other":
                part = media(data)
                type = "status" if part is None else "message"
                noted = {"tool": data.get("type"), "content": plain(data)} if part is None else {}
                parts = [] if part is None else [part]
                yield Put(type, role="assistant", key=key, parts=parts, data={**source, **noted}, **self._said)
            else:
                self.message = key if kind == "text" else self.message
                yield Put(_TYPES[kind], role="assistant", text=text, key=key, data={**source, **data}, **self._said)

    def _last_calls(self, message: Any) -> Iterator[Finish | Put]:
        """The calls, as the message has them at its end; those that came by chunks end."""
        made = calls_of(message)
        for place, (id, name, text) in enumerate(made):
            call = self._open_call(id, place if len(made) == len(self._open_calls) else None)
            key = self._key() if call is None else call.key
            self.calls[id] = (key, name)
            if call is None:
                data = _named(id, name)
                yield Put("function_call", role="assistant", text=text, key=key, data=data, **self._said)
            else:
                call.index = self  # taken
                yield Finish(key, data=_named(id or call.id, name or call.name))
        for call in self._open_calls:
            if call.index is not self:
                self.calls.setdefault(call.id, (call.key, call.name))
                yield Finish(call.key, data=_named(call.id, call.name))
        self._open_calls = []

    def _open_call(self, id: Any, place: int | None) -> _Call | None:
        left = [call for call in self._open_calls if call.index is not self]
        found = next((call for call in left if id is not None and call.id == id), None)
        if found is None and place is not None and self._open_calls[place] in left:
            found = self._open_calls[place]
        return found


@dataclass
class _Text:
    """What a model without messages said."""

    content: str


def _named(id: Any, name: Any) -> dict[str, Any]:
    return {"name": name, "call_id": id}


def _joined(found: list[Piece]) -> Iterator[Piece]:
    """Pieces of text behind each other as one."""
    last: Piece | None = None
    for piece in found:
        if last is not None and last.kind == piece.kind == "text":
            last = Piece("text", last.text + piece.text, {**last.data, **piece.data})
            continue
        if last is not None and (last.text or last.data):
            yield last
        last = piece
    if last is not None and (last.text or last.data):
        yield last
