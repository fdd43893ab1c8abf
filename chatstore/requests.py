"""From the parameters of a public call to what an operation takes: all that needs no waiting.

The sync and the async classes share it, which leaves them one line a method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict
from uuid import UUID, uuid5

from chatstore import checks, ids
from chatstore.cursor import NOW, is_cursor
from chatstore.errors import InvalidInput, LimitExceeded
from chatstore.kinds import KINDS, Selection, select, tag_names
from chatstore.live.store_subscription import Wanted as StoreWanted
from chatstore.live.subscription import Wanted
from chatstore.model import Block, BlockDraft, JsonValue, Part, Tag
from chatstore.operations.appending import Append
from chatstore.operations.feed import Contexts
from chatstore.operations.reading import Range
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import ContextRef
from chatstore.writing import drafts
from chatstore.writing.drafts import RULES, BlockOptions, RuledContext, Rules, rules_of

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


def context(named: str | Mapping[str, str], rules: Rules = RULES) -> ContextRef:
    """The context that an id or context keys name. Keys give an id of their own: a UUIDv5 of the whole of them."""
    if isinstance(named, str):
        return _ruled(ContextRef(checks.context_id(named, limit=rules.limits.name)), rules)
    if not isinstance(named, Mapping):
        raise InvalidInput(f"a context is named by a str or a dict of context keys, not {type(named).__name__}")
    keys = checks.context_keys(named, rules.limits)
    text = checks.json_text(keys, "the context keys")
    return _ruled(ContextRef(str(uuid5(_CONTEXT_KEYS, text)), keys, text), rules)


def _ruled(context: ContextRef, rules: Rules) -> ContextRef:
    if rules is RULES:
        return context
    return RuledContext(context.context_id, context.keys, context.keys_json, rules)


def append(
    context: ContextRef, given: Iterable[BlockDraft], key: str | None = None, expect: str | None = None
) -> Append:
    """An append of drafts."""
    rules = rules_of(context)
    checked = drafts.check(given, rules)
    if key is None:
        return Append(context, checked, expect=expect)
    named = checks.name(key, "the key", limit=rules.limits.name)
    return Append(context, checked, named, drafts.digest(checked), expect)


def append_named(context: ContextRef, type: str, role: str | None, text: str, options: AppendOptions) -> Append:
    """An append of one block by a named method."""
    own, key, expect = split(options)
    return append(context, [drafts.draft(type, role, text, own)], key, expect)


def append_call(
    context: ContextRef, name: str, arguments: object, call_id: str | None, options: AppendOptions
) -> Append:
    """An append of a function call."""
    own, key, expect = split(options)
    call = drafts.function_call(name, arguments, call_id, own, rules_of(context).limits)
    return append(context, [call], key, expect)


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
    own, key, expect = split(options)
    return append(context, [drafts.function_result(text, call, call_id, name, is_error, own)], key, expect)


def selection(kind: str, filters: Filters) -> Selection:
    """Which blocks a kind and filters mean."""
    checks.options(filters, Filters.__annotations__)
    return select(kind=kind, **filters)


def store_selection(kind: str, filters: BlockFilters) -> Selection:
    """The same for a whole store, which is not filtered by tags or runs."""
    checks.options(filters, BlockFilters.__annotations__)
    return select(kind=kind, **filters)


def block_id(block: Block | str) -> str:
    """The id of a block given whole or by its id."""
    return block.id if isinstance(block, Block) else block


def tags(given: Sequence[Tag], rules: Rules = RULES) -> str:
    """Tags to put on something, as JSON."""
    text = drafts.tags_json(given, rules.limits)
    if text is not None and rules.redact is not None:
        text = drafts.tags_json(drafts.redacted_tags(given, rules.redact), rules.limits)
    if text is None:
        raise InvalidInput("no tags given")
    checks.size([text], "tags", rules.limits.block_bytes)
    return text


def usage(given: Mapping[str, JsonValue], rules: Rules = RULES) -> str:
    """Usage as JSON."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"usage is {type(given).__name__}; it takes a dict")
    text = checks.json_text(dict(given), "usage", rules.limits.depth)
    checks.size([text], "usage", rules.limits.block_bytes)
    return text


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
    _check_after(after)
    return Wanted(
        checks.context_id(context_id),
        selection(kind, filters),
        after,
        follow,
        None if timeout is None else checks.seconds(timeout, "timeout"),
    )


def _check_after(after: object) -> None:
    if after is not None and not isinstance(after, str):
        raise InvalidInput(f"after= takes a cursor or 'now', not {type(after).__name__}")


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
    _check_after(after)
    chosen = _filter_keys(keys)
    return StoreWanted(
        store_selection(kind, filters),
        Contexts(tuple(chosen.items()), tag_names(tags)),
        after,
        follow,
        None if timeout is None else checks.seconds(timeout, "timeout"),
    )


def time_before(seconds: float) -> int:
    """The time so many seconds ago, as it is stored."""
    return ids.now() - round(checks.seconds(seconds, "older_than") * 1_000_000)


def followed(own: str, named: str | None) -> str:
    """The context that `subscribe` follows: its history's own, unless it names another."""
    if named is None:
        return own
    if isinstance(named, str) and (named in (*KINDS, NOW) or is_cursor(named)):
        raise InvalidInput(f"{named!r} stands where a context id may stand; write after= or kind= before it")
    return checks.context_id(named)


class Listing(TypedDict):
    """Which contexts `contexts` lists."""

    keys: Mapping[str, str]
    tags: tuple[tuple[str, str], ...]
    after: str | None
    limit: int
    newest_first: bool


def listing(
    keys: Mapping[str, str] | None,
    tags: Iterable[Tag | tuple[str, str]] | None,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> Listing:
    """A checked listing of contexts."""
    return Listing(
        keys=_filter_keys(keys),
        tags=tag_names(tags),
        after=None if after is None else checks.context_id(after),
        limit=checks.count(limit, "limit"),
        newest_first=bool(newest_first),
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


def split(options: AppendOptions) -> tuple[BlockOptions, str | None, str | None]:
    """The block's own options, the key, and the cursor that is expected."""
    if not options:
        return {}, None, None
    own = {name: value for name, value in options.items() if name not in ("key", "expect")}
    return own, options.get("key"), options.get("expect")  # type: ignore[return-value]
