"""`chatstore tail`: the changes of one context, or of all, as they come."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from chatstore.changes import Change
from chatstore.cli.options import (
    DEFAULT_STORE,
    AfterOption,
    AuthorOption,
    ContextArgument,
    FollowOption,
    FullOption,
    JsonOption,
    KindOption,
    StoreOption,
    TypeOption,
    context_keys,
    context_of,
    is_remote,
    shown_context,
)
from chatstore.cli.output import Output
from chatstore.cli.printing import ChangePrinter, JsonPrinter, Printer
from chatstore.cli.reading import existing_history, is_new, open_to_read
from chatstore.cli.running import ended_by, note
from chatstore.cli.stopping import StopSignals
from chatstore.cli.tail_request import Request, printed_before
from chatstore.databases import locate
from chatstore.errors import InvalidInput
from chatstore.store import ChatStore
from chatstore.wakers.files import wait_for_file

PAUSE: Final = 0.5
"""Seconds for which text is gathered while several blocks grow at once, so that each goes on by about a line."""
_BATCH: Final = 1_000

KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="NAME=VALUE",
        help="A context key; repeat it for each, in place of CONTEXT. With --all: only contexts that have it.",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="All contexts of the store, also those to come.")]
RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only this run; follows it, and ends when it ends.")
]
PrintedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--printed",
        metavar="BLOCK=CHARACTERS",
        help="How much of a growing block was printed before; the command to resume with says it.",
    ),
]


def tail_command(
    context: ContextArgument = None,
    key: KeyOption = None,
    all: AllOption = False,
    run: RunOption = None,
    follow: FollowOption = False,
    after: AfterOption = None,
    kind: KindOption = "trace",
    type: TypeOption = None,
    author: AuthorOption = None,
    as_json: JsonOption = False,
    full: FullOption = False,
    printed: PrintedOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Prints the changes of a context, and with -f follows what comes. Text that grows is printed as it does.

    It starts at the beginning, or behind the cursor that --after gives. When it ends, on Ctrl-C too, it prints on
    standard error the command that goes on behind the last change printed: nothing is missed by that, and nothing
    printed twice.
    """
    named = _keys(context, key, run) if all else context_of(context, key)
    names, before = (tuple(type or ()), tuple(author or ())), printed_before(printed or ())
    _run(Request(named, all, store, follow, after, kind, *names, run, as_json, full, before))


def _run(request: Request) -> None:
    with StopSignals() as signals:
        if request.follow:
            _wait_for_store(request.store, signals)
        if signals.received is None:
            with open_to_read(request.store) as opened:
                _Tail(request, opened, signals).print()
    if signals.received is not None:
        ended_by(signals.received)


def _keys(context: str | None, key: Sequence[str] | None, run: str | None) -> dict[str, str]:
    """The keys of the contexts that are meant by --all."""
    if context is not None or run is not None:
        raise InvalidInput("--all follows every context: leave out CONTEXT and --run, or leave out --all")
    return context_keys(key or ())


def _wait_for_store(store: str, signals: StopSignals) -> None:
    path = None if is_remote(store) else locate(store)
    if isinstance(path, Path) and not path.exists():
        note(f"waiting for the store {path}")
        wait_for_file(path, until=lambda: path.exists() or signals.received is not None)
        _end_echo(signals)


def _end_echo(signals: StopSignals) -> None:
    """Starts a new line where the terminal has just shown ^C."""
    if signals.received == signal.SIGINT and sys.stderr.isatty():
        note("")


class _Tail:
    """One command: what it reads, what it prints, and where to go on."""

    def __init__(self, request: Request, store: ChatStore, signals: StopSignals) -> None:
        self._request = request
        self._store = store
        self._signals = signals
        self._follow = request.follow or request.run is not None
        self._printer = _printer(request, follow=self._follow)

    def print(self) -> None:
        """Prints changes to the end of the command, and then the command that goes on there."""
        self._check()
        position: tuple[str, dict[str, int]] | None = None
        try:
            for changes, cursor in self._batches():
                self._printer.show(changes, cursor)
                position = cursor, dict(self._printer.printed)
        except BrokenPipeError:
            position = None  # how much of it was read, only the reader knows
            raise
        finally:
            if position is not None:
                self._end_lines()
                note(f"resume with: {self._request.resumed(*position)}")

    def _end_lines(self) -> None:
        ended = False
        with suppress(OSError):  # a full disk, which is reported already
            ended = self._printer.end()
        if not (ended and sys.stdout.isatty()):
            _end_echo(self._signals)

    def _check(self) -> None:
        """Makes sure that what is not waited for is there."""
        request = self._request
        if request.all:
            return
        if not request.follow:
            history = existing_history(self._store, request.context)
            if request.run is not None:
                history.get_run(request.run)
        elif is_new(self._store, self._store.history(request.context)):
            note(f"waiting for the context {shown_context(request.context)}")

    def _batches(self) -> Iterator[tuple[Sequence[Change], str]]:
        """Changes as they come, each by itself; while several blocks grow, as many as a pause brings. With each the
        cursor behind it; the last is empty, and its cursor behind what the filter left out, too."""
        after, follow = self._request.after, self._follow
        while True:
            changes = self._request.subscribe(self._store, after, follow=follow)
            self._signals.then(changes.close)
            after = str(changes.cursor)
            yield [], after
            for change in changes:
                after = str(changes.cursor)
                yield [change], after
                # The subscription is left for reads at intervals, each of which gives the pieces of a block joined.
                if self._printer.crowded:
                    break
            else:
                yield [], str(changes.cursor)
                return
            changes.close()
            while self._printer.crowded and self._signals.received is None:
                self._pause()
                late = self._request.subscribe(self._store, after, follow=False)
                batch = list(islice(late, _BATCH))
                late.close()
                after = str(late.cursor)
                yield batch, after

    def _pause(self) -> None:
        if self._follow:
            stopped = threading.Event()
            self._signals.then(stopped.set)
            stopped.wait(PAUSE)


def _printer(request: Request, *, follow: bool) -> Printer:
    output = Output()
    if request.json:
        return JsonPrinter(output, cursors=request.all)
    return ChangePrinter(output, full=request.full, contexts=request.all, mark_open=not follow, printed=request.printed)
