"""The command line: `chatstore tail`, `show`, `append` and the rest."""

from __future__ import annotations

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
    info,
    ls,
    migrate,
    runs,
    show,
    tail,
    transfer,
    vacuum,
)
from chatstore.cli.options import DEFAULT_STORE, STORE_VARIABLE
from chatstore.cli.running import EXIT_CODES, Commands

app = typer.Typer(
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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Chat histories in one file or on PostgreSQL: append, read back by purpose, follow live."""
    assert isinstance(ctx.command, Commands)
    source = ctx.get_parameter_source("store")
    ctx.default_map = {
        name: {"store": store}
        for name in ctx.command.list_commands(ctx)
        # The demo makes a store of its own unless it is told otherwise in so many words.
        if source is not None and (source.name == "COMMANDLINE" or name != "demo")
    }


app.command("tail")(tail.tail_command)
app.command("show")(show.show_command)
app.command("runs")(runs.runs_command)
app.command("cancel")(runs.cancel_command)
app.command("ls")(ls.ls_command)
app.command("append")(append.append_command)
app.command("info")(info.info_command)
app.command("import")(transfer.import_command)
app.command("export")(transfer.export_command)
app.command("migrate")(migrate.migrate_command)
app.command("backup")(backup.backup_command)
app.command("copy")(copy.copy_command)
app.command("check")(check.check_command)
app.command("doctor")(doctor.doctor_command)
app.command("erase")(erase.erase_command)
app.command("vacuum")(vacuum.vacuum_command)
app.command("demo")(demo.demo_command)
