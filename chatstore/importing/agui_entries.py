"""The entries that messages and runs of AG-UI make in their thread."""

from __future__ import annotations

from typing import Any, Final

from chatstore.errors import InvalidInput
from chatstore.importing.agui_growing import Growing, truncated
from chatstore.importing.entries import Entry, Found, Unread
from chatstore.importing.values import as_text, inner, key_of, name_of
from chatstore.model import JsonValue
from chatstore.recorders import Put

_OUTSIDE: Final = "outside:"
"""How the ids of runs begin that our own encoder makes up for blocks outside of any."""


def is_outside(run: str | None) -> bool:
    """Whether a run only stands for blocks outside of any."""
    return run is not None and run.startswith(_OUTSIDE)


def whole(thread: str, place: str, key: str, type: str, run: str | None, data: JsonValue, **options: Any) -> Entry:
    """What an event tells by itself, for nobody's eyes."""
    put = Put(type if name_of(type) else "event", data=data, internal=True, **options)
    return Entry(thread, place, key, [put], _shown(run), place_in="piece")


def message(thread: str, one: Growing) -> Found:
    """A message that has come to its end, or the end of the trace."""
    note = inner(one.metadata, "chatstore.block")
    run = name_of(note.get("run_id")) if note else one.run
    try:
        return Entry(thread, one.place, one.name, [one.put()], _shown(run), by_key=True, place_in="piece")
    except InvalidInput as error:
        return Unread(one.place, str(error))


def interrupted(thread: str, place: str, run: str) -> Entry:
    """The end of a run whose trace ended before it."""
    key = key_of("run_ended", run)
    data: JsonValue = {"run_id": run, "state": "interrupted"}
    put = Put("run_ended", data=data, internal=True, tags=[truncated(key)])
    return Entry(thread, place, key, [put], _shown(run), by_key=True, place_in="piece")


def ended(thread: str, place: str, run: str, event: dict[str, JsonValue]) -> Entry:
    """The end of a run, and how it came."""
    outcome = inner(event, "outcome").get("type")
    failed = event["type"] == "RUN_ERROR"
    state = "interrupted" if event.get("code") == "interrupted" else "failed"
    finished = name_of(outcome) if outcome not in (None, "success") else "completed"
    told = {name: value for name, value in event.items() if name != "type"}
    data: JsonValue = {**told, "run_id": run, "state": state if failed else finished}
    text = as_text(event.get("message")) if failed else ""
    return Entry(
        thread,
        place,
        key_of("run_ended", run),
        [Put("run_ended", text=text, data=data, internal=True)],
        run,
        by_key=True,
        place_in="piece",
    )


def _shown(run: str | None) -> str | None:
    return None if is_outside(run) else run
