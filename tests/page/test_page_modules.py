"""The page's own parts: what Node can test without a document, and what its files may not contain."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

PAGE = Path(__file__).parents[2] / "chatstore/server/page"
OWN = sorted(
    path for path in PAGE.rglob("*.*") if path.suffix in (".js", ".html", ".css") and "vendor" not in path.parts
)


def node(*arguments: str) -> str:
    """What Node prints. Skips the test where there is none, and fails it where CI has to have it."""
    program = shutil.which("node")
    if program is None:
        assert "CI" not in os.environ, "Node is missing; install it: apt-get install nodejs"
        pytest.skip("node is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_modules_pass_their_own_tests() -> None:
    printed = node("--test", *map(str, sorted(Path(__file__).parent.glob("*.test.mjs"))))
    assert re.search(r"^# pass [1-9]", printed, re.MULTILINE), printed


def test_a_context_has_the_same_name_in_a_path_here_and_there() -> None:
    from chatstore.wire.names import context_of, segment

    names: list[str] = ["a", "..", ".", "~x", "a/b", "%2F", "u@h:1", "-x", "🙂", "a b", "\u0301", "Z.z_-9"]

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def gather(name: str) -> None:
        names.append(name)

    gather()
    code = (
        f"import {{ segment }} from {json.dumps((PAGE / 'modules/names.js').as_uri())}\n"
        "let given = ''\n"
        "for await (const piece of process.stdin.setEncoding('utf8')) given += piece\n"
        "console.log(JSON.stringify(JSON.parse(given).map(segment)))"
    )
    program = shutil.which("node") or pytest.skip("node is not installed")
    done = subprocess.run(
        [program, "--input-type=module", "-e", code],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    segments = json.loads(done.stdout)
    assert segments == [segment(name) for name in names]
    assert [context_of(one) for one in segments] == names


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_of_the_page_makes_code_or_markup_of_text(path: Path) -> None:
    text = path.read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
    ):
        assert forbidden not in text
    if path.suffix == ".html":
        assert not re.search(r"\sstyle=|\son\w+=|javascript:|<style|<script(?![^>]+src=)", text)
    hosts = re.findall(r"https?://[^\s'\"`)]+", text)
    assert not hosts, "the page asks no other host"


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_files_and_functions_of_the_page_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 350
    if path.suffix == ".js":
        assert not [name for name, lines in _functions(text) if lines >= 30]


def test_what_is_vendored_has_its_licences() -> None:
    licences = (PAGE / "vendor/LICENSES.txt").read_text()
    version = re.search(r"markdown-it (\S+) ", (PAGE / "vendor/markdown-it.js").read_text())
    assert version is not None
    assert f"markdown-it {version[1]}" in licences
    for name in ("markdown-it", "entities", "linkify-it", "mdurl", "punycode.js", "uc.micro"):
        assert f"==== {name}-" in licences


def _functions(text: str) -> Iterator[tuple[str, int]]:
    """Each function and method of a module, by the indentation that its first and last line share."""
    for found in re.finditer(
        r"^( *)(?:(?:export|async|get|function) )*([\w]+)\([^\n]*\) \{\n((?:(?!\1\}).*\n)*)\1\}", text, re.M
    ):
        if found[2] not in ("for", "if", "while", "switch"):
            yield found[2], found[3].count("\n")
