"""Logs of Claude Code: `~/.claude/projects/<project>/<session>.jsonl`, and those of its agents.

There is no description of the format by who writes it; this reads what versions 1.0 to 2.1 write, and keeps what it
does not know. A session is a context, and what each of its agents said is one below it, internal.
Entries stay in the order of the file: what was rewound is history too, and `parentUuid` tells where it went on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from chatstore.errors import InvalidInput
from chatstore.importing.claude_agents import Agents
from chatstore.importing.claude_blocks import blocks_of
from chatstore.importing.entries import AGENTS, Entry, Found, Later, Source, Unread
from chatstore.importing.values import an_object, digest_of, inner, key_of, lines, name_of, parsed
from chatstore.model import JsonValue

_REMEMBERED: Final = 10_000
AGENT: Final = "agent-"
"""How the names of files begin that are no session, but an agent's part of one."""


def read(source: Source) -> Iterator[Found]:
    """The entries of a log. A line that is broken, as the last one is where the process was killed, is refused."""
    log = _Log(source.name)
    for number, line in lines(source.raw):
        place = f"line {number}"
        try:
            yield from log.take(an_object(parsed(line), "the line"), line or b"", place)
        except InvalidInput as error:
            yield Unread(place, str(error))
    yield from log.end()


class _Log:
    """A file, as far as it was read."""

    def __init__(self, name: str) -> None:
        self._session = None if name.startswith(AGENT) or name == "stdin" else name
        self._name = name
        self._repeated: dict[str, int] = {}
        self._firsts: OrderedDict[str, str] = OrderedDict()
        self._agents = Agents(name.removeprefix(AGENT) if name.startswith(AGENT) else None)
        self._waiting: list[tuple[dict[str, JsonValue], str, str]] = []
        self._cost: tuple[str, Later] | None = None

    def take(self, entry: dict[str, JsonValue], line: bytes, place: str) -> Iterator[Found]:
        """The blocks of an entry. What comes before it is known of which session the log is, waits for that."""
        if not isinstance(entry.get("type"), str):
            raise InvalidInput("it has no `type`, as every entry of a log of Claude Code has")
        self._waiting.append((entry, self._key(entry, line), place))
        self._session = self._session or name_of(entry.get("sessionId"))
        if self._session is not None or len(self._waiting) > _REMEMBERED:
            yield from self._waited(self._session or self._name)

    def end(self) -> Iterator[Found]:
        """What waits until the end, and what the last message cost."""
        yield from self._waited(self._session or self._name)
        yield from self._told_cost()

    def _waited(self, session: str) -> Iterator[Found]:
        self._session = session
        waited, self._waiting = self._waiting, []
        for entry, key, place in waited:
            try:
                yield from self._entry(entry, key, place, session)
            except InvalidInput as error:
                yield Unread(place, str(error))

    def _entry(self, entry: dict[str, JsonValue], key: str, place: str, session: str) -> Iterator[Found]:
        """The blocks of an entry, and what the message before it cost: each piece of a message is an entry."""
        puts = blocks_of(entry)
        agent = self._agents.of(entry, key, puts)
        context = session if agent is None else f"{session}{AGENTS}{agent}"
        yield Entry(context, place, key, puts)
        for call, tag in self._agents.calls():
            yield Later(session, place, call, tags=[tag])
        usage, message = self._usage(entry)
        if usage is None:
            return
        if self._cost is not None and self._cost[0] != message:
            yield from self._told_cost()
        first = self._firsts.setdefault(message, key)
        if len(self._firsts) > _REMEMBERED:
            self._firsts.popitem(last=False)
        self._cost = (message, Later(context, place, first, usage=usage))

    def _told_cost(self) -> Iterator[Found]:
        """What the last message cost, as its last entry tells it."""
        if self._cost is not None:
            yield self._cost[1]
            self._cost = None

    def _usage(self, entry: dict[str, JsonValue]) -> tuple[dict[str, Any] | None, str]:
        """What a message cost as far as it was known, and the message's id; each of its entries tells it again."""
        message = inner(entry, "message")
        usage = message.get("usage")
        id = name_of(message.get("id")) or name_of(entry.get("requestId")) or name_of(entry.get("uuid"))
        return (usage, id) if entry["type"] == "assistant" and isinstance(usage, dict) and usage and id else (None, "")

    def _key(self, entry: dict[str, JsonValue], line: bytes) -> str:
        """The entry's own id, by which one that the log has twice is stored once."""
        if (uuid := name_of(entry.get("uuid"))) is not None:
            return key_of(uuid)
        digest = digest_of(line.strip())
        number = self._repeated[digest] = self._repeated.get(digest, 0) + 1
        return key_of(self._name if self._name.startswith(AGENT) else "", digest, number)
