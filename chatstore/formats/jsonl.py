"""Conversations in JSON Lines.

A line is a record with `messages` (and an `id`), a bare list of messages, or one message of the conversation that
all such lines make together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn

from chatstore.errors import InvalidInput
from chatstore.model import JsonValue

LONGEST: Final = 256 * 1024 * 1024
"""Bytes of a line, or of a document that is read whole."""
MOST_LEVELS: Final = 300
"""Levels that JSON may be nested: more than a store takes, and less than Python calls itself. Newer versions of Python
parse any number, which no function of ours could then walk through."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SKIPPED: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one conversation, the id it has or gets by its place, and the line it begins at."""

    line: int
    id: str
    messages: list[JsonValue]


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is no conversation, and why."""

    line: int
    reason: str


def whole_lines(raw: BinaryIO) -> Iterator[bytes | None]:
    """The lines of a file; None for one that is too long, of which no more than LONGEST is held at a time."""
    while line := raw.readline(LONGEST):
        if len(line) < LONGEST:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = raw.readline(_SKIPPED)
        yield None


def conversations(lines: Iterable[bytes | None], name: str) -> Iterator[Conversation | Refused]:
    """The conversations of a file, as they come; `name` is for those without an id.

    Lines are UTF-8 and split at line feeds alone. A conversation of single messages is refused whole where a line of
    the file is: it would have a gap.
    """
    single: list[JsonValue] = []
    first = refused = 0
    for number, line in enumerate(lines, 1):
        if line is None:
            refused += 1
            yield Refused(number, f"a line of more than {LONGEST:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            value = parsed(line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line)
            if not _is_message(value):
                yield _conversation(value, number, name)
                continue
            first = first or number
            single.append(value)
        except InvalidInput as error:
            refused += 1
            yield Refused(number, str(error))
    if single and refused:
        yield Refused(first, f"a conversation of {len(single):,} single messages lacks the lines that were refused")
    elif single:
        yield Conversation(first, name, single)


def parsed(line: bytes) -> JsonValue:
    """What JSON says. Raises an InvalidInput that says why it is none."""
    try:
        value = json.loads(line.decode(), parse_constant=_refuse_constant)
        if line.count(b"{") + line.count(b"[") > MOST_LEVELS and _is_deep(value):
            raise RecursionError
        return value
    except InvalidInput:
        raise
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8: byte {error.start} is 0x{line[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    except RecursionError:
        raise InvalidInput("JSON that is nested too deep") from None
    except ValueError:  # beyond what int() takes: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        raise InvalidInput("a number in it has too many digits") from None


def _is_deep(value: JsonValue) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} in it is not JSON; use null or a string")


def _is_message(value: JsonValue) -> bool:
    return isinstance(value, dict) and "role" in value and "messages" not in value


def _conversation(value: JsonValue, line: int, name: str) -> Conversation:
    messages, id = (value.get("messages"), value.get("id")) if isinstance(value, dict) else (value, None)
    if not isinstance(messages, list):
        raise InvalidInput("neither a record with a list of `messages`, nor such a list, nor a message with a `role`")
    if isinstance(id, bool) or not (id is None or isinstance(id, (str, int))) or id == "":
        raise InvalidInput("its `id` is neither a text nor a number")
    return Conversation(line, f"{name}-{line}" if id is None else str(id), messages)
