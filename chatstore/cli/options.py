"""The options and arguments that commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final

import typer

from chatstore.addresses import is_address
from chatstore.databases import locate
from chatstore.errors import InvalidInput

DEFAULT_STORE: Final = "chatstore.db"
STORE_VARIABLE: Final = "CHATSTORE_STORE"
WAKE_VARIABLE: Final = "CHATSTORE_WAKE"
WAKE: Final = ContextVar("wake", default="auto")
"""How the stores that a command opens notice commits of others and tell of their own: what `chatstore --wake` says."""

TOKEN_VARIABLE: Final = "CHATSTORE_TOKEN"
TOKEN: Final[ContextVar[str | None]] = ContextVar("token", default=None)
"""For stores at the address of a server: what `--token` says, or the environment."""

TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar=TOKEN_VARIABLE,
        help="Of a store at http://…; a command line can be seen by others, so better in the environment.",
    ),
]

StoreOption = Annotated[
    str,
    typer.Option(
        "--store", metavar="STORE", help="The store: a path, an sqlite:/// or postgresql:// URL, or a server's http://."
    ),
]
"""The store of a command. Its default comes from `chatstore --store STORE` or the environment, where they say one."""

StoreArgument = Annotated[
    str | None,
    typer.Argument(metavar="STORE", help="The store. [default: that of --store]", show_default=False),
]
"""For commands that are about a store and nothing in it."""

ContextArgument = Annotated[str | None, typer.Argument(metavar="CONTEXT", help="The context's id.", show_default=False)]
KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="NAME=VALUE", help="A context key; repeat it for each, in place of CONTEXT."),
]
KindOption = Annotated[
    str,
    typer.Option("--kind", metavar="KIND", help="transcript (what the person saw), prompt or trace (everything)."),
]
TypeOption = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only blocks of this type; repeat it for more.")
]
AuthorOption = Annotated[
    list[str] | None, typer.Option("--author", metavar="NAME", help="Only blocks of this author; repeat it for more.")
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Wait for what comes; also for a store or context that is not there yet.")
]
AfterOption = Annotated[
    str | None,
    typer.Option("--after", metavar="CURSOR", help="Resume behind this cursor; `now` leaves out what is there."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON Lines, for programs.")]
FullOption = Annotated[bool, typer.Option("--full", help="Function calls, results and data at full length.")]


def context_of(context: str | None, keys: Sequence[str] | None) -> str | dict[str, str]:
    """What names the context: the argument, or the keys given in its place."""
    if keys:
        if context is not None:
            raise InvalidInput("name the context by CONTEXT or by --key, not by both")
        return context_keys(keys)
    if context is None:
        raise InvalidInput("name the context: by its id, or by --key NAME=VALUE")
    return context


def context_keys(given: Sequence[str]) -> dict[str, str]:
    """Context keys of `NAME=VALUE` texts; the value may hold more equals signs."""
    keys: dict[str, str] = {}
    for name, value in (_pair(text, "=", "a context key") for text in given):
        if keys.setdefault(name, value) != value:
            raise InvalidInput(f"the context key {name!r} was given twice, with different values")
    return keys


def tag_names(given: Sequence[str]) -> list[tuple[str, str]]:
    """Kind and name of tags written `KIND:NAME`; the name may hold more colons."""
    return [_pair(text, ":", "a tag") for text in given]


def shown_context(context: str | Mapping[str, str]) -> str:
    """A context as messages name it."""
    return context if isinstance(context, str) else ", ".join(f"{name}={value}" for name, value in context.items())


def is_remote(store: str) -> bool:
    """Whether a store is at the address of a server."""
    return is_address(store)


def shown_location(store: str) -> str:
    """A store as messages name it: as it was given, but for a password. Addresses of servers have none."""
    return str(locate(store)) if "://" in store and not is_remote(store) else store


def is_missing_file(store: str) -> bool:
    """Whether a store is a file that is not there yet."""
    place = locate(store)
    return isinstance(place, Path) and not place.exists()


def of_this_machine(store: str, command: str) -> str:
    """The location of a store. Raises InvalidInput for the address of a server, which `command` is not there for."""
    if is_remote(store):
        raise InvalidInput(f"{command} takes a file or a database, and not the address of a server; run it over there")
    return store


def _pair(text: str, sign: str, what: str) -> tuple[str, str]:
    first, found, second = text.partition(sign)
    if not (first and found and second):
        shape = sign.join(("NAME", "VALUE") if sign == "=" else ("KIND", "NAME"))
        raise InvalidInput(f"{text!r} is not {what}; write {shape}")
    return first, second
