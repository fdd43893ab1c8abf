"""A store with some of everything in it."""

from __future__ import annotations

from contextlib import suppress

from chatstore import BlockDraft, ChatStore, Part, Retain, Tag

NUL = "a\0b\x1a0"


KINDS = ("file", "server")


def fill(place: str, contexts: int = 12) -> None:
    with ChatStore(place, retain=Retain(blocks=40)) as store:
        for number in range(contexts):
            _converse(store, number)
        store.compact()
        store.history({"user": "u1", "channel": "web"}).erase()
        store.prune()


def _converse(store: ChatStore, number: int) -> None:
    history = store.history({"user": f"u{number}", "channel": "web"} if number % 2 else f"context-{number}")
    image = Part(type="image", mime_type="image/png", content=bytes([number % 3]) * 2_000)
    history.append([BlockDraft(role="user", text=f"{NUL} {number}", parts=[image])], key=f"first {number}")
    history.append_user_message("ü" * number, tags=[Tag(kind="topic", name="weather", value={"a": [1, None]})])
    history.tag_context(Tag(kind="plan", name="free"))
    with suppress(KeyError), history.run() as run:
        call = history.append_function_call("f", {"x": 1.0}, call_id="c")
        history.append_function_result("18 °C", call=call)
        with history.open_message() as answer:
            for token in ("It ", "is ", "18 °C."):
                answer.write(token)
        assert run.id
        if number % 3 == 0:
            raise KeyError("failed")
    for filler in range(60 if number == 2 else 0):
        history.append_status_message(f"step {filler}")
