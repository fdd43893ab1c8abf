"""Streams of Substrate: what each node of a graph gives, as it comes.

Source: the messages of `substrate` 220240617.1.8 and of its TypeScript twin, which names a node `nodeId`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from chatstore.async_history import AsyncHistory
from chatstore.history import History
from chatstore.model import JsonValue
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Put, Script, Step, as_json
from chatstore.recorders.machine.start import start

E = TypeVar("E")
Path: TypeAlias = tuple[str | int, ...]


@overload
def record(source: Iterable[E], history: History, **options: Unpack[RecordOptions]) -> Recording[E]: ...
@overload
def record(source: AsyncIterable[E], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[E]: ...
@overload
def record(source: Any, history: History, **options: Unpack[RecordOptions]) -> Recording[Any]: ...
@overload
def record(source: Any, history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[Any]: ...
def record(source: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records what `substrate.stream(…)` or `async_stream(…)` gave: the response, or what its `iter()` gives.

    Each node is a message by an author of its name. Where a node gives several texts at once, as a list of choices,
    the first is the message's, and the others are blocks of the type `output`, whose parent it is and whose
    `data["path"]` says where they belong. What a node gave in the end is in the message's `data["result"]`. The run is
    completed by the result of the whole graph, a block of the type `result`; a node that failed does not fail it.
    """
    events = getattr(source, "async_iter" if isinstance(history, AsyncHistory) else "iter", None)
    return start(GraphScript(), source if events is None else events(), history, options)


@dataclass(slots=True)
class _Node:
    """A node that has begun, with the places of its texts; the first is that of the message's."""

    name: str
    paths: list[Path] = field(default_factory=list)

    def key(self, path: Path) -> Any:
        return self.name if path == self.paths[0] else (self.name, path)


class GraphScript(Script[Any]):
    """The messages of a graph: events of the client, or the dicts in them."""

    extra = "substrate"

    def __init__(self) -> None:
        super().__init__()
        self._nodes: dict[str, _Node] = {}

    def read(self, event: Any) -> Iterator[Step]:
        """A message; events without one, and kinds that are not known, are passed by."""
        message = event if isinstance(event, Mapping) else _message(event)
        kind, data = message.get("object"), message.get("data")
        name = message.get("node_id") or message.get("nodeId")
        if kind == "graph.result":
            self.complete = True
            yield Put("result", data={"result": as_json(data)})
        elif kind == "node.error" and name is None:
            self.error: str | None = _complaint(data)
        elif name is not None and kind == "node.delta":
            yield from self._delta(self._nodes.setdefault(name, _Node(name)), data)
        elif name is not None and kind == "node.result":
            yield from self._result(name, data)
        elif name is not None and kind == "node.error":
            yield from self._failed(name, data)

    def finish(self) -> Iterator[Step]:
        """Nodes that said no more end with their graph."""
        for name in [*self._nodes]:
            yield from self._end(name, Finish(name))

    def _delta(self, node: _Node, data: Any) -> Iterator[Step]:
        for path, text in _texts(data):
            if path not in node.paths:
                node.paths.append(path)
                yield self._begin(node, path)
            yield Grow(node.key(path), text)

    def _begin(self, node: _Node, path: Path) -> Begin:
        if len(node.paths) == 1:
            return Begin(node.name, role="assistant", author=node.name, data={"node_id": node.name, "path": [*path]})
        data = {"node_id": node.name, "path": [*path]}
        return Begin(node.key(path), "output", "assistant", author=node.name, data=data, parent=node.name)

    def _result(self, name: str, data: Any) -> Iterator[Step]:
        texts = [*_texts(data)]
        node = self._nodes.setdefault(name, _Node(name))
        if not node.paths:
            first, text = texts[0] if texts else ((), json.dumps(as_json(data), ensure_ascii=False))
            node.paths.append(first)
            yield self._begin(node, first)
            texts = texts or [(first, text)]
        whole = dict(texts)
        ended = {"node_id": name, "path": [*node.paths[0]], "result": as_json(data)}
        yield from self._end(name, Finish(name, whole.get(node.paths[0]), ended), whole)

    def _failed(self, name: str, data: Any) -> Iterator[Step]:
        node = self._nodes.setdefault(name, _Node(name))
        if not node.paths:
            node.paths.append(())
            yield self._begin(node, ())
        yield from self._end(name, Finish(name, error=_complaint(data)))

    def _end(self, name: str, ending: Finish, whole: Mapping[Path, str] | None = None) -> Iterator[Step]:
        node = self._nodes.pop(name)
        for path in node.paths[1:]:
            text = None if whole is None else whole.get(path)
            yield Finish(node.key(path), text, error=ending.error)
        yield ending


def _message(event: Any) -> Mapping[str, Any]:
    """What an event carries; the client's own property raises where that is nothing, as behind a comment."""
    raw = getattr(getattr(event, "event", event), "data", None)
    try:
        message = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        return {}
    return message if isinstance(message, Mapping) else {}


def _texts(data: JsonValue, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each text in what a node gives, with its place. An item of a list comes as `array.item` while it grows."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _texts(item, (*path, index))
    elif isinstance(data, Mapping) and data.get("object") == "array.item":
        yield from _texts(data.get("item"), (*path, data.get("index", 0)))
    elif isinstance(data, Mapping):
        for name, item in data.items():
            yield from _texts(item, (*path, name))


def _complaint(data: Any) -> str:
    if isinstance(data, Mapping):
        return ": ".join(str(data[name]) for name in ("type", "message") if data.get(name))
    return str(data)
