"""docs/reference/commands.md is what the commands say of themselves, and their examples are those of the README."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import commands_page
import pytest

from chatstore.server import tokens

ROOT = Path(__file__).parents[2]
PAGE = commands_page.PATH.read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = {shlex.split(line)[1]: line for line in re.findall(r"^\| `(chatstore [a-z][^`]*)` \|", README, re.MULTILINE)}


def test_the_page_is_what_the_commands_say() -> None:
    assert commands_page.page(PAGE) == PAGE, "write it anew: python tests/cli/commands_page.py"


@pytest.mark.parametrize("name", commands_page.commands())
def test_the_help_of_a_command_ends_with_the_example_of_the_readme(name: str) -> None:
    assert commands_page.example_of(commands_page.commands()[name]) == EXAMPLES[name]


def test_it_names_every_variable_of_the_environment() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "chatstore").rglob("*.py"))
    used = set(re.findall(r'"(CHATSTORE_[A-Z_]+)"', source))
    assert tokens.SECRET_VARIABLE in used
    assert set(re.findall(r"^\| `(CHATSTORE_[A-Z_]+)` \|", PAGE, re.MULTILINE)) == used
