"""Writers at work while clients read, and runs that end in every way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from chatstore import BlockWriter, History, RunOver

Kind = tuple[str, str | None]
KINDS: tuple[Kind, ...] = (
    ("message", "assistant"),
    ("reasoning", "assistant"),
    ("function_call", "assistant"),
    ("status", None),
)


@contextmanager
def half_written(history: History, kinds: Sequence[Kind], texts: list[str]) -> Iterator[tuple[str, Callable[[], None]]]:
    """A run with an open block of each kind that has half of its text; and what writes the rest."""
    with history.run() as run:
        history.append_user_message("Go on")
        blocks = [_open(history, type, role) for type, role in kinds]
        for block, text in zip(blocks, texts, strict=True):
            block.write(text[: len(text) // 2])
            block.flush()

        def go_on() -> None:
            for step in count():
                pieces = [text[len(text) // 2 :][step * 20 : step * 20 + 20] for text in texts]
                if not any(pieces):
                    break
                for block, piece in zip(blocks, pieces, strict=True):
                    block.write(piece)
                    block.flush()
            for block in blocks:
                block.close()

        yield run.id, go_on


def _open(history: History, type: str, role: str | None) -> BlockWriter:
    if type == "function_call":
        return history.open_block(type, role=role, data={"name": "look"})
    return history.open_block(type, role=role)


def broken(history: History, text: str, how: str) -> str:
    """A run that ends in this way in the middle of a text; its id."""
    scope = history.run()
    with contextlib.suppress(RunOver, ValueError), scope as run:
        answer = history.open_message(author="writer")
        answer.write(text)
        answer.flush()
        if how == "cancelled":
            history.cancel_run(run.id)
        elif how == "interrupted":
            scope.interrupt()
        elif how == "failed":
            raise ValueError("the model said no")
    return scope.id
