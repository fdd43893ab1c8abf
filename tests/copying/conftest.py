"""Places for copies, of each kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import postgres_server
import pytest
from stored import fill


@pytest.fixture
def new_place(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Gives places: a file that is not there yet, or a database with an empty store."""
    made: list[str] = []

    def new(kind: str) -> str:
        if kind == "file":
            return str(tmp_path / f"copy-{len(made)}-{len(list(tmp_path.iterdir()))}.db")
        made.append(postgres_server.new_store())
        return made[-1]

    yield new
    for url in made:
        postgres_server.drop(url)


@pytest.fixture
def filled(new_place: Callable[[str], str]) -> Callable[[str], str]:
    """Makes a store of a kind that has some of everything in it."""

    def make(kind: str) -> str:
        place = new_place(kind)
        fill(place)
        return place

    return make
