"""The public surface: complete, documented, the same for threads and for event loops; and files that stay small."""

import ast
import inspect
import re
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_overloads

import pytest

import chatstore
from chatstore import (
    AsyncBlockReader,
    AsyncBlockWriter,
    AsyncChatStore,
    AsyncHistory,
    AsyncRunHandle,
    AsyncRunScope,
    AsyncStoreSubscription,
    AsyncSubscription,
    BlockReader,
    BlockWriter,
    ChatStore,
    History,
    RunHandle,
    RunScope,
    StoreSubscription,
    Subscription,
)
from chatstore.recorders import AsyncRecording, Recording
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.recorders.machine.script_writer import ScriptWriter

PACKAGE = Path(chatstore.__file__).parent
LONGEST_FILE, LONGEST_FUNCTION = 350, 30

TWINS = [
    (ChatStore, AsyncChatStore),
    (History, AsyncHistory),
    (Subscription, AsyncSubscription),
    (StoreSubscription, AsyncStoreSubscription),
    (BlockWriter, AsyncBlockWriter),
    (BlockReader, AsyncBlockReader),
    (RunScope, AsyncRunScope),
    (RunHandle, AsyncRunHandle),
    (Recording, AsyncRecording),
    (ScriptWriter, AsyncScriptWriter),
]
MADE_BY_CALLERS = {ChatStore, AsyncChatStore, ScriptWriter, AsyncScriptWriter}
"""The others are handed out."""
PROTOCOLS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}

Member = FunctionType | property | staticmethod


def documented() -> list[type]:
    """The public classes and functions; aliases of types have no docstring of their own."""
    values = (getattr(chatstore, name) for name in chatstore.__all__)
    return [value for value in values if inspect.isclass(value) or inspect.isfunction(value)]


def test_all_is_sorted() -> None:
    assert chatstore.__all__ == sorted(chatstore.__all__)


def test_all_is_exactly_what_can_be_imported() -> None:
    public = {
        name
        for name, value in vars(chatstore).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(chatstore.__all__)


@pytest.mark.parametrize("value", documented(), ids=lambda value: value.__name__)
def test_what_is_public_has_a_docstring(value: type) -> None:
    assert own_docstring(value)
    members = public_members(value) if inspect.isclass(value) else {}
    assert not [name for name, member in members.items() if not own_docstring(member)]


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=[sync.__name__ for sync, _ in TWINS])
def test_twins_have_the_same_public_names(sync: type, twin: type) -> None:
    assert twin_members(sync).keys() == twin_members(twin).keys()


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=[sync.__name__ for sync, _ in TWINS])
def test_twins_take_and_return_the_same(sync: type, twin: type) -> None:
    twins = twin_members(twin)
    for name, member in twin_members(sync).items():
        assert signatures(member) == signatures(twins[name]), name


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    lines = source.splitlines()
    assert len(lines) <= LONGEST_FILE
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = [(length(node, lines), node.name) for node in functions]
    assert not [f"{name}: {of_it} lines" for of_it, name in lengths if of_it > LONGEST_FUNCTION]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef, file: list[str]) -> int:
    """The lines of a function without its docstring, and without comments: a reason is no reason to split it."""
    own = file[node.lineno - 1 : node.end_lineno]
    lines = len(own) - sum(line.lstrip().startswith("#") for line in own)
    if ast.get_docstring(node) is not None:
        first = node.body[0]
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def own_docstring(value: object) -> str | None:
    """Its own docstring, not one inherited from a base class."""
    return vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__


def members(cls: type) -> dict[str, Member]:
    """The methods and properties that a class and its bases of ours define."""
    ours = (base for base in reversed(cls.__mro__) if base.__module__.startswith("chatstore."))
    return {name: value for base in ours for name, value in vars(base).items() if isinstance(value, Member)}


def public_members(cls: type) -> dict[str, Member]:
    return {name: member for name, member in members(cls).items() if not name.startswith("_")}


def twin_members(cls: type) -> dict[str, Member]:
    """Public members and special methods, under the names that a sync class gives them."""
    named = ((PROTOCOLS.get(name, name), member) for name, member in members(cls).items() if name != "__await__")
    found = {name: member for name, member in named if not name.startswith("_") or name.endswith("__")}
    if cls not in MADE_BY_CALLERS:
        found.pop("__init__", None)
    return found


def signatures(member: Member) -> list[inspect.Signature]:
    """The signature, and those of its overloads, as a sync class would write them."""
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    assert isinstance(function, FunctionType)
    overloads = get_overloads(function)
    return [as_sync(inspect.signature(each)) for each in (function, *overloads)]


def as_sync(signature: inspect.Signature) -> inspect.Signature:
    """Parameters and the value returned, the types named without Async; what a coroutine returns is what it gives."""
    parameters = [
        parameter.replace(annotation=without_async(parameter.annotation)) for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=without_async(signature.return_annotation))


def without_async(annotation: object) -> object:
    """Annotations are kept as text: AsyncHistory is History, AsyncIterator is Iterator, and what is awaited is there.

    Where either kind of iterator is taken, a sync class takes the one that it can step.
    """
    if not isinstance(annotation, str):
        return annotation
    named = re.sub(r"\bAwaitable\[(\w+)\]", r"\1", annotation.replace(" | AsyncIterable[str]", ""))
    return re.sub(r"\bAsync(?=[A-Z])", "", named)
