"""From the parameters of a public call to what an operation takes: all that needs no waiting.

The sync and the async classes share it, which leaves them one line a method.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypedDict
from uuid import UUID, uuid5

from chatstore import checks, ids
from chatstore.cursor import NOW, Cursor
from chatstore.errors import InvalidInput, LimitExceeded
from chatstore.kinds import select, tag_names
from chatstore.live.store_subscription import Wanted as StoreWanted
from chatstore.live.subscription import Wanted
from chatstore.model import Block, BlockDraft, JsonValue, Part, Run, State, Tag
from chatstore.operations import running
from chatstore.operations.appending import Append, NewBlock
from chatstore.operations.appending import append as append_blocks
from chatstore.operations.feed import Contexts
from chatstore.operations.growing import Ending
from chatstore.operations.reading import Range
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.writing import drafts
from chatstore.writing.drafts import BlockOptions
from chatstore.writing.lease import LeaseHolder

_CONTEXT_KEYS = UUID("8c2f5ad1-0e0d-5f55-9a3e-5f0b9d0c7a11")
DEFAULT_LIMIT = 1_000


class BlockFilters(TypedDict, total=False):
    """What narrows a kind of read; all that is given must hold, and a block has one of the values of each."""

    types: Iterable[str] | None
    roles: Iterable[str] | None
    authors: Iterable[str] | None
    states: Iterable[str] | None


class Filters(BlockFilters, total=False):
    """In one context also: a block has all the `tags`, given as Tag or (kind, name), and was written in the `run`."""

    tags: Iterable[Tag | tuple[str, str]] | None
    run: str | None


class AppendOptions(BlockOptions, total=False):
    """What every `append_…` method takes beside its text: the block's fields, and how it is appended."""

    key: str | None
    expect: str | None


def context(named: str | Mapping[str, str]) -> ContextRef:
    """The context that an id or context keys name. Keys give an id of their own: a UUIDv5 of the whole of them."""
    if isinstance(named, str):
        return ContextRef(checks.context_id(named))
    if not isinstance(named, Mapping):
        raise InvalidInput(f"a context is named by a str or a dict of context keys, not {type(named).__name__}")
    keys = checks.context_keys(named)
    text = checks.json_text(keys, "the context keys")
    return ContextRef(str(uuid5(_CONTEXT_KEYS, text)), keys, text)


def append(
    context: ContextRef, given: Iterable[BlockDraft], key: str | None = None, expect: str | None = None
) -> Append:
    """An append of drafts."""
    checked = drafts.check(given)
    if key is None:
        return Append(context, checked, expect=expect)
    return Append(context, checked, checks.name(key, "the key"), drafts.digest(checked), expect)


def append_named(context: ContextRef, type: str, role: str | None, text: str, options: AppendOptions) -> Append:
    """An append of one block by a named method."""
    own, key, expect = _split(options)
    return append(context, [drafts.draft(type, role, text, own)], key, expect)


def append_call(
    context: ContextRef, name: str, arguments: object, call_id: str | None, options: AppendOptions
) -> Append:
    """An append of a function call."""
    own, key, expect = _split(options)
    return append(context, [drafts.function_call(name, arguments, call_id, own)], key, expect)


def append_result(
    context: ContextRef,
    text: str,
    call: Block | str | None,
    call_id: str | None,
    name: str | None,
    is_error: bool,
    options: AppendOptions,
) -> Append:
    """An append of a function result."""
    own, key, expect = _split(options)
    return append(context, [drafts.function_result(text, call, call_id, name, is_error, own)], key, expect)


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
        None if data is None else checks.json_text(data, "data"),
        None if usage is None else checks.json_text(dict(usage), "usage"),
        None if error is None else error_json(error),
    )


def error_json(error: BaseException | str) -> str:
    """Type and message of an error, as JSON. A traceback is for developers and not part of it."""
    if isinstance(error, BaseException):
        found = {"type": type(error).__name__, "message": str(error)}
    else:
        found = {"type": "Error", "message": error}
    return checks.json_text({name: printable(text) for name, text in found.items()}, "the error")


def growing_options(options: AppendOptions) -> BlockOptions:
    """The options of a block that is opened, not appended whole."""
    own, key, expect = _split(options)
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
    [new] = stamped(drafts.check([drafts.draft(type, role, "", options)]), run_id)
    return lambda transaction: append_blocks(
        transaction, Append(context, [replace(new, state="open", lease_id=lease.take(transaction))])
    )


def stamped(blocks: Sequence[NewBlock], run_id: str | None) -> Sequence[NewBlock]:
    """Blocks as written in a run; those that name a run of their own keep it."""
    if run_id is None:
        return blocks
    return [replace(block, run_id=run_id) if block.run_id is None else block for block in blocks]


def submission(
    context: ContextRef, prompt: str, run_id: str, parent_run_id: str | None, lease: LeaseHolder, options: AppendOptions
) -> Callable[[Transaction], tuple[Run, Cursor]]:
    """The write that starts a run and stores the user message it answers; the cursor lies between the two."""
    wanted = append_named(context, "message", "user", prompt, {**options, "run_id": run_id})

    def submit(transaction: Transaction) -> tuple[Run, Cursor]:
        run = running.start_run(transaction, context, run_id, parent_run_id, lease.take)
        history = transaction.open_history(context)
        before = transaction.cursors(context.context_id).at(history.head)
        append_blocks(transaction, wanted)
        return run, before

    return submit


def block_id(block: Block | str) -> str:
    """The id of a block given whole or by its id."""
    return block.id if isinstance(block, Block) else block


def tags(given: Sequence[Tag]) -> str:
    """Tags to put on something, as JSON."""
    text = drafts.tags_json(given)
    if text is None:
        raise InvalidInput("no tags given")
    return text


def usage(given: Mapping[str, JsonValue]) -> str:
    """Usage as JSON."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"usage is {type(given).__name__}; it takes a dict")
    return checks.json_text(dict(given), "usage")


def window(
    context_id: str,
    cursors: Cursors,
    *,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> Range:
    """Which of the selected blocks `get_messages` returns."""
    if last is not None and limit is not None:
        raise InvalidInput("limit= counts from the start and last= from the end; give one of them")
    factory = cursors(context_id)
    return Range(
        after=None if after is None else factory.sequence(after),
        before=None if before is None else factory.sequence(before),
        last=None if last is None else checks.count(last, "last"),
        limit=None if limit is None else checks.count(limit, "limit"),
    )


def subscription(
    context_id: str, after: str | None, kind: str, follow: bool, timeout: float | None, filters: Filters
) -> Wanted:
    """What `subscribe` follows."""
    if after is not None and after != NOW and not isinstance(after, str):
        raise InvalidInput(f"after= takes a cursor or 'now', not {type(after).__name__}")
    return Wanted(
        checks.context_id(context_id),
        select(kind=kind, **filters),
        after,
        follow,
        None if timeout is None else checks.seconds(timeout, "timeout"),
    )


def store_subscription(
    after: str | None,
    kind: str,
    keys: Mapping[str, str] | None,
    tags: Iterable[Tag | tuple[str, str]] | None,
    follow: bool,
    timeout: float | None,
    filters: BlockFilters,
) -> StoreWanted:
    """What a store's `subscribe` follows."""
    if after is not None and not isinstance(after, str):
        raise InvalidInput(f"after= takes a cursor or 'now', not {type(after).__name__}")
    chosen = checks.context_keys(keys) if keys else {}
    return StoreWanted(
        select(kind=kind, **filters),
        Contexts(tuple(chosen.items()), tag_names(tags)),
        after,
        follow,
        None if timeout is None else checks.seconds(timeout, "timeout"),
    )


def time_before(seconds: float) -> int:
    """The time so many seconds ago, as it is stored."""
    return ids.now() - round(checks.seconds(seconds, "older_than") * 1_000_000)


class Listing(TypedDict):
    """Which contexts `contexts` lists."""

    keys: Mapping[str, str]
    tags: tuple[tuple[str, str], ...]
    after: str | None
    limit: int


def listing(
    keys: Mapping[str, str] | None,
    tags: Iterable[Tag | tuple[str, str]] | None,
    after: str | None,
    limit: int,
) -> Listing:
    """A checked listing of contexts."""
    return Listing(
        keys=_filter_keys(keys),
        tags=tag_names(tags),
        after=None if after is None else checks.context_id(after),
        limit=checks.count(limit, "limit"),
    )


def _filter_keys(keys: Mapping[str, str] | None) -> Mapping[str, str]:
    if keys is None or keys == {}:
        return {}
    found = checks.context_keys(keys)
    if len(found) > checks.MAX_FILTERS:
        raise LimitExceeded(f"{len(found):,} context keys; at most {checks.MAX_FILTERS} are looked for at once")
    return found


def digest(part: Part | str) -> bytes:
    """The digest of a part's bytes, given as the part or in hexadecimal."""
    text = part.digest if isinstance(part, Part) else part
    try:
        return bytes.fromhex(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InvalidInput("the part has no bytes in the store: it has text, a url, or was not stored yet") from None


def _split(options: AppendOptions) -> tuple[BlockOptions, str | None, str | None]:
    own = {name: value for name, value in options.items() if name not in ("key", "expect")}
    return own, options.get("key"), options.get("expect")  # type: ignore[return-value]
