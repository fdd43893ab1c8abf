"""Names of a package whose framework is not to be imported by who needs another module of the package."""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any


def later(package: str, module: str, names: Collection[str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: these names are in that module of it, which is imported for the first of them."""

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module}"), name)

    return get
