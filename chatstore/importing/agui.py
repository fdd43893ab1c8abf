"""Traces of AG-UI: the events of one or more runs, as a server sent them.

Seen with ag-ui-protocol 1.0, and with the names that thoughts had before. A thread is a context, a message one block,
whatever number of events told it, and is stored once by its id, also where several traces have it. Blocks have their
run's id; that a run ended, and how, is a block of type `run_ended`, internal. What may still go on in the run that
follows is held back until that has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from chatstore.errors import InvalidInput
from chatstore.importing import agui_entries as entries
from chatstore.importing.agui_events import events_of
from chatstore.importing.agui_growing import Growing, Key, snapshot
from chatstore.importing.agui_patch import patched
from chatstore.importing.entries import Entry, Found, Later, Source, Unread
from chatstore.importing.values import inner, key_of, name_of, objects
from chatstore.model import JsonValue, Tag

Event = dict[str, JsonValue]

_STARTS: Final = {
    "TEXT_MESSAGE_START": ("message", "messageId"),
    "TOOL_CALL_START": ("call", "toolCallId"),
    "REASONING_MESSAGE_START": ("reasoning", "messageId"),
    "THINKING_TEXT_MESSAGE_START": ("reasoning", ""),
}
_GROWS: Final = {
    "TEXT_MESSAGE_CONTENT": ("message", "messageId"),
    "TOOL_CALL_ARGS": ("call", "toolCallId"),
    "REASONING_MESSAGE_CONTENT": ("reasoning", "messageId"),
    "THINKING_TEXT_MESSAGE_CONTENT": ("reasoning", ""),
}
_ENDS: Final = {
    "TEXT_MESSAGE_END": ("message", "messageId"),
    "TOOL_CALL_END": ("call", "toolCallId"),
    "REASONING_MESSAGE_END": ("reasoning", "messageId"),
    "THINKING_TEXT_MESSAGE_END": ("reasoning", ""),
}
_CHUNKS: Final = {
    "TEXT_MESSAGE_CHUNK": ("message", "messageId"),
    "TOOL_CALL_CHUNK": ("call", "toolCallId"),
    "REASONING_MESSAGE_CHUNK": ("reasoning", "messageId"),
}
_PASSED: Final = frozenset({"REASONING_START", "REASONING_END", "THINKING_START", "THINKING_END"})


def read(source: Source) -> Iterator[Found]:
    """The blocks that a trace tells."""
    trace = _Trace(source.name)
    place = ""
    for found in events_of(source):
        if isinstance(found, Unread):
            yield found
            continue
        place, event = found
        try:
            trace.take(event, place)
        except InvalidInput as error:
            yield Unread(place, str(error))
        yield from trace.told()
    trace.end(place)
    yield from trace.told()


class _Trace:
    """What of a trace was heard by now."""

    def __init__(self, name: str) -> None:
        self._thread = name
        self._run: str | None = None
        self._runs = 0
        self._numbers: Counter[str | None] = Counter()
        self._order: list[Growing | Entry] = []
        self._held: dict[Key, Growing] = {}
        self._known: set[Key] = set()
        self._threads = {name: self._known}
        self._told: list[Found] = []
        self._chunk: Key | None = None
        self._thinking = 0
        self._readers: dict[str, Callable[[Event, str], None]] = {
            "RUN_STARTED": self._started,
            "RUN_FINISHED": self._finished,
            "RUN_ERROR": self._finished,
            "TOOL_CALL_RESULT": self._result,
            "MESSAGES_SNAPSHOT": lambda event, place: self._messages(event.get("messages"), place),
            "ACTIVITY_SNAPSHOT": self._activity,
            "ACTIVITY_DELTA": self._activity,
            "REASONING_ENCRYPTED_VALUE": self._encrypted,
            "CUSTOM": self._custom,
        }

    def take(self, event: Event, place: str) -> None:
        """An event."""
        type = str(event["type"])
        self._numbers[self._run] += 1
        if type not in _CHUNKS:
            self._end_chunk()
        if type in _STARTS:
            self._begin(event, place, *_STARTS[type])
        elif type in _GROWS:
            self._grow(event, place, *_GROWS[type])
        elif type in _ENDS:
            self._end(event, *_ENDS[type])
        elif type in _CHUNKS:
            self._take_chunk(event, place, *_CHUNKS[type])
        elif type in self._readers:
            self._readers[type](event, place)
        elif type not in _PASSED:
            self._other(event, type, place)

    def told(self) -> list[Found]:
        """What is whole by now, once."""
        told, self._told = self._told, []
        return told

    def end(self, place: str) -> None:
        """The end of the trace. Where it comes before that of a run, what is open is marked, and so is the run."""
        self._end_chunk()
        for one in self._held.values():
            one.truncated = one.ended is None
        if self._run is not None:
            self._order.append(entries.interrupted(self._thread, place, self._run))
        self._flush(everything=True)

    def _key(self, event: Event, kind: str, name: str) -> Key:
        if not name:  # thoughts had no id once
            return (kind, self._run, self._thinking)
        if name_of(event.get(name)) is None:
            raise InvalidInput(f"it has no {name}, by which a message is known")
        return (kind, event[name])

    def _begin(self, event: Event, place: str, kind: str, name: str) -> None:
        if not name:
            self._thinking += 1
        key = self._key(event, kind, name)
        one = self._held.get(key)
        if one is None and key not in self._known:
            one = self._add(Growing(key, kind, place, event, self._run_of(event)))
        if one is not None:  # or else it was told before, and its text is in the store
            one.ended = None
            one.learn(event)

    def _add(self, one: Growing) -> Growing:
        self._held[one.key] = one
        self._order.append(one)
        self._known.add(one.key)
        return one

    def _grow(self, event: Event, place: str, kind: str, name: str) -> None:
        key = self._key(event, kind, name)
        if key not in self._known:
            self._begin(event, place, kind, name)  # the trace begins in the middle of it
            key = self._key(event, kind, name)
        if (one := self._held.get(key)) is not None and isinstance(event.get("delta"), str):
            one.pieces.append(str(event["delta"]))

    def _end(self, event: Event, kind: str, name: str) -> None:
        one = self._held.get(self._key(event, kind, name))
        if one is not None:
            one.ended = self._runs
            one.learn(event)

    def _take_chunk(self, event: Event, place: str, kind: str, name: str) -> None:
        """A piece that begins its message where it is the first of it; the message ends with the next of another."""
        key = (kind, event[name]) if name_of(event.get(name)) else self._chunk
        if key is None or key[0] != kind:
            raise InvalidInput(f"the first chunk of a message has its {name}, and this has none")
        named: Event = {**event, name: key[1]}
        if key != self._chunk:
            self._end_chunk()
            self._begin(named, place, kind, name)
            self._chunk = key
        if "delta" in event:
            self._grow(named, place, kind, name)

    def _end_chunk(self) -> None:
        one = None if self._chunk is None else self._held.get(self._chunk)
        self._chunk = None
        if one is not None:
            one.ended = self._runs

    def _started(self, event: Event, place: str) -> None:
        thread = name_of(event.get("threadId"))
        if thread is not None and thread != self._thread:
            self._flush(everything=True)
            self._thread, self._known = thread, self._threads.setdefault(thread, set())
        self._run, self._runs = name_of(event.get("runId")), self._runs + 1
        given = inner(event, "input")
        self._messages(given.get("messages"), place)
        more: Event = {name: event[name] for name in ("parentRunId", "timestamp") if name in event}
        more |= {"input": {name: value for name, value in given.items() if name != "messages"}} if given else {}
        if more and self._run is not None:
            self._whole("run_started", place, self._run, {"run_id": self._run, **more})

    def _finished(self, event: Event, place: str) -> None:
        self._flush()
        run, self._run = self._run, None
        if run is None or entries.is_outside(run):
            return
        self._order.append(entries.ended(self._thread, place, run, event))

    def _result(self, event: Event, place: str) -> None:
        id = name_of(event.get("messageId")) or name_of(event.get("toolCallId"))
        key = ("result", id)
        self._known.add(("answered", name_of(event.get("toolCallId"))))
        if key not in self._known:
            one = Growing(key, "result", place, event, self._run_of(event), content=event.get("content"))
            self._add(one).ended = self._runs
            one.learn(event)

    def _messages(self, messages: JsonValue, place: str) -> None:
        """Messages that are told at once; those that are known by now stay as they are."""
        for message in objects(messages):
            if name_of(message.get("id")) is None:
                continue
            for one in snapshot(message, place, None):
                again = one.kind == "result" and ("answered", name_of(message.get("toolCallId"))) in self._known
                if one.key not in self._known and not again:
                    self._add(one).ended = self._runs

    def _activity(self, event: Event, place: str) -> None:
        key = self._key(event, "activity", "messageId")
        one = self._held.get(key)
        if one is None and key in self._known:
            return
        one = one or self._add(Growing(key, "activity", place, event, self._run_of(event)))
        one.ended = self._runs
        one.learn(event)
        if event["type"] == "ACTIVITY_SNAPSHOT":
            one.content = event.get("content")
        else:
            one.content = patched(one.content, event.get("patch"))

    def _encrypted(self, event: Event, place: str) -> None:
        kinds = ("call", "message") if event.get("subtype") == "tool-call" else ("reasoning", "message")
        found = (self._held.get((kind, name_of(event.get("entityId")))) for kind in kinds)
        one = next(filter(None, found), None)
        if one is None:
            self._other(event, str(event["type"]), place)
        else:
            one.more["encrypted_value"] = event.get("encryptedValue")

    def _custom(self, event: Event, place: str) -> None:
        """What somebody added; what our encoder adds goes back to where it was."""
        name, value = event.get("name"), inner(event, "value")
        if name == "chatstore.run" and name_of(value.get("id")) and value.get("state") != "running":
            data = {key: one for key, one in value.items() if one is not None}
            self._whole("run_ended", place, str(value["id"]), {"run_id": str(value["id"]), **data})
        elif name == "chatstore.block":
            self._marked(value, place)
        else:
            self._other(event, "CUSTOM", place)

    def _marked(self, value: Event, place: str) -> None:
        kinds = ("message", "call", "reasoning", "result", "activity")
        key: Key | None = next(
            (one for one in ((kind, name_of(value.get("id"))) for kind in kinds) if one in self._known), None
        )
        given = ((name_of(one.get("kind")), name_of(one.get("name")), one) for one in objects(value.get("tags")))
        tags = [Tag(kind=kind, name=name, value=one.get("value")) for kind, name, one in given if kind and name]
        usage = inner(value, "usage") or None
        if key is not None and (found := self._held.get(key)) is not None:
            found.tags, found.usage = tags or found.tags, usage or found.usage
        elif key is not None:
            self._told.append(Later(self._thread, place, key, usage=usage, tags=tags))

    def _other(self, event: Event, type: str, place: str) -> None:
        """State, steps, raw events and what is not known: kept as it came, for nobody's eyes."""
        name = event.get("stepName", event.get("name"))
        self._whole(
            type.lower(), place, self._numbers[self._run], {"event": event}, text=name if isinstance(name, str) else ""
        )

    def _whole(self, type: str, place: str, id: object, data: JsonValue, **options: Any) -> None:
        key = key_of(type, self._run, id)
        self._order.append(entries.whole(self._thread, place, key, type, self._run, data, **options))

    def _run_of(self, event: Event) -> str | None:
        return name_of(event.get("subagentRunId")) or self._run

    def _flush(self, *, everything: bool = False) -> None:
        """What was told, in the order in which it began, up to a message that may still go on."""
        done = 0
        for one in self._order:
            if isinstance(one, Entry):
                self._told.append(one)
            elif everything or (one.ended is not None and one.ended < self._runs):
                del self._held[one.key]
                self._told.append(entries.message(self._thread, one))
            else:
                break
            done += 1
        del self._order[:done]
