"""Events of OpenAI's Responses, raw and of the stream helper.

Source: https://platform.openai.com/docs/api-reference/responses-streaming; what else is here was seen with openai 3.51.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Final, TypeVar, Unpack, overload

from chatstore.async_history import AsyncHistory
from chatstore.history import History
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Put, Script, Spend, Step
from chatstore.recorders.machine.start import start
from chatstore.recorders.shared.provider_events import known, member, plain, stopped
from chatstore.recorders.shared.response_items import Said, result_of, said_by

E = TypeVar("E")

_OF_A_MESSAGE: Final = {"response.output_text.delta": "output_text", "response.refusal.delta": "refusal"}
_OF_REASONING: Final = {
    "response.reasoning_summary_text.delta": ("summary", "summary_index"),
    "response.reasoning_text.delta": ("content", "content_index"),
}


@overload
def record(source: Iterable[E], history: History, **options: Unpack[RecordOptions]) -> Recording[E]: ...
@overload
def record(source: AsyncIterable[E], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[E]: ...
def record(source: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records a response: `create(stream=True)`, or the stream inside `with client.responses.stream()`.

    As `chatstore.recorders.record`, also for events of other packages that look like OpenAI's.
    """
    return start(ResponsesScript(), source, history, options)


class ResponsesScript(Script[Any]):
    """One block for each text or refusal of a message, for the thoughts of a reasoning item, and for each call.

    What OpenAI's own tools do is a status. `response.completed` ends the stream, and so does `response.incomplete`,
    as a model's other answers end that a limit or a filter cuts; `response.failed` and `error` say that it failed.
    An event whose `sequence_number` has been there, as where a broken stream is taken up again, is passed by.
    """

    extra = "openai"

    def __init__(self) -> None:
        super().__init__()
        self._source: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._begun: dict[Key, dict[str, Any]] = {}
        self._place: dict[Key, Any] = {}
        self._done: set[int] = set()
        self._called: dict[Any, Key] = {}
        self._last: Key | None = None
        self._number: int | None = -1
        self._type: Any = None

    def read(self, event: Any) -> Iterable[Step]:
        """One event, by its type."""
        type = member(event, "type")
        if self._was_here(member(event, "sequence_number"), type):
            return ()
        if type in _OF_A_MESSAGE:
            return self._message_text(event, _OF_A_MESSAGE[type])
        if type in _OF_REASONING:
            return self._thought(event, *_OF_REASONING[type])
        read = _READ.get(type)
        return () if read is None else read(self, event)

    def _was_here(self, number: Any, type: Any) -> bool:
        """Servers that number all events alike do not number them."""
        before, self._type = self._type, type
        if self._number is None or not isinstance(number, int):
            return False
        if number == self._number and type != before:
            self._number = None
            return False
        if number <= self._number:
            return True
        self._number = number
        return False

    def _created(self, event: Any) -> Iterable[Step]:
        response = member(event, "response")
        self._source = known(model=member(response, "model"), response_id=member(response, "id"))
        return ()

    def _added(self, event: Any) -> Iterator[Step]:
        """Calls begin with their item; messages and thoughts with their first words, as there may be none."""
        index, item = member(event, "output_index"), member(event, "item")
        self._items[index] = known(message_id=member(item, "id"), phase=member(item, "phase"))
        for said in said_by(item):
            if said.begins:
                yield from self._begin((index, said.name), said)

    def _message_text(self, event: Any, name: str) -> Iterator[Step]:
        key = (member(event, "output_index"), name, member(event, "content_index"))
        if text := member(event, "delta"):
            refusal = {"refusal": True} if name == "refusal" else {}
            yield from self._begin(key, Said(name, "message", data=refusal))
            yield Grow(key, text)

    def _thought(self, event: Any, name: str, place: str) -> Iterator[Step]:
        key, number = (member(event, "output_index"), name), member(event, place)
        if text := member(event, "delta"):
            yield from self._begin(key, Said(name, "reasoning"))
            apart = number != self._place.setdefault(key, number)
            self._place[key] = number
            yield Grow(key, f"\n\n{text}" if apart else text)

    def _call_text(self, event: Any) -> Iterator[Step]:
        """Arguments of a call, or the code of a tool of OpenAI's; of an item that was never added, too."""
        key = (member(event, "output_index"), "call")
        if text := member(event, "delta"):
            yield from self._begin(key, Said("call", "function_call", data=known(item_id=member(event, "item_id"))))
            yield Grow(key, text)

    def _begin(self, key: Key, said: Said) -> Iterator[Step]:
        if key not in self._begun:
            self._last = key
            about = {} if said.type == "function_call" else self._source
            item = self._items.get(key[0], {}) if said.type == "message" and isinstance(key, tuple) else {}
            self._begun[key] = {**about, **item, **said.data}
            if said.call_id is not None:
                self._called[said.call_id] = key
            yield Begin(key, said.type, role="assistant", data={**self._begun[key]})

    def _item_done(self, event: Any) -> Iterable[Step]:
        return self._whole(member(event, "output_index"), member(event, "item"))

    def _whole(self, index: int, item: Any) -> Iterator[Step]:
        """An item as it is at its end, once."""
        if index in self._done:
            return
        self._done.add(index)
        self._items.setdefault(index, known(message_id=member(item, "id"), phase=member(item, "phase")))
        if (result := result_of(item)) is not None:
            parent = self._called.get(member(item, "call_id"), (index, "call"))
            yield from self._say(index, item)
            yield Put("function_result", role="tool", text=result.text, data=result.data, parent=parent)
        else:
            yield from self._say(index, item)

    def _say(self, index: int, item: Any) -> Iterator[Step]:
        for said in said_by(item):
            key = (index, said.name) if said.place is None else (index, said.name, said.place)
            if said.parts:
                yield Put(said.type, role="assistant", key=key, data={**self._source, **said.data}, parts=said.parts)
            elif key in self._begun or said.text or said.keep:
                yield from self._begin(key, said)
                yield Finish(key, text=said.text, data={**self._begun[key], **said.data})

    def _completed(self, event: Any) -> Iterator[Step]:
        response = member(event, "response")
        for index, item in enumerate(member(response, "output") or ()):
            yield from self._whole(index, item)
        if reason := member(member(response, "incomplete_details"), "reason"):
            yield from stopped(self._last, reason)
        yield from self._spent(response)
        self.complete = True

    def _failed(self, event: Any) -> Iterator[Step]:
        response = member(event, "response")
        self._fail(member(response, "error"), "the response failed")
        yield from self._spent(response)

    def _error(self, event: Any) -> Iterable[Step]:
        self._fail(event, "the stream said that it failed")
        return ()

    def _fail(self, error: Any, otherwise: str) -> None:
        told = [str(one) for one in (member(error, "code"), member(error, "message")) if one]
        self.error: str | None = ": ".join(told) or otherwise

    def _spent(self, response: Any) -> Iterator[Step]:
        if usage := member(response, "usage"):
            yield Spend(plain(usage))


_READ: Final[dict[Any, Callable[[ResponsesScript, Any], Iterable[Step]]]] = {
    "response.created": ResponsesScript._created,
    "response.in_progress": ResponsesScript._created,
    "response.queued": ResponsesScript._created,
    "response.output_item.added": ResponsesScript._added,
    "response.function_call_arguments.delta": ResponsesScript._call_text,
    "response.custom_tool_call_input.delta": ResponsesScript._call_text,
    "response.mcp_call_arguments.delta": ResponsesScript._call_text,
    "response.code_interpreter_call_code.delta": ResponsesScript._call_text,
    "response.output_item.done": ResponsesScript._item_done,
    "response.completed": ResponsesScript._completed,
    "response.incomplete": ResponsesScript._completed,
    "response.failed": ResponsesScript._failed,
    "error": ResponsesScript._error,
}
