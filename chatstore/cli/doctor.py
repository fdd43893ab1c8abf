"""`chatstore doctor`: whether a store, and the place it lies in, are as they should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreArgument, StoreOption, of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.reading import open_to_read
from chatstore.cli.running import FAILED
from chatstore.cli.safe import one_line
from chatstore.databases import diagnoses, diagnosis, locate
from chatstore.databases.diagnosis import Finding
from chatstore.errors import ChatStoreError
from chatstore.wakers.measuring import measure

_SLOW = 0.1
"""Seconds: what is written elsewhere is seen later than a person would like."""
_AGAIN = "with that mended, run `chatstore doctor` again: it has more to look at"
_COLOURS = {"good": "green", "note": "yellow", "problem": "bold red"}


def doctor_command(
    path: StoreArgument = None,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Looks at a store and at the place it lies in, and says what to do about what it finds.

    The exit code is 1 where something is a problem. `chatstore check` looks at what is stored.
    """
    location = of_this_machine(store if path is None else path, "doctor")
    output = Output()
    problems = 0
    for finding in _findings(location):
        problems += finding.status == "problem"
        if as_json:
            output.json(finding._asdict())
        else:
            output.text(_shown(finding))
    if problems:
        raise typer.Exit(FAILED)


def _findings(location: str) -> Iterator[Finding]:
    place = locate(location)
    try:
        yield from diagnoses.surroundings(place)
        with open_to_read(location) as opened:
            yield Finding("store", "good", f"{opened.location}, identity {opened.identity}")
            yield from diagnoses.store(place)
            if isinstance(place, Path):
                yield _waker(place)
    except ChatStoreError as error:
        yield Finding("store", "problem", f"it cannot be opened: {error}", _AGAIN)
    except OSError as error:
        yield Finding("store", "problem", f"{error.filename}: {error.strerror}", "see that this user can reach it")


def _waker(path: Path) -> Finding:
    with diagnosis.scratch(path) as (wal, commit, moved):
        name, seconds = measure("auto", wal, commit, moved)
    median, slowest = seconds[len(seconds) // 2] * 1_000, seconds[-1] * 1_000
    found = (
        f"{name}: sees commits of others after {median:.2f} ms, the slowest of {len(seconds)} after {slowest:.2f} ms"
    )
    if median / 1_000 > _SLOW:
        return Finding("wake-ups", "note", found, "file events come late here; the machine may be busy")
    if name == "poll":
        return Finding("wake-ups", "note", found, "no file events here; looking costs a little of the processor")
    return Finding("wake-ups", "good", found)


def _shown(finding: Finding) -> Text:
    text = Text.assemble(
        (f"{finding.status:<8}", _COLOURS[finding.status]), f"{finding.name:<18}", one_line(finding.found)
    )
    if finding.advice is not None:
        text.append(f"\n{'':<26}{one_line(finding.advice)}", "italic")
    return text
