"""`chatstore tail`: the changes of one context, as they come."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chatstore.changes import Change
from chatstore.cli.options import (
    DEFAULT_STORE,
    AfterOption,
    AuthorOption,
    ContextArgument,
    FollowOption,
    FullOption,
    JsonOption,
    KeyOption,
    KindOption,
    StoreOption,
    TypeOption,
    context_of,
    shown_context,
)
from chatstore.cli.output import Output
from chatstore.cli.reading import existing_history, is_new, open_to_read
from chatstore.cli.render import Renderer
from chatstore.cli.running import ended_by, note
from chatstore.cli.safe import shell_word
from chatstore.cli.stopping import StopSignals
from chatstore.databases import locate
from chatstore.history import History
from chatstore.live.wakers.files import wait_for_file
from chatstore.store import ChatStore


@dataclass(frozen=True, slots=True)
class Request:
    """What `tail` was asked for; it writes itself as the command that goes on from a cursor."""

    context: str | dict[str, str]
    store: str = DEFAULT_STORE
    follow: bool = False
    after: str | None = None
    kind: str = "trace"
    types: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    json: bool = False
    full: bool = False

    def resumed(self, cursor: str) -> str:
        """The command line that shows what comes behind the cursor, to be pasted into a shell."""
        named, keys = ([self.context], {}) if isinstance(self.context, str) else ([], self.context)
        options = [
            *_repeated("--key", (f"{name}={value}" for name, value in keys.items())),
            *_repeated("--store", () if self.store == DEFAULT_STORE else (self.store,)),
            *(flag for flag, given in (("-f", self.follow), ("--json", self.json), ("--full", self.full)) if given),
            *_repeated("--kind", () if self.kind == "trace" else (self.kind,)),
            *_repeated("--type", self.types),
            *_repeated("--author", self.authors),
            "--after",
            cursor,
        ]
        dashed = any(name.startswith("-") for name in named)
        words = [*options, "--", *named] if dashed else [*named, *options]
        return " ".join(map(shell_word, ("chatstore", "tail", *words)))


def tail_command(
    context: ContextArgument = None,
    key: KeyOption = None,
    follow: FollowOption = False,
    after: AfterOption = None,
    kind: KindOption = "trace",
    type: TypeOption = None,
    author: AuthorOption = None,
    as_json: JsonOption = False,
    full: FullOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Prints the changes of a context, and with -f follows what comes.

    It starts at the beginning, or behind the cursor that --after gives. When it ends, on Ctrl-C too, it prints on
    standard error the command that goes on behind the last change printed: nothing is missed by that, and nothing
    printed twice.
    """
    request = Request(
        context_of(context, key), store, follow, after, kind, tuple(type or ()), tuple(author or ()), as_json, full
    )
    with StopSignals() as signals:
        if follow:
            _wait_for_store(store, signals)
        if signals.received is None:
            with open_to_read(store) as opened:
                _tail(request, opened, signals)
    if signals.received is not None:
        ended_by(signals.received)


def _wait_for_store(store: str, signals: StopSignals) -> None:
    path = locate(store)
    if not path.exists():
        note(f"waiting for the store {path}")
        wait_for_file(path, until=lambda: path.exists() or signals.received is not None)
        _end_echo(signals)


def _end_echo(signals: StopSignals) -> None:
    """Starts a new line where the terminal has just shown ^C."""
    if signals.received == signal.SIGINT and sys.stderr.isatty():
        note("")


def _tail(request: Request, store: ChatStore, signals: StopSignals) -> None:
    show = _printer(request)
    changes = _history(request, store).subscribe(
        after=request.after,
        kind=request.kind,
        follow=request.follow,
        types=request.types or None,
        authors=request.authors or None,
    )
    signals.then(changes.close)
    position = changes.cursor
    try:
        for change in changes:
            show(change)
            position = change.cursor
        position = changes.cursor  # behind what the filter left out, too
    except BrokenPipeError:
        position = None  # how much of it was read, only the reader knows
        raise
    finally:
        if position is not None:
            _end_echo(signals)
            note(f"resume with: {request.resumed(position)}")


def _history(request: Request, store: ChatStore) -> History:
    if not request.follow:
        return existing_history(store, request.context)
    history = store.history(request.context)
    if is_new(history):
        note(f"waiting for the context {shown_context(request.context)}")
    return history


def _printer(request: Request) -> Callable[[Change], None]:
    output = Output()
    if request.json:
        return lambda change: output.json(change_json(change))
    # The width is asked for each time: a window may be resized while it is followed.
    return lambda change: output.text(Renderer(output.width, full=request.full).change(change))


def change_json(change: Change) -> dict[str, object]:
    """A change as JSON, with its name as `change`."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(change).__name__).lower()
    return {"change": name, **change.model_dump(mode="json")}


def _repeated(option: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (option, value)
