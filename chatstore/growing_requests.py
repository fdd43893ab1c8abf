"""From the parameters of public calls to open blocks and runs: what `requests` is for whole blocks and reads."""

from __future__ import annotations

import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Final

from chatstore import checks
from chatstore.cursor import Cursor
from chatstore.errors import InvalidInput, KeyConflict
from chatstore.limits import Limits
from chatstore.model import Block, JsonValue, Run, RunError, State
from chatstore.operations import running
from chatstore.operations.appending import Append, NewBlock
from chatstore.operations.appending import append as append_blocks
from chatstore.operations.appending import check as check_append
from chatstore.operations.growing import Ending
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.redaction import redacted_json, redacted_or_hidden
from chatstore.requests import AppendOptions, append_named, split
from chatstore.requests import usage as usage_json
from chatstore.writing import drafts
from chatstore.writing.drafts import RULES, BlockOptions, Rules, rules_of
from chatstore.writing.lease import LeaseHolder

LONGEST_ERROR: Final = 1_000_000
"""Bytes that are kept of an error's message and of a traceback; less where a store's `block_bytes` are."""
CUT: Final = " [cut]"
_WIDEST: Final = Rules(Limits(block_bytes=900_000_000, depth=200))
"""The widest limits that a store may have. Those of the block's own store are applied later, by `ruled`."""


def text(value: object) -> str:
    """Text to append to an open block."""
    return checks.text(value, "text")


def ending(
    state: State,
    *,
    data: JsonValue = None,
    usage: Mapping[str, JsonValue] | None = None,
    error: BaseException | str | None = None,
) -> Ending:
    """How an open block ends."""
    return Ending(
        state,
        None if data is None else checks.json_text(data, "data", _WIDEST.limits.depth),
        None if usage is None else usage_json(usage, _WIDEST),
        None if error is None else error_json(error),
    )


def ruled(ending: Ending, context: ContextRef, *, refuse: bool = False) -> Ending:
    """An ending under the rules of a block's context; `refuse`: the whole block has to be within the limits, too."""
    rules = rules_of(context)
    data = None if ending.data is None else _data_json(json.loads(ending.data), rules)
    usage = None if ending.usage is None else usage_json(json.loads(ending.usage), rules)
    error = None if ending.error is None else error_json(RunError(**json.loads(ending.error)), context)
    return Ending(ending.state, data, usage, error, rules.limits, refuse)


def _data_json(data: JsonValue, rules: Rules) -> str:
    shown = data if rules.redact is None else redacted_json(rules.redact, data)
    return checks.json_text(shown, "data", rules.limits.depth)


def error_json(error: BaseException | RunError | str, context: ContextRef | None = None) -> str:
    """Type and message of an error, as JSON. A traceback is for developers and not part of it."""
    if isinstance(error, RunError):
        found = {"type": error.type, "message": error.message}
    elif isinstance(error, BaseException):
        found = {"type": type(error).__name__, "message": _message(error)}
    else:
        found = {"type": "Error", "message": error}
    found = {"type": printable(found["type"]), "message": trace_text(found["message"], context)}
    return checks.json_text(found, "the error")


def trace_text(text: str, context: ContextRef | None = None) -> str:
    """Text about an error that can be stored, whatever was in it; `[redacted]`, if it cannot be redacted.

    An error is never lost to a limit: text that is too long is cut, and says so.
    """
    rules = RULES if context is None else rules_of(context)
    shown = printable(text) if rules.redact is None else redacted_or_hidden(rules.redact, printable(text))
    most = min(LONGEST_ERROR, rules.limits.block_bytes)
    encoded = shown.encode()
    return shown if len(encoded) <= most else encoded[: max(0, most - len(CUT))].decode(errors="ignore") + CUT


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be read: {type(broken).__name__})"


def growing_options(options: AppendOptions) -> BlockOptions:
    """The options of a block that is opened, not appended whole."""
    own, key, expect = split(options)
    if key is not None or expect is not None:
        raise InvalidInput("text that comes from an iterator takes no key= and no expect=")
    return own


async def pieces(text: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    """Pieces of text from an iterator of either kind."""
    if isinstance(text, AsyncIterable):
        async for piece in text:
            yield piece
    else:
        for piece in text:
            yield piece


def printable(text: str) -> str:
    """Text that can be stored, whatever was in it."""
    return text.encode("utf-8", "backslashreplace").decode()


def open_block(
    context: ContextRef, type: str, role: str | None, options: BlockOptions, run_id: str | None, lease: LeaseHolder
) -> Callable[[Transaction], list[Block]]:
    """The write that opens a block."""
    [new] = stamped(drafts.check([drafts.draft(type, role, "", options)], rules_of(context)), run_id)
    return lambda transaction: append_blocks(
        transaction, Append(context, [replace(new, state="open", lease_id=lease.take(transaction))])
    )


def stamped(blocks: Sequence[NewBlock], run_id: str | None) -> Sequence[NewBlock]:
    """The blocks with the run that they are written in; those that name a run of their own keep it."""
    if run_id is None:
        return blocks
    return [replace(block, run_id=run_id) if block.run_id is None else block for block in blocks]


def agent(given: object, *, asynchronous: bool = False) -> None:
    """Raises InvalidInput for what would not work when it is called in the background."""
    if not callable(given):
        raise InvalidInput(f"the agent is not callable: {type(given).__name__}")
    if iscoroutinefunction(given) and not asynchronous:
        raise InvalidInput("the agent is a coroutine function; submit it to an AsyncChatStore")
    if isgeneratorfunction(given) or isasyncgenfunction(given):
        raise InvalidInput("the agent is a generator function, which nobody would step through; write what it yields")


def returned(value: object) -> None:
    """Raises InvalidInput if what an agent returned is a generator: nothing of it was run."""
    if isinstance(value, (Generator, AsyncGenerator)):
        raise InvalidInput("the agent returned a generator, which nobody steps through: nothing of it was run")


def submission(
    context: ContextRef, prompt: str, run_id: str, parent_run_id: str | None, lease: LeaseHolder, options: AppendOptions
) -> Callable[[Transaction], tuple[Run, Cursor]]:
    """The write that starts a run and stores the user message it answers; the cursor lies between the two."""
    asked = append_named(context, "message", "user", prompt, options)
    wanted = replace(asked, blocks=stamped(asked.blocks, run_id), expect=None)

    def submit(transaction: Transaction) -> tuple[Run, Cursor]:
        if (stored := check_append(transaction, asked)) is not None:  # before the run starts, or it would stay
            raise KeyConflict(
                f"key {asked.key!r} was submitted before, as run {stored[0].run_id}; follow that run, or name another"
            )
        run = running.start_run(transaction, context, run_id, parent_run_id, lease.take)
        history = transaction.open_history(context)
        before = transaction.cursors(context.context_id).at(history.head)
        append_blocks(transaction, wanted)
        return run, before

    return submit
