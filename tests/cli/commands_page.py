"""The page of all commands, from the commands themselves: `python tests/cli/commands_page.py` writes it."""

from __future__ import annotations

import inspect
import re
from enum import EnumType
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from chatstore.cli import app

PATH = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
BEGINS = "\n## chatstore "
"""What a person wrote stands above the first of these."""
HINTED = {one.name: one.callback for one in app.registered_commands}
SHARED = {"store", "token", "help"}
"""Options that are the same everywhere; the text above the commands tells of them."""


def commands() -> dict[str, TyperCommand]:
    """The commands by name, in the order of the help."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {name: command for name, command in group.commands.items() if isinstance(command, TyperCommand)}


def example_of(command: TyperCommand) -> str:
    """The example that the help ends with."""
    _, _, example = (command.epilog or "").partition("Example:\n")
    return example.strip()


def described() -> str:
    """The part of the page that is made: a section for each command."""
    return "".join(_section(name, command) for name, command in commands().items())


def _section(name: str, command: TyperCommand) -> str:
    hints = get_type_hints(HINTED[name])
    rows = [_row(one, hints) for one in command.params if one.name not in SHARED or one.param_type_name == "argument"]
    table = "\n".join(["| | |", "|---|---|", *rows])
    text = inspect.cleandoc(command.help or "")
    return f"{BEGINS}{name}\n\n{text}\n\n```sh\n{example_of(command)}\n```\n" + (f"\n{table}\n" if rows else "")


def _row(parameter: Any, hints: dict[str, Any]) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = parameter.metavar or parameter.name.upper()
    elif not parameter.is_flag:
        names += f" {parameter.metavar or _choices(hints[parameter.name])}"
    return f"| `{_cell(names)}` | {_cell((parameter.help or '') + _default(parameter))} |"


def _choices(hint: Any) -> str:
    """What an option takes that is one of several words."""
    [kind] = [one for one in (hint, *get_args(hint)) if isinstance(one, EnumType)]
    return "|".join(str(word.value) for word in kind)


def _default(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False) or parameter.default == "":
        return ""
    told = isinstance(parameter.default, (str, int))
    return f" [default: {getattr(parameter.default, 'value', parameter.default)}]" if told else ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def page(before: str) -> str:
    """The whole page, with what stands above the commands now."""
    return before.partition(BEGINS)[0].rstrip("\n") + "\n" + described()


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text(encoding="utf-8")), encoding="utf-8")
