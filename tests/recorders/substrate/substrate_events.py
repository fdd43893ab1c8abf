"""The events that the real client of Substrate gives of graphs, read from a server that streams them."""

from __future__ import annotations

from typing import Any

from graphs import node, serving, sse


def item(index: int, text: str) -> dict[str, Any]:
    """A piece of one of several texts."""
    return {"object": "array.item", "index": index, "item": {"text": text}}


WHOLE: list[dict[str, Any]] = [
    {"object": "node.delta", "node_id": "First", "data": {"text": "Wind"}},
    {"object": "node.delta", "node_id": "First", "data": {"text": "mills "}},
    {"object": "node.delta", "node_id": "First", "data": {"text": "turn"}},
    {"object": "node.delta", "node_id": "Many", "data": {"choices": item(0, "a")}},
    {"object": "node.delta", "node_id": "Many", "data": {"choices": item(1, "x")}},
    {"object": "node.result", "node_id": "First", "data": {"text": "Windmills turn"}},
    {"object": "node.result", "node_id": "Many", "data": {"choices": [{"text": "a"}, {"text": "x"}]}},
    {"object": "graph.result", "data": {"First": {"text": "Windmills turn"}}},
]


def of_a_graph() -> list[Any]:
    """Events of two nodes that answer, and of their graph."""
    with serving(sse(WHOLE)) as client:
        return [*client.stream(node()).iter()]
