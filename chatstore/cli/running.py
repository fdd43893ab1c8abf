"""How commands end: messages for people on standard error, and exit codes that mean something."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from chatstore.cli.options import TOKEN, shown_location
from chatstore.cli.safe import one_line
from chatstore.errors import ChatStoreError, InvalidInput

FAILED: Final = 1
WRONG_USAGE: Final = 2
# Its number, for on Windows `signal` has no such name.
_SIGPIPE: Final = 13

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 the store or the system refused; 2 wrong usage or input;"
    " 130, 143 and 141 stopped by Ctrl-C, by SIGTERM, and by the end of a pipe's reader."
)


class Commands(TyperGroup):
    """A group of commands whose errors end in one line and an exit code, not in a traceback. Those that take a store
    take its token too."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name."""
        found = super().get_command(ctx, cmd_name)
        if found is not None and {"store", "token"} & {one.name for one in found.params} == {"store"}:
            option = copy(next(one for one in self.params if one.name == "token"))
            option.expose_value, option.callback, option.envvar = False, _keep_token, None
            # A copy of the program's own option, so that the token may stand before the command or behind it.
            found.params.append(option)
        return found

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Reads the arguments, of which some print and end: `--help` and `--version`."""
        with _errors_told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        with _errors_told():
            return super().invoke(ctx)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Ends the command with a line and an exit code, whatever was raised of what is known."""
    try:
        yield
    except BrokenPipeError:
        _discard_output()
        raise typer.Exit(_by_signal(_SIGPIPE)) from None
    except KeyboardInterrupt:
        raise typer.Exit(_by_signal(signal.SIGINT)) from None
    except InvalidInput as error:
        fail(str(error), WRONG_USAGE)
    except ChatStoreError as error:
        fail(str(error))
    except OSError as error:
        _settle_output()
        fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))


class Command(TyperCommand):
    """A command of this program."""

    def invoke(self, ctx: Any) -> Any:
        """Runs it, if one store is named: of an argument and an option one would be left out, and nobody told."""
        path = ctx.params.get("path")
        for named in (ctx, ctx.parent) if path is not None else ():
            source = named.get_parameter_source("store")
            if source is not None and source.name == "COMMANDLINE":
                both = f"{shown_location(path)} and --store {shown_location(named.params['store'])}"
                raise InvalidInput(f"two stores are named: {both}; leave one of them out")
        return super().invoke(ctx)


def _keep_token(_ctx: Any, _param: Any, value: str | None) -> None:
    if value is not None:
        TOKEN.set(value)


def hold_closed_outputs() -> None:
    """Puts something in the place of a standard output or error that was closed before the command began: no file or
    connection that the command opens takes its number, and what cannot be written is an error like any other."""
    if sys.stdout is None:
        _put_nowhere(1, os.O_RDONLY)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        _put_nowhere(2, os.O_WRONLY)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _put_nowhere(number: int, flags: int) -> None:
    nowhere = os.open(os.devnull, flags)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def note(message: str) -> None:
    """One line for the person, beside the output."""
    print(one_line(message), file=sys.stderr, flush=True)  # noqa: T201


def fail(message: str, exit_code: int = FAILED) -> NoReturn:
    """Ends the command with an error."""
    note(f"error: {message}")
    raise typer.Exit(exit_code)


def ended_by(number: int) -> NoReturn:
    """Ends the command as a shell counts the end by a signal."""
    raise typer.Exit(_by_signal(number))


def _by_signal(number: int) -> int:
    return 128 + number


def _settle_output() -> None:
    """Writes what is still buffered, or discards it where that cannot be done."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """Sends what is still buffered nowhere; or else the interpreter tries to write it once more as it ends."""
    _put_nowhere(sys.stdout.fileno(), os.O_WRONLY)
