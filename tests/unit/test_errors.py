"""Errors are values: they can be copied and sent to another process, with all that they say."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from copy import copy

import pytest

from chatstore.errors import (
    BlocksRemoved,
    ChatStoreError,
    Conflict,
    CursorExpired,
    InvalidInput,
    LimitExceeded,
)

WITH_DATA = [
    Conflict("something was written", head="h"),
    CursorExpired("it was removed", start="s"),
    BlocksRemoved("they were removed", first_index=3, count=2),
    LimitExceeded("too long", limit="block_bytes", value=10),
]


def kinds(kind: type[ChatStoreError]) -> Iterator[type[ChatStoreError]]:
    for below in kind.__subclasses__():
        if below.__module__ == ChatStoreError.__module__:
            yield below
            yield from kinds(below)


PLAIN = sorted(set(kinds(ChatStoreError)) - {type(error) for error in WITH_DATA}, key=lambda k: k.code)


@pytest.mark.parametrize("error", [*WITH_DATA, *(kind("what happened") for kind in PLAIN)], ids=lambda e: e.code)
def test_an_error_comes_back_equal_from_a_copy_and_another_process(error: ChatStoreError) -> None:
    for again in (copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_what_was_noted_on_an_error_goes_with_it() -> None:
    error = InvalidInput("what happened")
    error.add_note("where it was")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["where it was"]
