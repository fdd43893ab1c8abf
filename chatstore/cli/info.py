"""`chatstore info`: what a store is and how much it holds."""

from __future__ import annotations

from rich.text import Text

import chatstore
from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreArgument, StoreOption, is_remote
from chatstore.cli.output import Output
from chatstore.cli.reading import all_contexts, open_to_read
from chatstore.cli.safe import one_line
from chatstore.databases import locate
from chatstore.databases.facts import facts
from chatstore.store import ChatStore


def info_command(path: StoreArgument = None, as_json: JsonOption = False, store: StoreOption = DEFAULT_STORE) -> None:
    """Prints what the store is, what it holds and how large it is."""
    location = store if path is None else path
    with open_to_read(location) as opened:
        found = _facts(opened, location)
    output = Output()
    if as_json:
        output.json(found)
        return
    for name, value in found.items():
        shown = f"{value:,}" if isinstance(value, int) and name != "format" else one_line(str(value))
        output.text(Text.assemble((f"{name.replace('_', ' '):<16}", "bold"), shown))


def _facts(store: ChatStore, location: str) -> dict[str, str | int]:
    contexts = blocks = 0
    for context in all_contexts(store):
        contexts += 1
        blocks += context.count
    held = ("identity", store.identity), ("contexts", contexts), ("blocks", blocks)
    own = ("chatstore", chatstore.__version__)
    if is_remote(location):
        return dict([("store", store.location), *held, own])
    place, form, size, version = facts(locate(location)).items()
    return dict([place, held[0], form, *held[1:], size, version, own])
