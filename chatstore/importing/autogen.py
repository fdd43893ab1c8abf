"""What `save_state()` of a team or an agent of AutoGen gives, as JSON.

Seen with autogen-agentchat 0.7.5. The thread of who manages the group is what was said; of what an agent remembers,
what the thread does not have is stored behind it, internal. For an agent alone, what it remembers is what was said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from chatstore.errors import InvalidInput
from chatstore.importing.autogen_thread import Known, of_context, of_thread
from chatstore.importing.entries import Entry, Found, Source, Unread
from chatstore.importing.values import an_object, digest_of, document, inner, key_of, name_of
from chatstore.model import JsonValue

_DEEPEST: Final = 20


def read(source: Source) -> Iterator[Found]:
    """The messages of a state."""
    try:
        state = an_object(document(source.raw), "the state")
        if not _is_state(state):
            raise InvalidInput("it is no state of AutoGen: it has neither agent_states nor an llm_context")
        yield from _State(source.name).team(state, "", 0)
    except InvalidInput as error:
        yield Unread("", str(error))


def _is_state(state: dict[str, JsonValue]) -> bool:
    return any(name in state for name in ("agent_states", "llm_context", "message_thread", "inner_team_state"))


class _State:
    """A state, as far as it was told."""

    def __init__(self, context: str) -> None:
        self._context = context
        self._known = Known()
        self._repeated: dict[str, int] = {}

    def team(self, state: dict[str, JsonValue], inside: str, depth: int) -> Iterator[Found]:
        """A team, an agent or a manager: the thread first, then what agents remember beside it."""
        if depth > _DEEPEST:
            yield Unread(inside, "teams within teams are nested too deep")
            return
        members = inner(state, "agent_states")
        told = "message_thread" in state or any("message_thread" in inner(members, name) for name in members)
        for name, member in [("", state), *members.items()]:
            thread = member.get("message_thread") if isinstance(member, dict) else None
            yield from self._thread(thread, inside, f"{inside}{name or 'state'}")
        yield from self._context_of(inner(state, "llm_context"), inside, internal=bool(inside))
        for name in members:
            member = inner(members, name)
            agent = inner(member, "agent_state") or member
            place = f"{inside}{name}"
            yield from self._context_of(inner(agent, "llm_context"), place, internal=told or bool(inside))
            if team := inner(agent, "inner_team_state"):
                yield from self.team(team, f"{place}/", depth + 1)
        if team := inner(state, "inner_team_state"):
            yield from self.team(team, f"{inside}inner/", depth + 1)

    def _thread(self, thread: JsonValue, inside: str, place: str) -> Iterator[Found]:
        for number, message in enumerate(thread if isinstance(thread, list) else ()):
            yield from self._message(message, inside, f"{place} message {number}", thread=True, internal=bool(inside))

    def _context_of(self, context: dict[str, JsonValue], agent: str, *, internal: bool) -> Iterator[Found]:
        messages = context.get("messages")
        for number, message in enumerate(messages if isinstance(messages, list) else ()):
            place = f"{agent or 'state'} llm_context message {number}"
            yield from self._message(message, agent, place, thread=False, internal=internal)

    def _message(self, value: JsonValue, agent: str, place: str, *, thread: bool, internal: bool) -> Iterator[Found]:
        try:
            message = an_object(value, "the message")
            if not thread and self._known.has(message):
                return
            author = name_of(agent.rpartition("/")[2]) if not thread else None
            puts = of_thread(message) if thread else of_context(message, author)
            for put in puts:
                put.internal = put.internal or internal
            if thread:
                self._known.add(message)
            yield Entry(self._context, place, self._key(message, agent), puts)
        except InvalidInput as error:
            yield Unread(place, str(error))

    def _key(self, message: dict[str, JsonValue], agent: str) -> str:
        """The message's id; what an agent remembers has none, and may be cut at its begin."""
        if (id := name_of(message.get("id"))) is not None:
            return key_of(id)
        digest = digest_of(f"{agent}\0{json.dumps(message, sort_keys=True)}".encode("utf-8", "surrogatepass"))
        number = self._repeated[digest] = self._repeated.get(digest, 0) + 1
        return key_of(digest, number)
