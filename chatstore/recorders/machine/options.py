"""What every recorder takes beside the stream and the history."""

from __future__ import annotations

from typing import Any, TypedDict

from chatstore.errors import InvalidInput


class RecordOptions(TypedDict, total=False):
    """What every recorder takes beside the stream and the history.

    - `prompt`: what the person said; stored first, as a user message of the run.
    - `author`: who the blocks are by, where the events do not say.
    - `internal`: the messages are said between agents, and are in no transcript.
    - `parent_run_id`: the run that this one is part of; by default the one that goes on in this thread or task.
    - `idle_limit`: seconds without an event after which the run has failed. By default there is none.
    - `strict`: errors of the recorder are raised. By default they are logged, and the events come out as if there were
      no recorder.
    """

    prompt: str | None
    author: str | None
    internal: bool
    parent_run_id: str | None
    idle_limit: float | None
    strict: bool


def check_options(options: Any, taker: str) -> None:
    """Raises InvalidInput for what is no option. `taker`: who was given them."""
    if unknown := options.keys() - RecordOptions.__annotations__.keys():
        raise InvalidInput(f"unknown option {min(unknown)!r}; {taker} takes {', '.join(RecordOptions.__annotations__)}")
