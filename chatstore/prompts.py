"""What a model needs next: calls with their results, and histories cut to what fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar
from uuid import UUID, uuid5

from chatstore import checks
from chatstore.model import Block, JsonValue

K = TypeVar("K", bound=Hashable)

NO_RESULT: Final = "No result: the call was interrupted, or has not come to its end."
"""What stands in a prompt for a result that is not there."""

_UNANSWERED = UUID("4f7f3c1e-52a5-5d0f-8c1c-0c9f3b1d6a55")
_CALL_TYPES = frozenset({"function_call", "function_result"})


def close_calls(blocks: Sequence[Block]) -> list[Block]:
    """The blocks of a prompt, each call with a result and each result with its call, as providers demand it.

    For a call that has no result among the blocks, one is made that says so: it stands behind the calls it was made
    with, has the call's index and cursor, and is not in the store. A result whose call is not among them is left out.
    """
    calls = calls_of(blocks)
    answered = set(calls.values())
    closed: list[Block] = []
    missing: list[Block] = []
    for block in blocks:
        if block.type == "function_result" and block.id not in calls:
            continue
        if block.type not in _CALL_TYPES:
            closed += missing
            missing = []
        closed.append(block)
        if block.type == "function_call" and block.id not in answered:
            missing.append(_no_result(block))
    return closed + missing


def calls_of(blocks: Iterable[Block]) -> dict[str, str]:
    """For each function result, by its id, the id of the call among the blocks that it answers.

    It is the result's parent, and none where that is not among them. Only a result without a parent goes by its call
    id: in a window it would be taken for that of another call with the same id.
    """
    known: set[str] = set()
    calls: OpenCalls[str] = OpenCalls()
    found: dict[str, str] = {}
    group = 0
    for block in blocks:
        if block.type == "function_call":
            calls.add(block.id, group, _field(block, "call_id"), _field(block, "name"))
            known.add(block.id)
        else:
            group += 1
        if block.type == "function_result":
            call = block.parent_id or calls.answer(_field(block, "call_id"), _field(block, "name"))
            if call in known:
                found[block.id] = call
                calls.close(call)
    return found


class OpenCalls(Generic[K]):
    """The function calls so far, to find the one that a result answers by its call id or its function's name.

    Real models use a call id again within one conversation, and some give none.
    """

    def __init__(self) -> None:
        self._open: dict[K, tuple[int, str | None, str | None]] = {}
        self._last: dict[str, K] = {}

    def add(self, call: K, group: int, call_id: str | None, name: str | None) -> None:
        """Takes up a call; those made together are of one group, and groups are numbered upward."""
        self._open[call] = (group, call_id, name)
        if call_id is not None:
            self._last[call_id] = call

    def close(self, call: K) -> None:
        """Notes that a call has a result."""
        self._open.pop(call, None)

    def answer(self, call_id: str | None, name: str | None) -> K | None:
        """The call that a result with this id answers; without an id, one of this name, or any.

        It is the first open call of the last group that has one; where none is open, the last call of that id.
        """
        meant = {
            call: group
            for call, (group, its_id, its_name) in self._open.items()
            if (its_id == call_id if call_id is not None else name in (None, its_name))
        }
        if not meant:
            return None if call_id is None else self._last.get(call_id)
        last = max(meant.values())
        call = next(call for call, group in meant.items() if group == last)
        self.close(call)
        return call


def last_turns(blocks: Sequence[Block], turns: int) -> list[Block]:
    """The last `turns` turns of a list of blocks, and the system prompt that stands before the first of all.

    A turn begins with a user message and has all that follows it, but for the results of calls that were made before.
    """
    checks.count(turns, "turns")
    starts = [place for place, block in enumerate(blocks) if _begins_turn(block)]
    if turns >= len(starts):
        return list(blocks)
    start = starts[-turns] if turns else len(blocks)
    return [*_preamble(blocks[:start]), *_end(blocks, start, calls_of(blocks))]


def within_tokens(blocks: Sequence[Block], max_tokens: int, count: Callable[[Block], int]) -> list[Block]:
    """The longest end of a list of blocks that has at most `max_tokens`, as `count` counts those of a block.

    The system prompt stays, whatever it costs, and is counted. Calls and their results are kept or left out together.
    What is kept begins with a turn, unless not even the last turn fits: then it is the end of that one.

    ```python
    prompt = history.get_messages(kind="prompt", last=200)
    messages = to_openai(within_tokens(prompt, 8_000, lambda block: len(block.text) // 4))
    ```
    """
    preamble = _preamble(blocks)
    rest = blocks[len(preamble) :]
    calls = calls_of(rest)
    start = _affordable(rest, calls, checks.count(max_tokens, "max_tokens") - sum(map(count, preamble)), count)
    turn = next((place for place in range(start, len(rest)) if _begins_turn(rest[place])), start)
    return [*preamble, *_end(rest, turn, calls)]


def _affordable(blocks: Sequence[Block], calls: dict[str, str], budget: int, count: Callable[[Block], int]) -> int:
    """Where the longest end begins whose cost is within a budget. A call costs as much as its results with it."""
    results = defaultdict(list)
    for block in blocks:
        if block.id in calls:
            results[calls[block.id]].append(block)
    start = len(blocks)
    while start > 0:
        block = blocks[start - 1]
        if block.type != "function_result":
            budget -= count(block) + sum(map(count, results[block.id]))
        if budget < 0:
            break
        start -= 1
    return start


def _end(blocks: Sequence[Block], start: int, calls: dict[str, str]) -> list[Block]:
    """The blocks from a place on, without results whose calls stand before it."""
    kept = {block.id for block in blocks[start:]}
    return [block for block in blocks[start:] if block.type != "function_result" or calls.get(block.id) in kept]


def _preamble(blocks: Sequence[Block]) -> list[Block]:
    found = []
    for block in blocks:
        if block.type != "message" or block.role not in ("system", "developer"):
            break
        found.append(block)
    return found


def _begins_turn(block: Block) -> bool:
    return block.type == "message" and block.role == "user"


def _field(block: Block, name: str) -> str | None:
    value: JsonValue = block.data.get(name) if isinstance(block.data, dict) else None
    return value if isinstance(value, str) else None


def _no_result(call: Block) -> Block:
    data = {"call_id": _field(call, "call_id"), "name": _field(call, "name"), "is_error": True}
    own = {"id": str(uuid5(_UNANSWERED, call.id)), "parent_id": call.id, "data": data, "text": NO_RESULT}
    kind = {"type": "function_result", "role": "tool", "state": "interrupted"}
    return call.model_copy(update={**own, **kind, "parts": (), "tags": (), "usage": None})
