"""Text of models that is no Unicode: halves of characters, which a store refuses.

A model's tokens may end in the middle of a character that UTF-16 writes as two, and JSON hands on the halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatstore.model import JsonValue

_FIRST_HALVES: Final = ("\ud800", "\udbff")


def sound(text: str) -> str:
    """The text with its halves put together; one that is alone becomes U+FFFD, as decoders have it."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def sound_json(value: JsonValue) -> JsonValue:
    """The same for every string in it, names too."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, Mapping):
        return {sound(name) if isinstance(name, str) else name: sound_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [sound_json(one) for one in value]
    return value


def split(text: str) -> tuple[str, str]:
    """What of a piece can be written, and the first half at its end, which the next piece may go on from."""
    if text and _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
        return sound(text[:-1]), text[-1]
    return sound(text), ""
