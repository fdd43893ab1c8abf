"""The messages of a prompt as every provider takes them: each with its calls, and their results directly behind.

Blocks come in any order that a history can have: results late or twice or never, other messages between a call and
its result, windows that begin in the middle of it all. Here is what becomes of them, whatever the provider.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatstore.checks import parsed_json
from chatstore.errors import InvalidInput
from chatstore.formats.openai_message import groups
from chatstore.kinds import PROMPT, views_of
from chatstore.model import Block, JsonValue
from chatstore.prompts import calls_of, close_calls

FAILED: Final = "The call failed."
"""What is said for a result that is an error and says nothing."""

_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Call:
    """A function call and what came of it: one result or several.

    `id` is its call id where that is one for every provider, at most 40 of the characters a-z A-Z 0-9 _ -, and no
    earlier call of the request has it; otherwise the id of its block.
    """

    id: str
    block: Block
    results: Sequence[Block]

    @property
    def name(self) -> str:
        """The function's name, with `_` for the characters that providers refuse."""
        name = _field(self.block, "name")
        return _NOT_IN_A_NAME.sub("_", name)[:_LONGEST_NAME] if isinstance(name, str) and name else "unknown"

    @property
    def is_error(self) -> bool:
        """Whether a result is an error."""
        return any(_field(result, "is_error") is True for result in self.results)

    @property
    def text(self) -> str:
        """The arguments as the model wrote them, JSON or not; `{}` where it wrote nothing."""
        if self.block.text.strip():
            return self.block.text
        given = _field(self.block, "arguments")
        return "{}" if given is None else json.dumps(given, ensure_ascii=False)

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """The arguments as an object; what is none is its one member, `arguments`: the value, or the text as it is."""
        given = _field(self.block, "arguments")
        found = parsed_json(self.text) if given is None else given
        return found if isinstance(found, dict) else {"arguments": self.text if found is None else found}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message: who speaks, what was thought and said, and the calls with their results."""

    role: str
    author: str | None
    thoughts: Sequence[Block]
    said: Block | None
    calls: Sequence[Call]


def exchanges(blocks: Iterable[Block]) -> Iterator[Exchange]:
    """The exchanges that blocks make; statuses, errors and other blocks that are not for a model are left out.

    A result moves behind its call; one without a call is left out, and a call without a result gets one that says so.
    """
    known = close_calls(_for_a_model(blocks))
    results = defaultdict(list)
    by_id = {block.id: block for block in known}
    for result, call in calls_of(known).items():
        results[call].append(by_id[result])
    ids = _request_ids([block for block in known if block.type == "function_call"])
    for group in groups(known):
        if group[0].type == "function_result":
            continue
        said = next((block for block in group if block.type == "message"), None)
        yield Exchange(
            role="assistant" if said is None else said.role or "user",
            author=group[0].author,
            thoughts=[block for block in group if block.type == "reasoning"],
            said=said,
            calls=[Call(ids[block.id], block, results[block.id]) for block in group if block.type == "function_call"],
        )


def _for_a_model(blocks: Iterable[Block]) -> list[Block]:
    distinct: dict[str, Block] = {}
    for block in blocks:
        if not isinstance(block, Block):
            raise InvalidInput(f"blocks are needed, as get_messages returns them, not {type(block).__name__}")
        if block.type == "reasoning" or views_of(block.type, block.role, block.internal) & PROMPT:
            distinct[block.id] = block
    return list(distinct.values())


def _request_ids(calls: Sequence[Block]) -> dict[str, str]:
    taken = {call.id for call in calls}
    ids: dict[str, str] = {}
    for call in calls:
        given = _field(call, "call_id")
        usable = isinstance(given, str) and _ID.fullmatch(given) and given not in taken
        ids[call.id] = given if usable else call.id
        taken.add(ids[call.id])
    return ids


def _field(block: Block, name: str) -> Any:
    return block.data.get(name) if isinstance(block.data, dict) else None
