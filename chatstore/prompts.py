"""What a model needs next: calls closed, and histories cut to what fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID, uuid5

from chatstore.errors import InvalidInput
from chatstore.model import Block

_UNANSWERED = UUID("4f7f3c1e-52a5-5d0f-8c1c-0c9f3b1d6a55")
NO_RESULT = "The call was interrupted and has no result."


def close_calls(blocks: Sequence[Block]) -> list[Block]:
    """The blocks of a prompt, with a result for every function call that has none among them.

    Providers refuse a call without its result. The results that are made here say that there is none; they stand
    behind their calls, have the calls' indexes and cursors, and are not in the store.
    """
    answered = _answered(blocks)
    closed: list[Block] = []
    missing: list[Block] = []
    for block in blocks:
        if block.type not in ("function_call", "function_result"):
            closed.extend(missing)
            missing = []
        closed.append(block)
        if block.type == "function_call" and block.id not in answered:
            missing.append(_no_result(block))
    return closed + missing


def calls_of(blocks: Iterable[Block]) -> dict[str, str]:
    """For each function result, by its id, the id of the call that it answers.

    By its parent; or else, because real models reuse call ids, the latest earlier call with its call id.
    """
    by_call_id: dict[str, str] = {}
    known: set[str] = set()
    found: dict[str, str] = {}
    for block in blocks:
        call_id = block.data.get("call_id") if isinstance(block.data, dict) else None
        if block.type == "function_call":
            known.add(block.id)
            if isinstance(call_id, str):
                by_call_id[call_id] = block.id
        elif block.type == "function_result":
            if block.parent_id in known:
                found[block.id] = str(block.parent_id)
            elif isinstance(call_id, str) and call_id in by_call_id:
                found[block.id] = by_call_id[call_id]
    return found


def last_turns(blocks: Sequence[Block], turns: int) -> list[Block]:
    """The last `turns` turns of a list of blocks, and the system prompt that stands before the first of all.

    A turn begins with a user message and has all that follows it.
    """
    if turns < 0:
        raise InvalidInput("turns is a number of at least 0")
    starts = [place for place, block in enumerate(blocks) if _begins_turn(block)]
    if turns >= len(starts):
        return list(blocks)
    start = starts[-turns] if turns else len(blocks)
    return [*_preamble(blocks[:start]), *blocks[start:]]


def within_tokens(blocks: Sequence[Block], max_tokens: int, count: Callable[[Block], int]) -> list[Block]:
    """The longest end of a list of blocks that has at most `max_tokens`, as `count` counts a block's.

    The system prompt stays, whatever it costs, and is counted. Calls and results are kept or left out together; the
    rest begins with a turn where one begins in it.
    """
    preamble = _preamble(blocks)
    rest = blocks[len(preamble) :]
    left = max_tokens - sum(map(count, preamble))
    start = len(rest)
    for group_start, group in _groups_from_the_end(rest):
        left -= sum(map(count, group))
        if left < 0:
            break
        start = group_start
    kept = rest[start:]
    turn = next((place for place, block in enumerate(kept) if _begins_turn(block)), 0)
    return [*preamble, *kept[turn:]]


def _preamble(blocks: Sequence[Block]) -> list[Block]:
    found = []
    for block in blocks:
        if block.type != "message" or block.role not in ("system", "developer"):
            break
        found.append(block)
    return found


def _begins_turn(block: Block) -> bool:
    return block.type == "message" and block.role == "user"


def _groups_from_the_end(blocks: Sequence[Block]) -> Iterator[tuple[int, Sequence[Block]]]:
    """Blocks that are kept or left out together: a message alone, calls with what comes until they have results."""
    end = len(blocks)
    place = end
    calls = calls_of(blocks)
    wanted: set[str] = set()
    while place > 0:
        place -= 1
        block = blocks[place]
        if block.id in calls:
            wanted.add(calls[block.id])
        wanted.discard(block.id)
        follows_call = place > 0 and blocks[place - 1].type == "function_call" and block.type == "function_call"
        if not wanted and not follows_call:
            yield place, blocks[place:end]
            end = place
    if end:
        yield 0, blocks[:end]


def _answered(blocks: Sequence[Block]) -> set[str]:
    return set(calls_of(blocks).values())


def _no_result(call: Block) -> Block:
    data = call.data if isinstance(call.data, dict) else {}
    return call.model_copy(
        update={
            "id": str(uuid5(_UNANSWERED, call.id)),
            "type": "function_result",
            "role": "tool",
            "parent_id": call.id,
            "text": NO_RESULT,
            "data": {"call_id": data.get("call_id"), "name": data.get("name"), "is_error": True},
            "parts": (),
            "tags": (),
            "state": "interrupted",
            "usage": None,
        }
    )
