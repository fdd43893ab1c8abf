"""The README is true: its Python runs, its commands exist, and what it shows first is there."""

from __future__ import annotations

import re
import shlex
from codeop import CommandCompiler
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from chatstore.cli import app

README_PATH = Path(__file__).parent.parent / "README.md"
README = README_PATH.read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = ("pip install . && chatstore demo", "pip install -e '.[dev]' && pytest")


def python_of(page: str) -> list[tuple[int, str]]:
    """The Python of a page, with the line that each block begins at."""
    return [
        (page[: block.start()].count("\n") + 2, block[2]) for block in BLOCKS.finditer(page) if block[1] == "python"
    ]


PYTHON = python_of(README)
DOCS = Path(__file__).parent.parent / "docs"
ONCE = {"keeping"}
"""Pages that erase, and say what to remove to do them again."""
SHELL = [line for language, text in BLOCKS.findall(README) if language == "sh" for line in text.splitlines()]
INLINE = re.findall(r"`(chatstore [a-z][^`]*)`", README)
COMMANDS = [
    part.strip() for line in [*SHELL, *INLINE] for part in line.split("&&") if part.strip().startswith("chatstore ")
]
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)


@pytest.mark.parametrize(
    ("page", "least"),
    [
        (README_PATH, 3),
        (DOCS / "index.md", 4),
        (DOCS / "concepts.md", 4),
        (DOCS / "following.md", 5),
        (DOCS / "prompts.md", 2),
        (DOCS / "keeping.md", 4),
        (DOCS / "security.md", 1),
        (DOCS / "testing.md", 2),
        (DOCS / "http.md", 1),
        (DOCS / "agents.md", 3),
    ],
    ids=lambda given: given.stem if isinstance(given, Path) else "",
)
def test_every_python_block_runs_in_order(
    page: Path, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = python_of(page.read_text(encoding="utf-8"))
    assert len(blocks) >= least
    execute(page, blocks)
    # Who reads does other pages in the same directory, and this one once more.
    execute(README_PATH, PYTHON[:1])
    if page.stem not in ONCE:
        execute(page, blocks)


def execute(page: Path, blocks: list[tuple[int, str]]) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for line, code in blocks:
        exec(compile("\n" * (line - 1) + code, page.name, "exec"), names)


@pytest.mark.parametrize("page", [README_PATH, *sorted(DOCS.glob("*.md"))], ids=lambda page: page.stem)
def test_every_python_block_can_be_typed_in(page: Path) -> None:
    """Behind what is indented an empty line has to come, which ends it. Those within definitions are for files."""
    compiled = CommandCompiler()
    for first, code in python_of(page.read_text(encoding="utf-8")):
        typed: list[str] = []
        lines = re.sub(r"^\n+(?= )", "", code, flags=re.MULTILINE).splitlines()
        for number, line in enumerate([*lines, ""], first):
            typed.append(line)
            try:
                if compiled("\n".join(typed), page.name, "single"):
                    typed = []
            except SyntaxError:
                pytest.fail(f"{page.name}, at about line {number}: a prompt wants an empty line before {line!r}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_its_options_exist(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    with typer.Context(GROUP, info_name="chatstore") as context:
        found = GROUP.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        found.make_context(name, arguments, parent=context)


def test_every_command_has_an_example() -> None:
    shown = {shlex.split(command)[1] for command in INLINE}
    assert set(GROUP.commands) == shown


def test_the_first_screen_has_the_two_commands_and_the_code() -> None:
    first = "\n".join(README.splitlines()[:45])
    assert all(f"\n{command}\n" in first for command in SET_UP)
    assert PYTHON[0][1] in first
    assert len(PYTHON[0][1].splitlines()) <= 15
    assert "What is guaranteed:" in first


def test_it_stays_short() -> None:
    assert len(README.splitlines()) < 200
