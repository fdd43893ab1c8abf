"""Chunks of OpenAI chat completions, and the events of their stream helper.

Source: https://platform.openai.com/docs/api-reference/chat-streaming; what else is here was seen with openai 3.51, or
of servers that speak the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any, Final, TypeVar, Unpack, overload

from chatstore.async_history import AsyncHistory
from chatstore.history import History
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Script, Spend, Step
from chatstore.recorders.machine.start import start
from chatstore.recorders.shared.provider_events import known, member, members, plain, stopped

E = TypeVar("E")

_CHUNK: Final = "chat.completion.chunk"
_ANSWERS: Final = ("content", "refusal", "tool_calls")


@overload
def record(source: Iterable[E], history: History, **options: Unpack[RecordOptions]) -> Recording[E]: ...
@overload
def record(source: AsyncIterable[E], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[E]: ...
def record(source: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records chat completions: `create(stream=True)`, or the stream inside `with client.chat.completions.stream()`.

    As `chatstore.recorders.record`, also for chunks of other packages that look like OpenAI's.
    """
    return start(ChatScript(), source, history, options)


class ChatScript(Script[Any]):
    """One block for the text of each choice, one for its thoughts, and one for each of its calls.

    A choice ends with its `finish_reason`. Without one the stream was cut, whether it raised or not. The helper's own
    events say the same once more, and its `arguments.done` too early where calls interleave: only the chunks are read.
    """

    extra = "openai"

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[Key, dict[str, Any]] = {}
        self._calls: dict[Key, Key] = {}
        self._ends: dict[int, str | None] = {}
        self._source: dict[str, Any] = {}

    def read(self, event: Any) -> Iterator[Step]:
        """A chunk, or an event of the helper that carries one."""
        chunk = event if member(event, "object") == _CHUNK else members(event).get("chunk")
        if chunk is None:
            return
        for choice in member(chunk, "choices") or ():
            yield from self._choice(chunk, choice)
        if usage := member(chunk, "usage"):
            yield Spend(plain(usage))

    def _choice(self, chunk: Any, choice: Any) -> Iterator[Step]:
        index, delta = member(choice, "index") or 0, member(choice, "delta")
        if not self._source:
            self._source = known(model=member(chunk, "model"), message_id=member(chunk, "id"))
        self._ends.setdefault(index, None)
        if delta is not None:
            yield from self._delta(index, delta)
        if (reason := member(choice, "finish_reason")) is not None:
            yield from self._end(index, reason)

    def _delta(self, choice: int, delta: Any) -> Iterator[Step]:
        told = members(delta)
        # Servers show a model's thoughts under either name, some under both.
        if thought := told.get("reasoning_content") or told.get("reasoning"):
            yield from self._text((choice, "reasoning"), thought, "reasoning")
        elif any(map(told.get, _ANSWERS)):
            yield from self._thought((choice, "reasoning"))
        if content := told.get("content"):
            yield from self._text((choice, "content"), content)
        if refusal := told.get("refusal"):
            yield from self._text((choice, "refusal"), refusal, refusal=True)
        if (audio := told.get("audio")) and (said := member(audio, "transcript")):
            yield from self._text((choice, "audio"), said, audio=member(audio, "id"))
        for call in told.get("tool_calls") or ():
            yield from self._call(choice, call)
        if function := told.get("function_call"):  # of models before tools: one call, without an id
            yield from self._grow_call((choice, "function_call"), None, function, member(function, "arguments"))

    def _thought(self, key: Key) -> Iterator[Step]:
        """Thoughts end where the answer begins; those that come later are others."""
        if key in self._open:
            yield Finish(key, data=self._open.pop(key))

    def _text(self, key: tuple[int, str], text: Any, type: str = "message", **more: Any) -> Iterator[Step]:
        if key not in self._open:
            chosen = {"choice": key[0]} if key[0] else {}
            data = self._open[key] = {**self._source, **chosen, **more}
            yield Begin(key, type, role="assistant", data=data)
        if isinstance(text, str):
            yield Grow(key, text)

    def _call(self, choice: int, call: Any) -> Iterator[Step]:
        """A piece of a call. It belongs to the last call of its index; a new id and a name there begin another, as
        some servers number all calls alike, or none."""
        place, id = (choice, member(call, "index")), member(call, "id")
        custom = member(call, "custom")
        told = custom or member(call, "function")
        key = self._calls.get(place)
        if key is None or (id and member(told, "name") and id != self._open.get(key, {}).get("call_id", id)):
            key = self._calls[place] = (choice, "call", len(self._calls), id)
        text = member(told, "input" if custom else "arguments")
        yield from self._grow_call(key, id, told, text, **({"custom": True} if custom else {}))

    def _grow_call(self, key: Key, id: Any, told: Any, text: Any, **more: Any) -> Iterator[Step]:
        data = self._open.get(key)
        if data is None:
            data = self._open[key] = {"name": member(told, "name"), "call_id": id, **more}
            yield Begin(key, "function_call", role="assistant", data={**data})
        data["name"] = data["name"] or member(told, "name")
        data["call_id"] = data["call_id"] or id
        if isinstance(text, str) and text:
            yield Grow(key, text)

    def _end(self, choice: int, reason: str) -> Iterator[Step]:
        self._ends[choice] = reason
        last: Key | None = None
        for key in [key for key in self._open if isinstance(key, tuple) and key[0] == choice]:
            yield Finish(key, data=self._open.pop(key))
            last = key
        yield from stopped(last, reason)
        self.complete: bool = all(self._ends.values())
