"""Which entries of Claude Code's logs are of an agent, of which one, and which call began it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from typing import Final

from chatstore.importing.values import inner, name_of, objects
from chatstore.model import JsonValue, Tag
from chatstore.recorders import Put

_REMEMBERED: Final = 10_000


class Agents:
    """The agents of a log; `only`: the one that all of it is of.

    Newer versions give agents ids. Of older ones an agent is the chain of entries that hang together, and goes by the
    first of them; the call that began it is the one that gave it what it begins with.
    """

    def __init__(self, only: str | None) -> None:
        self._only = only
        self._chains: OrderedDict[str, str] = OrderedDict()
        self._given: OrderedDict[str, str] = OrderedDict()
        self._told: list[tuple[str, str]] = []

    def of(self, entry: dict[str, JsonValue], key: str, puts: Sequence[Put]) -> str | None:
        """The id of the agent that an entry is of; None for the session itself."""
        if self._only is not None:
            return self._only
        if entry.get("isSidechain") is not True:
            self._learn(entry)
            return None
        return name_of(entry.get("agentId")) or self._chain(entry, key, puts)

    def calls(self) -> Iterator[tuple[Hashable, Tag]]:
        """Calls of the session that are known by now to have begun an agent, once, with the tag that names it."""
        told, self._told = self._told, []
        for call, agent in told:
            yield ("call", call), Tag(kind="claude_code", name="agent", value=agent)

    def _learn(self, entry: dict[str, JsonValue]) -> None:
        agent = name_of(inner(entry, "toolUseResult").get("agentId"))
        for item in objects(inner(entry, "message").get("content")):
            id = name_of(item.get("tool_use_id")) if agent is not None else None
            if id is not None and agent is not None:
                self._told.append((id, agent))
            prompt, call = inner(item, "input").get("prompt"), name_of(item.get("id"))
            if item.get("type") == "tool_use" and isinstance(prompt, str) and call is not None:
                _keep(self._given, prompt, call)

    def _chain(self, entry: dict[str, JsonValue], key: str, puts: Sequence[Put]) -> str:
        above = name_of(entry.get("parentUuid"))
        first = None if above is None else self._chains.get(above)
        if first is None:
            first = key
            call = self._given.pop(puts[0].text, None)
            if call is not None:
                self._told.append((call, first))
        _keep(self._chains, key, first)
        return first


def _keep(known: OrderedDict[str, str], key: str, value: str) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
