"""The example's agent does, natively, what Steamship's agents did: the same turn, and what was wrong there is not."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from data_support import data_files

from chatstore import Block, ChatStore, History, RunEnded

EXAMPLE = Path(__file__).parents[2] / "examples" / "function_calling_agent.py"
DEADLINE = 20
SECRETS = {"a": "secret of A", "b": "secret of B"}


def load() -> Any:
    spec = importlib.util.spec_from_file_location("function_calling_agent", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


example = load()


@pytest.fixture(scope="module")
def captured() -> dict[str, Any]:
    (file,) = data_files("framework_events/steamship_events.json")
    events: dict[str, Any] = json.loads(file.read_text())
    return events


def search(text: str) -> Sequence[str]:
    example.say("searching", "Search")
    return ["42", "43"]


def saying(*actions: Any) -> Any:
    """A model that does this, one after the other."""
    left = iter(actions)
    return lambda messages: next(left)


def agent(*actions: Any, **options: Any) -> Any:
    return example.FunctionCallingAgent(saying(*actions), {"Search": search}, **options)


CALL = example.Call("Search", '{"text": "president"}')


def mapped(blocks: list[dict[str, Any]]) -> list[tuple[str, str | None, str | None]]:
    """Type, role and author of each block as this library has it.

    - A status message is a `status` by who it is of; one of a tool by the tool.
    - The assistant's function selection is a `function_call`.
    - What a tool gave is one `function_result`, where Steamship has a block for each output.
    - That the request is complete is no block: the run ends.
    """
    found: list[tuple[str, str | None, str | None]] = []
    for block in blocks:
        tags = dict(tag.partition("=")[::2] for tag in block["tags"])
        role = block["chat_role"]
        if "agent-status-message/request-complete" in tags:
            continue
        if any(tag.startswith("function-selection/") for tag in tags):
            found.append(("function_call", "assistant", "agent"))
        elif "role/function" in tags:
            if found[-1][0] != "function_result":
                found.append(("function_result", "tool", None))
        elif "status-message/role" in tags:
            author = tags["status-message/role"].split("'")[-2]
            by = tags.get("tool-status-message/observation", "").split("'tool': ")[-1].strip("'}")
            found.append(("status", None, by or author))
        else:
            found.append(("message", role, "agent" if role == "assistant" else None))
    return found


def turn(store: ChatStore) -> tuple[History, Any]:
    """The turn that was captured, by the example's agent."""
    history = store.history({"id": "c1"})
    history.append_system_message("You are a helpful AI assistant.")
    handle = store.submit(agent(CALL, iter(["The answer ", "is 42."])), "who?", context={"id": "c1"})
    assert handle.result(DEADLINE) == "The answer is 42."
    return history, handle


def test_s3_a_turn_with_a_call_has_the_blocks_that_were_captured(store: ChatStore, captured: dict[str, Any]) -> None:
    history, handle = turn(store)
    blocks = history.get_messages()
    wanted = mapped(captured["history_after_turn1"])
    assert [(block.type, block.role, block.author) for block in blocks] == wanted
    assert len(wanted) == 17 - 2  # two results are one, and the end is no block
    said = [block["text"] for block in captured["history_after_turn1"]]
    assert [blocks[index].text for index in (1, 7, 14)] == [said[index] for index in (1, 7, 15)]
    chosen = json.loads(said[4])
    assert (blocks[4].data["name"], blocks[4].text) == (chosen["name"], chosen["arguments"])
    with history.subscribe(run=handle.run.id, follow=False) as changes:
        assert isinstance([*changes][-1], RunEnded)


def test_s9_a_result_of_two_parts_is_one_block(store: ChatStore) -> None:
    history, _ = turn(store)
    (call,), (result,) = (history.get_messages(types=[type]) for type in ("function_call", "function_result"))
    assert [part.text for part in result.parts] == ["42", "43"]
    assert (result.parent_id, result.data["name"]) == (call.id, "Search")


def test_s5_calls_since_the_last_user_message(store: ChatStore) -> None:
    history, _ = turn(store)
    types = ["function_call", "function_result"]
    assert [block.type for block in history.since_last_user_message(types=types)] == types
    store.submit(agent(iter(["Sure, thanks."])), "totally. thanks.", context={"id": "c1"}).result(DEADLINE)
    assert history.since_last_user_message(types=types) == []
    assert [block.text for block in history.get_messages(kind="transcript")] == [
        *("who?", "The answer is 42.", "totally. thanks.", "Sure, thanks.")
    ]


def test_an_agent_that_goes_on_calling_is_stopped(store: ChatStore) -> None:
    handle = store.submit(agent(*[CALL] * 9, max_actions=3), "who?", context="c")
    with pytest.raises(example.TooManyActions, match="no answer after 3 actions"):
        handle.result(DEADLINE)
    run = handle.wait(DEADLINE)
    assert run is not None and run.error is not None
    assert (run.state, run.error.type) == ("failed", "TooManyActions")  # where Steamship says that it is complete
    assert len(handle.history.get_messages(types=["function_result"])) == 3


def test_a_tool_that_fails_is_told_to_the_model(store: ChatStore) -> None:
    calls = [example.Call("Search", '{"txt": 1}'), example.Call("Find", "{}"), example.Call("Search", "no JSON")]
    handle = store.submit(agent(*calls, iter(["Sorry."])), "who?", context="c")
    assert handle.result(DEADLINE) == "Sorry."
    results = handle.history.get_messages(types=["function_result"])
    assert [block.data["is_error"] for block in results] == [True] * 3
    assert [block.text.partition(":")[0] for block in results] == ["TypeError", "KeyError", "TypeError"]


class RootHandler(logging.Handler):
    """How Steamship's contexts hear of what their agents do: by a handler of the root logger, each its own."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def emit(self, record: logging.LogRecord) -> None:
        self._history.append_status_message(record.getMessage())


@contextmanager
def by_the_root_logger(history: History) -> Iterator[None]:
    handler = RootHandler(history)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def two_at_once(store: ChatStore, say: Any, inside: Any) -> dict[str, list[str]]:
    """Two contexts of one process, both at work, say each its secret; what each was told."""
    together = threading.Barrier(2)

    def work(name: str) -> None:
        history = store.history(name)
        with history.run(), inside(history):
            together.wait(DEADLINE)
            say(SECRETS[name])
            together.wait(DEADLINE)

    threads = [threading.Thread(target=work, args=(name,)) for name in SECRETS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    return {name: sorted(block.text for block in store.history(name).get_messages()) for name in SECRETS}


def test_two_contexts_see_nothing_of_each_other(store: ChatStore, captured: dict[str, Any]) -> None:
    @contextmanager
    def nothing(history: History) -> Iterator[None]:
        yield

    told = two_at_once(store, partial(example.say, author="tool"), nothing)
    assert told == {name: [secret] for name, secret in SECRETS.items()}
    leak = captured["two_contexts_in_one_process_crosstalk"]
    assert SECRETS["a"] in leak["a"] and SECRETS["a"] in leak["b"]


def test_control_a_handler_of_the_root_logger_tells_each_what_the_other_said(store: ChatStore) -> None:
    logger = logging.getLogger("tool")
    told = two_at_once(store, logger.warning, by_the_root_logger)
    assert told == {name: sorted(SECRETS.values()) for name in SECRETS}


def test_agents_at_once_tell_each_person_of_their_own_fruit(store: ChatStore) -> None:
    made = example.FunctionCallingAgent(example.scripted, {"find_prices": example.find_prices})
    handles = [
        store.submit(made, f"What of {fruit}s?", context=f"{fruit}-{number}")
        for number in range(4)
        for fruit in ("apple", "pear")
    ]
    for handle in handles:
        handle.result(DEADLINE)
    for handle in handles:
        fruit = handle.history.context_id.partition("-")[0]
        (status,) = handle.history.get_messages(authors=["find_prices"])
        assert status.text == f"Looking for the prices of {fruit}s"
        assert {block.run_id for block in handle.history.get_messages()} == {handle.run.id}


def test_the_example_runs(path: Path) -> None:
    command = [sys.executable, "-W", "error", EXAMPLE, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    seen = lines[1 : lines.index("ann was told 'They are 0.40 each or 2.10 a kilo.'; stored are:")]
    assert "  (find_prices) Looking for the prices of apples" in seen
    assert seen[-1] == "They are 0.40 each or 2.10 a kilo."
    assert not [line for line in seen if "pear" in line or "0.60" in line]
    assert len([line for line in lines if " status " in line]) == 2 * 10
    with ChatStore(path) as store:
        assert [texts(store.history(person)) for person in ("ann", "ben")] == [
            ["What do you take for apples?", "They are 0.40 each or 2.10 a kilo."],
            ["What do you take for pears?", "They are 0.60 each or 3.00 a kilo."],
        ]


def texts(history: History) -> list[str]:
    transcript: list[Block] = history.get_messages(kind="transcript")
    return [block.text for block in transcript]
