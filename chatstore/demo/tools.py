"""The tools of the demo's agent. They really read the files."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

MAX_FILES = 2_000
"""Files looked at, at most: the demo ends soon wherever it is pointed."""

_SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "node_modules"})
_IMPORT = re.compile(rb"^(?:import|from)[ \t]+(\w+)", re.MULTILINE)


def find_files(directory: str) -> dict[str, int]:
    """How many Python files there are, and their bytes."""
    sizes = [path.stat().st_size for path in _sources(directory)]
    return {"files": len(sizes), "bytes": sum(sizes)}


def largest_files(directory: str, count: int) -> list[dict[str, Any]]:
    """The files with the most lines."""
    lines = Counter({path: path.read_bytes().count(b"\n") for path in _sources(directory)})
    return [{"file": _name(path, directory), "lines": number} for path, number in lines.most_common(count)]


def longest_function(directory: str, file: str) -> dict[str, Any] | None:
    """The function of a file with the most lines, and where it starts; None where there is none."""
    tree = ast.parse(Path(directory, file).read_bytes())
    lengths = [
        (node.end_lineno - node.lineno + 1, node.lineno, name) for name, node in _functions(tree) if node.end_lineno
    ]
    if not lengths:
        return None
    lines, line, name = max(lengths)
    return {"function": name, "line": line, "lines": lines}


def count_imports(directory: str, count: int) -> dict[str, int]:
    """The modules that the most files import."""
    importing = Counter(
        module
        for path in _sources(directory)
        for module in {found.decode() for found in _IMPORT.findall(path.read_bytes())}
    )
    return dict(importing.most_common(count))


TOOLS = {tool.__name__: tool for tool in (find_files, largest_files, longest_function, count_imports)}


def _sources(directory: str) -> list[Path]:
    return list(islice(_walk(directory), MAX_FILES))


def _walk(directory: str) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        paths = (Path(folder, name) for name in sorted(files) if name.endswith(".py"))
        yield from (path for path in paths if path.is_file() and os.access(path, os.R_OK))


def _name(path: Path, directory: str) -> str:
    """The path below the directory as text that can be stored, whatever bytes are in it."""
    return os.fsencode(path.relative_to(directory).as_posix()).decode(errors="replace")


def _functions(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{inside}{child.name}."
            if not isinstance(child, ast.ClassDef):
                yield name[:-1], child
        yield from _functions(child, name)
