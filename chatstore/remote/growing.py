"""Open blocks of a server: text is gathered as for a store of this process, and sent by the same thread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from chatstore.errors import ChatStoreError
from chatstore.model import Block
from chatstore.operations.growing import Ending
from chatstore.operations.transaction import ContextRef
from chatstore.remote import answers, requesting
from chatstore.remote.calls import Call, json_body
from chatstore.remote.link import Link
from chatstore.writing.flushing import Flusher
from chatstore.writing.growing import Growing
from chatstore.writing.pending import Write

_OVERHEAD: Final = 300
# As `\u0000` has them, the longest form that JSON has for one.
_WIDEST: Final = 6
"""Bytes that a piece takes beside its text, and that one character of it may take as JSON."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a block, and at which of its characters it stands. Sent again, it is stored once."""

    block: Block
    offset: int
    text: str

    def __call__(self, link: Any) -> None:
        link.send(texts([self]))

    def object(self) -> dict[str, Any]:
        """As JSON."""
        own = {"context_id": self.block.context_id, "block_id": self.block.id}
        return {**own, "offset": self.offset, "text": self.text}

    def sliced(self, most: int) -> list[Piece]:
        """The same in pieces of at most so many characters."""
        places = range(0, len(self.text), most)
        return [Piece(self.block, self.offset + place, self.text[place : place + most]) for place in places]


def texts(pieces: list[Piece], *, refuse: bool = True) -> Call[list[ChatStoreError | None]]:
    """Stores pieces of several blocks: what each was refused with. `refuse`: the first refusal is raised."""

    def read(body: bytes) -> list[ChatStoreError | None]:
        found = [_error(answer.get("problem")) for answer in json.loads(body)["answers"]]
        for error in found:
            if refuse and error is not None:
                raise error
        return found

    return Call("POST", "/texts", read, json_body({"pieces": [piece.object() for piece in pieces]}))


def _error(problem: dict[str, Any] | None) -> ChatStoreError | None:
    return None if problem is None else answers.error_told(problem, int(problem.get("status", 500)), answers.AT_HAND)


def slice_of(body_bytes: int) -> int:
    """The characters that a server surely takes in one request."""
    return max(1, min(1_000_000, (body_bytes - 2 * _OVERHEAD) // _WIDEST))


class TextLink:
    """Sends what a flusher has to commit: the text of many blocks in one request."""

    def __init__(self, link: Link, body_bytes: int) -> None:
        self._link = link
        self.most: int = slice_of(body_bytes)
        self._body = body_bytes

    def run_all(
        self, writes: Iterable[tuple[Write[object], str | None]], *, synced: bool = True
    ) -> list[Exception | None]:
        """What each write was refused with."""
        given: list[Any] = [write for write, _ in writes]
        errors: dict[int, Exception | None] = {}
        pieces = [(place, write) for place, write in enumerate(given) if isinstance(write, Piece)]
        for group in self._groups(pieces):
            for place, error in self._send(group).items():
                errors[place] = errors.get(place) or error
        others = [(place, write) for place, write in enumerate(given) if not isinstance(write, Piece)]
        for place, write in others:
            [errors[place]] = self._link.run_all([(write, None)])
        return [errors.get(place) for place in range(len(given))]

    def _groups(self, pieces: list[tuple[int, Piece]]) -> Iterator[list[tuple[int, Piece]]]:
        """Requests that a server takes: as many pieces as fit, and the slices of one that does not in a row."""
        group: list[tuple[int, Piece]] = []
        size = 0
        for place, piece in pieces:
            for one in piece.sliced(self.most):
                taken = _OVERHEAD + len(one.text) * _WIDEST
                # One of each block in a request, for the server takes them all at the same time.
                if group and (size + taken > self._body or group[-1][0] == place):
                    yield group
                    group, size = [], 0
                group.append((place, one))
                size += taken
        if group:
            yield group

    def _send(self, group: list[tuple[int, Piece]]) -> dict[int, Exception | None]:
        try:
            found = self._link.send(texts([piece for _, piece in group], refuse=False))
        except ChatStoreError as error:
            return {place: error for place, _ in group}
        return {place: error for (place, _), error in zip(group, found, strict=True)}


class RemoteGrowing(Growing):
    """The text of a block that is open at a server, which takes so many characters at once."""

    def __init__(self, context: ContextRef, block: Block, flusher: Flusher, most: int) -> None:
        super().__init__(context, block, flusher)
        self._slice = most
        self.ended: bool = False

    def write_text(self, offset: int, text: str) -> Write[None]:
        """The call that stores a piece of the text."""
        return Piece(self.block, offset, text)

    def last_texts(self, *, refuse: bool) -> tuple[Call[Any], ...]:
        """The calls that store what is not stored yet. Raises what went wrong with that."""
        pieces = Piece(self.block, *self.rest()).sliced(self._slice)
        return tuple(texts([piece], refuse=refuse) for piece in pieces)

    def end_block(self, ending: Ending) -> Write[Block]:
        """The calls that store the rest of the text and end the block."""
        if self.ended:
            return requesting.end_again(self.block)
        return requesting.end_block(self.block, ending, self._read, self.last_texts(refuse=True))

    def _read(self, body: bytes) -> Block:
        block = Block.model_validate_json(body)
        self.ended = True
        return block
