"""Names of agents, as options take them."""

from __future__ import annotations

from collections.abc import Collection

from chatstore.errors import InvalidInput


def names_of(option: str, given: Collection[str] | None) -> frozenset[str] | None:
    """The names that an option was given. Raises InvalidInput for one name, which would be a collection of letters."""
    if isinstance(given, str):
        raise InvalidInput(f"{option}= takes a list of names: [{given!r}]")
    return None if given is None else frozenset(given)
