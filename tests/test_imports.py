"""Which module may import which: downward only, a dialect in one place, the faces through the public package."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from chatstore.recorders.machine.found import _MADE_BY

PACKAGE = Path(__file__).parents[1] / "chatstore"

LAYERS = (
    ("errors",),
    ("addresses", "limits", "redaction"),
    ("known_secrets",),
    ("cursor", "checks", "ids", "finalizing", "forking", "processes"),
    ("model",),
    ("changes", "kinds", "prompts"),
    ("wire",),
    ("schema", "collecting"),
    ("operations", "wakers"),
    ("databases",),
    ("writing", "live"),
    ("core", "requests"),
    ("growing_requests",),
    ("block_reader", "block_writer", "runs"),
    ("run_handles",),
    ("history", "async_history"),
    ("store", "async_store"),
    ("remote",),
    ("formats",),
    ("migrate", "copying", "chatstore"),
    ("encoders", "recorders"),
    ("importing",),
    ("server",),
    ("demo", "testing"),
    ("cli",),
    ("__main__",),
)
"""From the bottom up. Within a layer a folder imports only itself; `chatstore` is the public package."""

LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

FACES = {"formats", "encoders", "recorders", "importing", "server", "demo", "testing", "cli", "__main__"}

PUBLIC_MODULES = {
    *("errors", "model", "changes", "kinds", "cursor"),
    *("history", "async_history", "store", "async_store", "live.subscription", "live.store_subscription"),
    *("block_reader", "block_writer", "runs", "run_handles", "collecting", "limits", "redaction", "known_secrets"),
    *("migrate", "copying"),
    *("wire", "wire.changes", "wire.described", "wire.drafts", "wire.framing", "wire.names", "wire.problems"),
}
"""They define what the public package gives; `migrate` and `copying` are public by themselves: the package does not
load Alembic, nor what only a copy needs. `wire` is how the faces speak over HTTP."""

BENEATH_THE_FACES = {
    ("cli.append", "writing.drafts"): "makes the draft of a type and role given as words",
    ("cli.check", "databases.repairing"): "changes rows below the store",
    ("cli.check", "operations.integrity.checking"): "prints what was found",
    ("cli.doctor", "databases"): "finds the file that a URL means",
    ("cli.doctor", "databases.diagnoses"): "prints what was found",
    ("cli.doctor", "databases.diagnosis"): "adds to it what it measures",
    ("cli.doctor", "wakers.measuring"): "measures the wake-ups",
    ("cli.erase", "databases.repairing"): "names what repairs left beside the store",
    ("cli.info", "databases"): "finds the place that a URL means",
    ("cli.info", "databases.facts"): "prints what the database says of itself",
    ("cli.migrate", "databases"): "tells a place on a server from that of a file",
    ("cli.options", "addresses"): "tells the address of a server from a place of this machine",
    ("cli.options", "databases"): "leaves the password of a URL out",
    ("cli.sink", "databases.placing"): "puts a file where none is lost to it",
    ("cli.show", "requests"): "the type of the filters",
    ("cli.tail", "databases"): "finds the file that a URL means",
    ("cli.tail", "wakers.files"): "waits for a file that is not there yet",
    ("cli.import_command", "databases"): "finds the place that a URL means",
    ("cli.import_command", "databases.facts"): "says how much an import has taken on the disk",
    ("cli.import_files", "databases.foreign"): "tells databases from other files",
    ("cli.importer", "databases.foreign"): "tells databases from other files",
    ("cli.vacuum", "databases.vacuuming"): "changes the file below the store",
    ("encoders.shown", "prompts"): "finds the call that a result answers as a prompt does",
    ("formats.exchanges", "checks"): "parses arguments as an append does",
    ("formats.exchanges", "prompts"): "closes calls as a read of a prompt does",
    ("formats.openai_chat", "checks"): "refuses a file's line before anything of the file is written",
    ("formats.openai_chat", "prompts"): "finds the call that a result answers as a prompt does",
    ("formats.openai_chat", "writing.drafts"): "makes drafts as the named appends do",
    ("importing.conversations", "checks"): "fills batches to their limit",
    ("importing.contents", "checks"): "parses arguments as an append does",
    ("importing.detecting", "databases.foreign"): "tells databases by their tables",
    ("importing.openai_agents", "databases.foreign"): "reads a database of another program",
    ("importing.tables", "databases.foreign"): "reads a database of another program",
    ("importing.values", "checks"): "knows the longest name",
    ("recorders.machine.recording", "finalizing"): "ends apart what the garbage collector drops",
    ("recorders.openai_agents.items", "checks"): "asks what the store takes as JSON, and parses arguments",
    ("server.encoded", "live.paging"): "weighs changes as pages do",
    ("formats.openai_parts", "checks"): "knows the longest name",
    ("testing.conformance.oracle", "prompts"): "closes calls as a read of a prompt does",
}
"""What else the faces import, and why."""

DIALECTS = ("sqlite", "aiosqlite", "postgres", "psycopg")

KNOW_DIALECTS = {
    "databases": "what they are for",
    "schema": "options of a table or index carry the dialect's name",
    "migrate": "brings either kind up to date",
}


def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The module or folder directly in the package."""
    return module.split(".")[1] if "." in module else module


MODULES = modules()


def imports(module: str, left_out: Callable[[ast.AST], bool]) -> Iterator[tuple[str, int]]:
    """The package's modules that one imports, with the line."""
    unread = [tree(module)]
    while unread:
        node = unread.pop()
        yield from ((imported, node.lineno) for imported in imported_by(node) if imported in MODULES)
        unread += [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) and not left_out(child)
        ]


@cache
def tree(module: str) -> ast.AST:
    return ast.parse(MODULES[module].read_text())


def imported_by(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(module=str(source), names=aliases):
            inner = [f"{source}.{alias.name}" for alias in aliases]
            return sorted({name if name in MODULES else source for name in inner})
    return []


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def for_types_or_later(node: ast.AST) -> bool:
    return for_types(node) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


@cache
def all_imports() -> list[tuple[str, str, int]]:
    """Which module imports which of the package, and in which line."""
    return [(module, imported, line) for module in MODULES for imported, line in imports(module, for_types)]


def test_every_module_has_its_layer() -> None:
    assert {room(module) for module in MODULES} <= LEVELS.keys()


def test_imports_go_downward_only() -> None:
    upward = [
        f"{module}:{line} imports {imported}"
        for module, imported, line in all_imports()
        if room(module) != room(imported) and LEVELS[room(module)] <= LEVELS[room(imported)]
    ]
    assert not upward


def test_modules_do_not_load_each_other_in_a_circle() -> None:
    graph = {module: {name for name, _ in imports(module, for_types_or_later)} for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_faces_use_the_public_package_with_few_exceptions() -> None:
    beneath = {
        (inside(module), inside(imported))
        for module, imported, _ in all_imports()
        if room(module) in FACES and not is_public(imported)
    }
    assert beneath == BENEATH_THE_FACES.keys()


def is_public(module: str) -> bool:
    return module == "chatstore" or room(module) in FACES or inside(module) in PUBLIC_MODULES


def inside(module: str) -> str:
    return module.removeprefix("chatstore.")


def test_only_databases_name_a_dialect() -> None:
    ignorant = [module for module in MODULES if not {room(module), inside(module)} & KNOW_DIALECTS.keys()]
    found = [(module, name, line) for module in ignorant for name, line in names(module)]
    assert not [f"{module}:{line} {name!r}" for module, name, line in found if name.lower().startswith(DIALECTS)]


def names(module: str) -> Iterator[tuple[str, int]]:
    """Names, attributes, imported modules and whole strings of the code."""
    for node in ast.walk(tree(module)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name, node.lineno
            case ast.Import(names=aliases):
                yield from ((part, node.lineno) for alias in aliases for part in alias.name.split("."))
            case ast.ImportFrom(module=str(source), names=aliases):
                yield from ((part, node.lineno) for part in (*source.split("."), *(alias.name for alias in aliases)))


def test_the_package_loads_no_library_that_only_a_face_or_a_migration_needs() -> None:
    code = "import sys, chatstore; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    others = {"alembic", "psycopg", "typer", "rich", "pytest", "fastapi", "uvicorn", "jwt", "httpx"}
    assert not others & set(run.stdout.split())


def test_scripts_are_found_without_importing_their_frameworks() -> None:
    places = [place.split(":") for place in sorted(set(_MADE_BY.values()))]
    found = "; ".join(f"from chatstore.recorders.{file} import {name}; {name}()" for file, name in places)
    code = f"import sys; {found}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    frameworks = {beginning.partition(".")[0] for beginning in _MADE_BY} - {"chatstore"}
    assert not frameworks & {module.partition(".")[0] for module in run.stdout.split()}


def test_events_of_our_own_are_in_the_modules_that_scripts_are_found_by() -> None:
    assert {beginning for beginning in _MADE_BY if beginning.startswith("chatstore.")} <= MODULES.keys()


@pytest.mark.parametrize(
    ("recorder", "framework", "name"),
    [
        ("chatkit", "chatkit", "ChatKitStore"),
        ("google_adk", "google.adk.plugins", "Recorder"),
        ("langchain", "langchain_core", "HistoryCallbackHandler"),
        ("mcp", "mcp", "SessionEvents"),
        ("pydantic_ai", "pydantic_ai", "record"),
    ],
)
def test_a_recorder_says_which_extra_it_needs(recorder: str, framework: str, name: str) -> None:
    code = f"import sys; sys.modules[{framework!r}] = None; from chatstore.recorders.{recorder} import {name}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"pip install 'chatstore[{recorder.replace('_', '-')}]'" in run.stderr
