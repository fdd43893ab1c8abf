"""What runs in an invocation of LangChain's, and who speaks there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatstore.errors import RunCancelled
from chatstore.model import JsonValue
from chatstore.recorders.langchain.answer import Answer
from chatstore.recorders.machine.script import Key
from chatstore.recorders.shared.names import names_of
from chatstore.recorders.shared.provider_events import plain

_OWN_NODES: Final = frozenset({"model", "tools", "agent"})
"""The nodes that `create_agent` makes: what is said there is said by the agent."""
_NOT_STREAMED: Final = "nostream"
"""LangGraph's tag for models whose text is not to be streamed."""
_STOPPED: Final = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RunCancelled)


@dataclass(frozen=True, slots=True)
class Who:
    """Who speaks, and to whom."""

    author: str | None = None
    internal: bool = False
    streamed: bool = True

    def says(self, role: str | None = "assistant") -> dict[str, Any]:
        """What the blocks of it have."""
        return {"role": role, "author": self.author, "internal": self.internal}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool. `key`: that of its block, if it is one of this invocation."""

    id: Any
    name: Any
    key: Key | None = None


@dataclass
class Run:
    """Something that runs in the invocation. `below`: the block of the call that it works for. `call`: the one that it
    answers. `handed`: to whom something in it handed over. `noted`: what the data of its block has."""

    parent: Run | None
    who: Who
    below: Key | None
    node: bool = False
    answer: Answer | None = None
    call: Call | None = None
    handed: set[str] = field(default_factory=set)
    noted: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def in_node(self) -> Run | None:
        """The run of the node that it is in."""
        found: Run | None = self
        while found is not None and not found.node:
            found = found.parent
        return found


class Cast:
    """Whose text is shown, and whose is streamed, by the names of agents and nodes."""

    def __init__(self, shown: Collection[str] | None, streamed: Collection[str] | None) -> None:
        self._shown, self._streamed = names_of("shown", shown), names_of("streamed", streamed)

    def who(self, metadata: Mapping[str, Any], tags: Collection[str], below: Key | None) -> Who:
        """Who speaks in a run: the agent, or the innermost node that somebody named."""
        namespace = str(metadata.get("langgraph_checkpoint_ns") or "")
        path = [part.partition(":")[0] for part in namespace.split("|") if part]
        agent = metadata.get("lc_agent_name")
        own = [name for name in path if name not in _OWN_NODES and "." not in name]
        names = {agent, *path, metadata.get("langgraph_node")}
        hidden = below is not None if self._shown is None else not names & self._shown
        streamed = self._streamed is None or bool(names & self._streamed)
        return Who(agent or (own[-1] if own else None), hidden, streamed and _NOT_STREAMED not in tags)


def is_stop(error: Any) -> bool:
    """Whether somebody stopped it, and nothing went wrong."""
    return isinstance(error, _STOPPED)


def bubbles(error: Any) -> bool:
    """Whether it is how LangGraph tells the graphs around of something, and no error."""
    return any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__)


def say(error: Any) -> str:
    """What went wrong, in a line."""
    return f"{type(error).__name__}: {error}"


def as_text(value: Any) -> str:
    """A value as text: JSON, unless it is text."""
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False, default=str)
