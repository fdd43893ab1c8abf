"""`chatstore vacuum`: gives the free pages of the file back."""

from __future__ import annotations

from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreArgument, StoreOption, of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.progress import progress_bar
from chatstore.cli.running import note
from chatstore.databases.vacuuming import vacuum


def vacuum_command(
    path: StoreArgument = None,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Gives the free pages of the file, of what was compacted, pruned or erased, back to the file system.

    Pages that are partly used stay as they are, so it may not be as small as a new one of the same content. Others may
    have the store open, and go on writing.
    """
    with progress_bar("giving back", in_bytes=True) as progress:
        report = vacuum(of_this_machine(store if path is None else path, "vacuum"), progress=progress)
    output = Output()
    if as_json:
        output.json(report.model_dump())
    else:
        output.text(Text(f"{report.before:,} bytes before, {report.after:,} bytes now"))
    if report.held:
        note("somebody reads from the store: its file gets shorter when they are done and the next writer comes along")
