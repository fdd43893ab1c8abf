"""`chatstore append`: one more block."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatstore.cli.options import DEFAULT_STORE, JsonOption, KeyOption, StoreOption, context_of, tag_names
from chatstore.cli.output import Output
from chatstore.cli.reading import open_or_make
from chatstore.cli.running import note
from chatstore.errors import InvalidInput, InvalidText
from chatstore.model import Tag
from chatstore.writing import drafts

NamedArgument = Annotated[
    str | None, typer.Argument(metavar="CONTEXT", help="The context's id; left out with --key.", show_default=False)
]
TextArgument = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="What to store; standard input where it is left out or `-`."),
]
RoleOption = Annotated[
    str | None,
    typer.Option("--role", metavar="ROLE", help="user, assistant, system, ... [default: user, for a message]"),
]
BlockTypeOption = Annotated[
    str, typer.Option("--type", metavar="TYPE", help="message, status, reasoning, error, or a name of yours.")
]
WriterOption = Annotated[str | None, typer.Option("--author", metavar="NAME", help="Which agent, tool or person.")]
BlockTagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KIND:NAME", help="A tag for the block; repeat it for more.")
]
IdempotencyOption = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="Store it once, however often the command is repeated."),
]
_OF_CALLS = ("function_call", "function_result")


def append_command(
    context: NamedArgument = None,
    text: TextArgument = None,
    key: KeyOption = None,
    role: RoleOption = None,
    type: BlockTypeOption = "message",
    author: WriterOption = None,
    tag: BlockTagOption = None,
    idempotency_key: IdempotencyOption = None,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Appends a block, and prints its index and cursor.

    Makes the store and the context where there is none. Text from standard input is UTF-8, and stored without its last
    line break.
    """
    _check_type(type)
    if key and text is None:
        context, text = None, context  # with keys the only argument is the text
    named = context_of(context, key)
    role = "user" if role is None and type == "message" else role
    tags = [Tag(kind=kind, name=name) for kind, name in tag_names(tag or ())]
    content = _standard_input() if text is None or text == "-" else text
    draft = drafts.draft(type, role, content, {"author": author, "tags": tags})
    opened, made = open_or_make(store)
    with opened:
        if made:
            note(f"a new store: {opened.location}")
        block = opened.history(named).append(draft, key=idempotency_key)
    output = Output()
    if as_json:
        output.json(block.model_dump(mode="json"))
    else:
        output.line(f"{block.index} {block.cursor}")


def _check_type(type: str) -> None:
    if type in _OF_CALLS:
        raise InvalidInput(
            f"a {type} names a function, which this command cannot say: use history.append_{type}(…) in Python, or"
            " `chatstore import` with a message that has it"
        )


def _standard_input() -> str:
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidText(
            f"standard input is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        ) from None
    if not text:
        raise InvalidInput("standard input was empty, and nothing was appended; for a block without text write ''")
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
