"""Checks of what a caller gives, and the limits they hold it to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from inspect import iscoroutinefunction
from typing import Any, Final, TypeVar

from chatstore.errors import InvalidData, InvalidInput, InvalidText, LimitExceeded
from chatstore.limits import DEFAULT, Limits, exceeded

MAX_NAME: Final = DEFAULT.name
MAX_TAGS: Final = DEFAULT.tags
MAX_BATCH: Final = DEFAULT.batch
"""What a store takes that was opened without limits of its own; see Limits."""
MAX_FILTERS: Final = 32
"""Tags, or context keys, that one read may ask for at once; of other filters, MAX_TAGS values."""
MAX_SECONDS: Final = 1_000_000_000
"""The longest timeout."""

F = TypeVar("F")
_INT64 = range(-(2**63), 2**63)


def text(value: object, what: str) -> str:
    """The value, if it is text that can be stored; any character but a lone surrogate can."""
    if not isinstance(value, str):
        raise InvalidInput(f"{what} is {type(value).__name__}; it takes str")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidText(
                f"{what} has a lone surrogate (U+{ord(value[error.start]):04X}) at character {error.start},"
                " which UTF-8 cannot carry; replace it before storing"
            ) from None
    return value


def name(value: object, what: str, *, limit: int = MAX_NAME) -> str:
    """The value, if it is a name: text of 1 to `limit` characters without NUL."""
    checked = text(value, what)
    if not checked:
        raise InvalidInput(f"{what} is empty")
    if len(checked) > limit:
        raise exceeded(f"{what} has {len(checked):,} characters", "name", limit)
    if "\0" in checked:
        raise InvalidText(f"{what} has a NUL character; names go without")
    return checked


def context_id(value: object, *, limit: int = MAX_NAME) -> str:
    """The value, if it can name a context."""
    return name(value, "the context id", limit=limit)


def context_keys(keys: Mapping[str, str], limits: Limits = DEFAULT) -> dict[str, str]:
    """A copy of context keys, ordered by key so that equal keys read equal."""
    if not isinstance(keys, Mapping):
        raise InvalidInput(f"context keys are a dict of str, not {type(keys).__name__}")
    if not keys:
        raise InvalidInput("context keys are empty; name at least one, or use a context id")
    if len(keys) > limits.tags:
        raise exceeded(f"{len(keys):,} context keys", "tags", limits.tags)
    most = limits.name
    return {
        name(key, "a context key", limit=most): name(keys[key], f"context key {key!r}", limit=most)
        for key in sorted(keys, key=str)
    }


def values(given: object, what: str, limit: int) -> list[Any]:
    """The values of a filter: of a list or another iterable, though not of a string."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidInput(f"{what}= takes a list, not {_shown(given)}")
    found = list(given)
    if len(found) > limit:
        raise LimitExceeded(f"{len(found):,} values in {what}=; at most {limit:,} are looked for at once")
    return found


def options(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses keywords that do not exist, and says which may have been meant."""
    for unknown in sorted({*given} - {*known}):
        close = get_close_matches(unknown, known, n=1)
        meant = f"; did you mean {close[0]}=?" if close else f"; there are {', '.join(f'{name}=' for name in known)}"
        raise InvalidInput(f"{unknown}= does not exist{meant}")


def json_text(value: object, what: str, depth: int = DEFAULT.depth) -> str:
    """The value as JSON text that reads back equal: key order, numbers and all; of at most so many levels."""
    try:
        _check_json(value, what, depth)
    except _TooDeep:
        raise exceeded(f"{what}: nested more than {depth} levels deep", "depth", depth) from None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size(texts: Iterable[str | None], what: str, most: int, hint: str = "") -> None:
    """Refuses texts that are more than so many bytes together."""
    given = [text for text in texts if text]
    # One character is at most four bytes of UTF-8: only what may be too large is measured.
    if sum(map(len, given)) * 4 > most and (bytes := sum(len(text.encode()) for text in given)) > most:
        raise exceeded(f"{what} of {bytes:,} bytes of text and JSON{hint}", "block_bytes", most)


def joined_json(parts: Mapping[str, object]) -> str:
    """Values that were checked one by one, as the members of one object."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


class _TooDeep(ValueError):
    """More levels than there may be."""


def _check_json(value: Any, what: str, levels: int) -> None:
    if isinstance(value, str):
        text(value, f"a string in {what}")
    elif value is None or isinstance(value, bool):
        pass
    elif isinstance(value, int):
        if value not in _INT64:
            raise InvalidData(f"an integer in {what} has more than 64 bits; store it as a string")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidData(f"{value} in {what} is not JSON; use None or a string")
    elif isinstance(value, (dict, list, tuple)):
        if not levels:
            raise _TooDeep
        _check_members(value, what, levels - 1)
    else:
        raise InvalidData(f"{type(value).__name__} in {what} is not JSON; convert it first")


def _check_members(value: Any, what: str, levels: int) -> None:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidData(f"a key of {what} is {type(key).__name__}; JSON keys are strings")
            text(key, f"a key of {what}")
        value = value.values()
    for member in value:
        _check_json(member, what, levels)


def parsed_json(value: str, depth: int = DEFAULT.depth) -> Any:
    """What JSON text says; None where it is not JSON, or not of the kind that can be stored within other data."""
    try:
        parsed = json.loads(value)
        _check_json(parsed, "the text", depth - 1)
    except (ValueError, RecursionError):  # an InvalidInput is a ValueError too
        return None
    return parsed


def count(value: object, what: str) -> int:
    """The value, if it is a number of blocks to return: an integer of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidInput(f"{what} takes an integer from 0 to 2**63 - 1, and not {_shown(value)}")
    return value


def seconds(value: object, what: str) -> float:
    """The value, if it is a time to wait: a finite number of at least 0."""
    return number(value, what, MAX_SECONDS, "seconds")


def number(value: object, what: str, most: int, unit: str) -> float:
    """The value, if it is so much of something: a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise InvalidInput(f"{what} takes {unit}, from 0 to {most:,}, and not {_shown(value)}")
    return float(value)


def progress(value: F) -> F:
    """The value, if it can be told how far something is."""
    if value is not None and (not callable(value) or is_coroutine(value)):
        raise InvalidInput(f"progress= takes a function of two numbers, not {_shown(value)}")
    return value


def is_coroutine(function: object) -> bool:
    """Whether what a call of this gives would have to be awaited."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
