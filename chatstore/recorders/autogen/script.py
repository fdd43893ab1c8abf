"""Messages and events of AutoGen as blocks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Unpack

from chatstore.async_history import AsyncHistory
from chatstore.model import JsonValue, Part
from chatstore.recorders.autogen.messages import content_of, data_of, text_of, usage_of
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Step, as_json
from chatstore.recorders.machine.start import start
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.marks import FINAL, THOUGHT
from chatstore.recorders.shared.names import names_of
from chatstore.recorders.shared.thinking import Thinking

_TRACE: Final = "\nTraceback"
_MANAGERS: Final = ("GroupChatManager", "Orchestrator")
"""How the names of those end who choose the next speaker."""
_READERS: Final = {
    "ModelClientStreamingChunkEvent": "_chunk",
    "ThoughtEvent": "_thought",
    "ToolCallRequestEvent": "_request",
    "ToolCallExecutionEvent": "_execution",
    "UserInputRequestedEvent": "_input",
    "SelectorEvent": "_selector",
    "CodeGenerationEvent": "_code",
    "CodeExecutionEvent": "_executed",
    "HandoffMessage": "_handoff",
    "BaseChatMessage": "_message",
    "BaseAgentEvent": "_other",
    "Response": "_response",
    "TaskResult": "_result",
}
"""Classes of events, and what reads them. Of those that a class comes from, the nearest counts."""


def record(
    source: AsyncIterable[Any],
    history: AsyncHistory,
    *,
    streamed: Collection[str] | None = None,
    shown: Collection[str] | None = None,
    people: Collection[str] = ("user",),
    **options: Unpack[RecordOptions],
) -> AsyncRecording[Any]:
    """Records a run of a team or an agent; its events come out unchanged.

    - `streamed`: the agents whose text is written as it comes; that of others is stored whole. By default all.
    - `shown`: the agents that speak to the person; what others say is `internal`. By default all.
    - `people`: the names under which people speak. Whoever is asked for input is one of them too.

    The task comes out of the stream, and is the user's message; one that was given as `prompt` is not stored twice. The
    last message of an agent is tagged `answer/final` when the run ends.
    """
    return start(AutogenScript(streamed=streamed, shown=shown, people=people), source, history, options)


@dataclass
class _Text:
    """What a model says at the moment."""

    key: Key
    source: str
    said: list[str] = field(default_factory=list)
    thought: bool = False
    thinking: Thinking = field(default_factory=Thinking)

    @property
    def thought_key(self) -> Key:
        return (self.key, "thought")

    def says(self, text: str) -> bool:
        """Whether this is what it said; clients take white space away."""
        return bool(self.said) and "".join(self.said).split() == text.split()


@dataclass
class _Call:
    key: Key
    source: str
    id: str
    name: str
    usage: dict[str, JsonValue] | None


class AutogenScript(Script[Any]):
    """One block for each message, grown from its chunks. A call is open until its result is there, and so is a request
    for input until it is answered."""

    extra = "autogen"

    def __init__(
        self,
        *,
        streamed: Collection[str] | None = None,
        shown: Collection[str] | None = None,
        people: Collection[str] = ("user",),
    ) -> None:
        super().__init__()
        self._streamed, self._shown = names_of("streamed", streamed), names_of("shown", shown)
        self._people = names_of("people", people) or frozenset()
        self._prompt: str | None = None
        self._texts: dict[Key, _Text] = {}
        self._calls: list[_Call] = []
        self._requests: dict[str, Key] = {}
        self._stored: set[Key] = set()
        self._numbers = count()
        self._answer: Key | None = None
        self._readers: dict[type, Callable[[Lenient], Iterator[Step]] | None] = {}

    def asked(self, prompt: str) -> Iterator[Step]:
        """The prompt, which a team says once more."""
        self._prompt = prompt
        return iter(super().asked(prompt))

    def told(self, error: Exception) -> Exception:
        """A team raises what an agent raised with its traceback in the message, which is for developers."""
        message, trace, _ = str(error).partition(_TRACE)
        if not trace or type(error) is not RuntimeError:
            return error
        short = RuntimeError(message)
        short.__cause__ = error
        return short

    def read(self, event: Any) -> Iterator[Step]:
        """An event of a team or an agent."""
        kind = type(event)
        if kind not in self._readers:
            name = next((_READERS[base.__name__] for base in kind.__mro__ if base.__name__ in _READERS), None)
            self._readers[kind] = None if name is None else getattr(self, name)
        reader = self._readers[kind]
        return iter(()) if reader is None else reader(Lenient(event))

    def _said_by(self, source: str, role: str | None = "assistant") -> dict[str, Any]:
        internal = self._shown is not None and source not in self._shown and role != "user"
        return {"role": role, "author": source, "internal": internal}

    def _chunk(self, event: Lenient) -> Iterator[Step]:
        source, named = event.source, event.full_message_id
        if self._streamed is not None and source not in self._streamed:
            return
        key = named or ("of", source)
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = _Text(key, source)
        for is_thought, piece in text.thinking.split(text_of(event)):
            yield from self._grow(text, is_thought, piece)

    def _grow(self, text: _Text, is_thought: bool, piece: str) -> Iterator[Step]:
        if not piece:
            return
        data = {"message_id": text.key} if isinstance(text.key, str) else None
        if is_thought:
            if not text.thought:
                text.thought = True
                yield Begin(text.thought_key, "reasoning", data=data, **self._said_by(text.source))
            yield Grow(text.thought_key, piece)
            return
        if not text.said:
            if text.thought:
                yield Finish(text.thought_key)
            type, role = ("status", None) if str(text.source).endswith(_MANAGERS) else ("message", "assistant")
            yield Begin(text.key, type, data=data, **self._said_by(text.source, role))
        text.said.append(piece)
        yield Grow(text.key, piece)

    def _flush(self, grown: _Text) -> Iterator[Step]:
        for is_thought, piece in grown.thinking.rest():
            yield from self._grow(grown, is_thought, piece)

    def _end(self, grown: _Text, **finish: Any) -> Iterator[Step]:
        """The model has said all of it."""
        self._texts.pop(grown.key)
        yield from self._flush(grown)
        if grown.said:
            yield Finish(grown.key, **finish)
        elif grown.thought:
            yield Finish(grown.thought_key)

    def _text_of(self, source: str, id: str, text: str) -> _Text | None:
        """What came of a message by chunks. They have the id of another one where a model thought aloud, or none."""
        if (grown := self._texts.get(id) or self._texts.get(("of", source))) is not None:
            return grown
        return next((one for one in self._texts.values() if one.source == source and one.says(text)), None)

    def _end_texts(self, source: str) -> Iterator[Step]:
        for text in [one for one in self._texts.values() if one.source == source]:
            yield from self._end(text)

    def _message(self, event: Lenient) -> Iterator[Step]:
        if event.id in self._stored and event.id not in self._texts:
            return
        asked = self._requests.pop(event.source, None)
        if asked is not None:
            yield Finish(asked)
        role = "user" if asked is not None or event.source in self._people else "assistant"
        text, parts = content_of(event)
        if role == "user" and self._is_prompt(text):
            return
        yield from self._say(event, role, text, parts)

    def _is_prompt(self, text: str) -> bool:
        prompt, self._prompt = self._prompt, None
        return prompt is not None and prompt == text

    def _say(self, event: Lenient, role: str, text: str, parts: list[Part]) -> Iterator[Step]:
        key, data = self._key(event), data_of(event)
        grown = self._text_of(event.source, event.id, text) if role == "assistant" and not parts else None
        if grown is not None:
            yield from self._flush(grown)
        if grown is not None and grown.said:
            key = grown.key
            whole = None if "".join(grown.said).strip() == text.strip() else text
            yield from self._end(grown, text=whole, data=data, usage=usage_of(event))
        else:
            yield from self._end_texts(event.source)
            said = self._said_by(event.source, role)
            yield Put(text=text, parts=parts, data=data, key=key, usage=usage_of(event), **said)
        self._stored.add(key if event.id is None else event.id)
        if not self._said_by(event.source, role)["internal"] and role == "assistant":
            self._answer = key

    def _key(self, event: Lenient) -> Key:
        return event.id or ("event", next(self._numbers))

    def _handoff(self, event: Lenient) -> Iterator[Step]:
        if (asked := self._requests.pop(event.source, None)) is not None:
            yield Finish(asked)
        yield from self._end_texts(event.source)
        data = {**data_of(event), "target": event.target, "context_messages": len(event.context or ())}
        yield Put("handoff", text=text_of(event), data=data, **self._said_by(event.source, None))

    def _thought(self, event: Lenient) -> Iterator[Step]:
        grown = self._texts.get(event.id)
        if grown is not None and grown.thought:
            return  # it came as text, and what is said behind it may go on
        if grown is not None and grown.says(text_of(event)):
            yield from self._end(grown)
            yield Mark(grown.key, [THOUGHT])
        else:
            yield Put("reasoning", text=text_of(event), data=data_of(event), **self._said_by(event.source))

    def _request(self, event: Lenient) -> Iterator[Step]:
        yield from self._end_texts(event.source)
        usage = usage_of(event)
        for call in each(event.content):
            key = ("call", next(self._numbers))
            named = {"name": call.name, "call_id": call.id, "message_id": event.id}
            yield Begin(key, "function_call", data=named, **self._said_by(event.source))
            yield Grow(key, str(call.arguments or ""))
            self._calls.append(_Call(key, event.source, call.id, call.name, usage))
            usage = None  # it is of the whole request

    def _execution(self, event: Lenient) -> Iterator[Step]:
        said = self._said_by(event.source, "tool")
        for result in each(event.content):
            found = [call for call in self._calls if (call.source, call.id) == (event.source, result.call_id)]
            parent = None
            if found:
                self._calls.remove(call := found[0])
                parent = call.key
                yield Finish(call.key, usage=call.usage)
            data = {"call_id": result.call_id, "name": result.name, "is_error": bool(result.is_error)}
            yield Put("function_result", text=text_of(result), data=data, parent=parent, **said)

    def _input(self, event: Lenient) -> Iterator[Step]:
        key = self._requests[event.source] = ("input", next(self._numbers))
        yield Begin(key, "input_request", data={"request_id": event.request_id}, **self._said_by(event.source, None))

    def _selector(self, event: Lenient) -> Iterator[Step]:
        grown = self._texts.get(("of", event.source))
        if grown is not None and grown.said:
            yield from self._end(grown, text=text_of(event), data=data_of(event))
        else:
            yield Put("status", text=text_of(event), data=data_of(event), **self._said_by(event.source, None))

    def _code(self, event: Lenient) -> Iterator[Step]:
        if event.content:
            yield from self._say(event, "assistant", text_of(event), [])

    def _executed(self, event: Lenient) -> Iterator[Step]:
        yield from self._end_texts(event.source)
        result = Lenient(event.result)
        data = {**data_of(event), "exit_code": as_json(result.exit_code)}
        yield Put("code_result", text=str(result.output or ""), data=data, **self._said_by(event.source, "tool"))

    def _other(self, event: Lenient) -> Iterator[Step]:
        """Who speaks next, what a memory gave, and events of somebody's own."""
        found = each(event.content)
        text = ", ".join(str(one.content or one.it) for one in found) if found else text_of(event)
        yield Put("status", text=text, data=data_of(event), usage=usage_of(event), **self._said_by(event.source, None))

    def _response(self, event: Lenient) -> Iterator[Step]:
        said = Lenient(event.chat_message)
        if said.it is not None:
            yield from self._handoff(said) if said.kind == "HandoffMessage" else self._message(said)
        yield from self._over(None)

    def _result(self, event: Lenient) -> Iterator[Step]:
        yield from self._over(event.stop_reason)

    def _over(self, stop_reason: str | None) -> Iterator[Step]:
        for text in [*self._texts.values()]:
            yield from self._end(text)
        if self._answer is not None:
            yield Mark(self._answer, [FINAL])
        if stop_reason is not None:
            yield Put("status", text=stop_reason, data={"stop_reason": stop_reason})
        self.complete = True
