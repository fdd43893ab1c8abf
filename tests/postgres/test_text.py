"""Text and JSON come back from a server as from a file: to the character, and in the order in which they were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatstore import BlockDraft, ChatStore, ChatStoreError, Tag

ODD = ["\0", "\x1a", "\x1a0", "a\0b\x1a1\x1a\x1a0\0", "%s %(name)s %%", "'); DROP TABLE blocks; --", '"', "\\",
       "\\000", "_%", "$1", ":name", "{}", "🙂\u2028\ufeff", "ÄÖ", "E'\\n'"]  # fmt: skip
DATA: list[Any] = [
    {"b": 1, "a": {"z": [], "y": None}},
    {"zero": -0.0, "large": 2**53 + 1, "exact": 0.1, "small": 5e-324, "whole": 1.0},
    {"\0": "\x1a", "%s": "%(x)s", "'": "\\u0000"},
]
ARGUMENTS = ['{"b": 1, "a": 2}', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": -0, "b": 1e400}', '{"a":', '"\\u0000"']


@pytest.fixture
def stores(url: str, path: Path) -> tuple[str, str]:
    return url, str(path)


def both(stores: tuple[str, str], use: Any) -> Any:
    """What comes of the same on a server and in a file: it has to be equal."""
    outcomes = []
    for location in stores:
        with ChatStore(location) as store:
            outcomes.append(use(store))
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_odd_characters_come_back_and_are_found_everywhere(stores: tuple[str, str], odd: str) -> None:
    def use(store: ChatStore) -> Any:
        told: list[Any] = []
        for context in (f"c {odd}", {"who": odd}):
            try:
                history = store.history(context)
                tags = [Tag(kind="kind", name=odd, value=odd)]
                history.append(BlockDraft(text=odd, author=odd, tags=tags, data={odd: odd}), key=odd)
                history.append(BlockDraft(text="other", author="other"))
                found = history.get_messages(authors=[odd])
                tagged = history.get_messages(tags=[("kind", odd)])
                told.append([block.model_dump(exclude=EACH) for block in (*found, *tagged)])
                told.append([one.text for one in history.append(BlockDraft(text=odd), key=odd)])
            except ChatStoreError as error:
                told.append(error.code)
        told.append([one.keys for one in store.contexts(keys={"who": odd})] if "\0" not in odd else None)
        return told

    both(stores, use)


EACH = {"id", "created_at", "updated_at", "cursor", "context_id"}


@pytest.mark.parametrize("data", DATA, ids=ascii)
def test_data_comes_back_with_its_order_and_numbers(stores: tuple[str, str], data: Any) -> None:
    def use(store: ChatStore) -> Any:
        store.history("c").append(BlockDraft(text="", data=data))
        return json.dumps(store.history("c").get_messages()[0].data)

    assert both(stores, use) == json.dumps(data)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=ascii)
def test_arguments_of_a_call_are_read_alike(stores: tuple[str, str], arguments: str) -> None:
    def use(store: ChatStore) -> Any:
        writer = store.history("c").open_block("function_call", data={"name": "f", "call_id": "1"})
        writer.write(arguments)
        writer.close()
        block = store.history("c").get_messages(kind="trace")[0]
        return block.text, block.state, json.dumps(block.data)

    both(stores, use)
