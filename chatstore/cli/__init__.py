"""The command line: `chatstore tail`, `show`, `append` and the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import chatstore
from chatstore.cli import (
    append,
    backup,
    check,
    copy,
    demo,
    doctor,
    erase,
    export,
    import_command,
    info,
    ls,
    migrate,
    runs,
    serve,
    show,
    tail,
    vacuum,
)
from chatstore.cli.options import DEFAULT_STORE, STORE_VARIABLE, TOKEN, WAKE, WAKE_VARIABLE, TokenOption
from chatstore.cli.running import EXIT_CODES, Command, Commands, hold_closed_outputs

app: typer.Typer = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    # Rich would take brackets in a help text for markup, and keep the line breaks of docstrings.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def main() -> None:
    """The console script."""
    hold_closed_outputs()
    app(prog_name="chatstore")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chatstore {chatstore.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    store: Annotated[
        str,
        typer.Option("--store", metavar="STORE", envvar=STORE_VARIABLE, help="The store; each command takes it, too."),
    ] = DEFAULT_STORE,
    wake: Annotated[
        str,
        typer.Option(
            "--wake",
            metavar="WAKE",
            envvar=WAKE_VARIABLE,
            help="How commits of other processes are noticed: auto, or the nats:// URL that the store's others use.",
        ),
    ] = "auto",
    token: TokenOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Chat histories in one file or on PostgreSQL: append, read back by purpose, follow live."""
    assert isinstance(ctx.command, Commands)
    WAKE.set(wake)
    TOKEN.set(token)
    source = ctx.get_parameter_source("store")
    ctx.default_map = {
        name: {"store": store}
        for name in ctx.command.list_commands(ctx)
        # The demo makes a store of its own unless it is told otherwise in so many words.
        if source is not None and (source.name == "COMMANDLINE" or name != "demo")
    }


def _add(example: str, command: Callable[..., None]) -> None:
    """A command by the example that its help shows."""
    _, name, *_ = example.split()
    app.command(name, cls=Command, epilog=f"\b\nExample:\n  {example}")(command)


_add("chatstore tail support-42 -f", tail.tail_command)
_add("chatstore show support-42 --kind trace --last 20", show.show_command)
_add("chatstore runs support-42", runs.runs_command)
_add("chatstore cancel RUN", runs.cancel_command)
_add("chatstore ls --key user=u1", ls.ls_command)
_add('chatstore append support-42 "Is it raining?" --role user', append.append_command)
_add("chatstore info", info.info_command)
_add("chatstore import conversations.jsonl.gz", import_command.import_command)
_add("chatstore export -o all.jsonl.gz", export.export_command)
_add("chatstore migrate chat.db", migrate.migrate_command)
_add("chatstore backup copy.db", backup.backup_command)
_add("chatstore copy chat.db copy.db", copy.copy_command)
_add("chatstore check", check.check_command)
_add("chatstore doctor", doctor.doctor_command)
_add("chatstore erase support-42", erase.erase_command)
_add("chatstore vacuum", vacuum.vacuum_command)
_add("chatstore serve", serve.serve_command)
_add("chatstore token --read --ttl 1h", serve.token_command)
_add("chatstore demo --store demo.db", demo.demo_command)
