"""Calls that a keyboard slips into: an error that names what was meant, and nothing read or written by mistake."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from chatstore import AsyncChatStore, BlockDraft, ChatStore, InvalidInput


@pytest.mark.parametrize("read", ["get_messages", "since_last_user_message", "count", "subscribe"])
def test_an_unknown_filter_is_refused_with_the_one_that_was_meant(store: ChatStore, read: str) -> None:
    with pytest.raises(InvalidInput, match="did you mean types="):
        getattr(store.history("c"), read)(type=["message"])
    with pytest.raises(InvalidInput, match="did you mean types="):
        store.subscribe(type=["message"])  # type: ignore[call-arg]


def test_an_unknown_field_is_refused_with_the_one_that_was_meant(store: ChatStore) -> None:
    history = store.history("c")
    with pytest.raises(InvalidInput, match="did you mean author="):
        history.append_user_message("x", autor="me")  # type: ignore[call-arg]
    assert history.count() == 0


@pytest.mark.parametrize("what", ["block", "dict"])
def test_what_is_no_draft_is_named_in_the_error(store: ChatStore, what: str) -> None:
    history = store.history("c")
    block = history.append(BlockDraft(role="user", text="x"))
    given: Any = block if what == "block" else {"role": "user", "text": "x"}
    with pytest.raises(InvalidInput, match="not Block" if what == "block" else "not dict"):
        history.append(given)
    assert history.count() == 1


@pytest.mark.parametrize(
    ("given", "meant"), [("Hello?", "append_user_message"), ({"role": "user"}, r"BlockDraft\(role=")]
)
def test_a_text_or_a_dict_in_the_place_of_a_draft_is_refused_with_what_takes_it(
    store: ChatStore, given: Any, meant: str
) -> None:
    for slip in ([given], given):
        with pytest.raises(InvalidInput, match=f"takes one or several BlockDraft, not .*{meant}"):
            store.history("c").append(slip)
    assert store.history("c").count() == 0


def test_a_store_is_not_pickled_and_says_what_to_hand_on(store: ChatStore) -> None:
    given: list[Any] = [store, store.history("c"), AsyncChatStore("never-opened.db")]
    for one in given:
        with pytest.raises(TypeError, match=r"ChatStore.* cannot be pickled: hand its location"):
            pickle.dumps(one)


def test_a_cursor_or_a_kind_in_the_place_of_a_context_is_refused(store: ChatStore) -> None:
    history = store.history("c")
    for slip in (history.head(), "transcript", "now"):
        with pytest.raises(InvalidInput, match="write after= or kind="):
            history.subscribe(slip)
