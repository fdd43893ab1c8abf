"""An agent that calls functions, followed while it works. Needs no model and no network:

    pip install chatstore && python examples/function_calling_agent.py

Its tools say what they are doing without being handed a history: they take the current one, which goes by a context
variable. So two people can be answered in one process, and nothing that is said to one is seen by the other.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from chatstore import Block, BlockAdded, BlockClosed, ChatStore, History, Part, RunHandle, TextAppended, to_openai


class Call(NamedTuple):
    """What a model says that wants a function to be called; `arguments` are JSON, as the model wrote it."""

    name: str
    arguments: str


Action: TypeAlias = Call | Iterator[str]
"""What a model does next: it calls a function, or it answers, token by token."""
Model: TypeAlias = Callable[[list[Any]], Action]
Tool: TypeAlias = Callable[..., Sequence[str]]


class TooManyActions(Exception):
    """An agent went on calling functions."""


def say(text: str, author: str) -> None:
    """Says what goes on, to whom it is being done for."""
    History.current().append_status_message(text, author=author)


class FunctionCallingAgent:
    """Asks its model what to do next, and does it, until the model answers."""

    def __init__(self, model: Model, tools: Mapping[str, Tool], *, max_actions: int = 5) -> None:
        self._model = model
        self._tools = tools
        self._max_actions = max_actions

    def __call__(self, history: History, prompt: str) -> str:
        """Answers what the person said last; what `store.submit` takes."""
        action, done = self._next(history), 0
        while isinstance(action, Block):
            if done == self._max_actions:
                raise TooManyActions(f"no answer after {done} actions")
            self._run(history, action)
            action, done = self._next(history), done + 1
            say(f"Next: {_name(action)}", "agent")
        return history.append_assistant_message(action, author="agent").text

    def _next(self, history: History) -> Block | Iterator[str]:
        say("Selecting what to do next", "agent")
        messages = to_openai(history.get_messages(kind="prompt"))
        say(f"Asking with {len(messages)} messages", "llm")
        action = self._model(messages)
        chosen = history.append_function_call(*action, author="agent") if isinstance(action, Call) else action
        say(f"Selected: {_name(chosen)}", "agent")
        return chosen

    def _run(self, history: History, call: Block) -> None:
        name, arguments = call.data["name"], call.data["arguments"] or {}
        say(f"Running {name}", "agent")
        try:
            outputs = self._tools[name](**arguments)
        except Exception as error:  # the model is told, and may do better
            history.append_function_result(f"{type(error).__name__}: {error}", call=call, is_error=True)
            return
        say(f"{name} is done: {len(outputs)} outputs", "agent")
        history.append_function_result("", call=call, parts=[Part(type="text", text=text) for text in outputs])


def _name(action: Block | Iterator[str]) -> str:
    return str(action.data["name"]) if isinstance(action, Block) else "the answer"


PRICES = {"apple": ("0.40 each", "2.10 a kilo"), "pear": ("0.60 each", "3.00 a kilo")}


def find_prices(fruit: str) -> Sequence[str]:
    """A tool: it knows nothing of histories but the current one."""
    say(f"Looking for the prices of {fruit}s", "find_prices")
    return PRICES[fruit]


def scripted(messages: list[Any]) -> Action:
    """Stands for a model: wants the tool for a question, and answers with what it found."""
    last = messages[-1]
    if last["role"] == "user":
        return Call("find_prices", json.dumps({"fruit": last["content"].split()[-1].strip("s?")}))
    found = " or ".join(item["text"] for item in last["content"])
    return iter(re.findall(r"\s*\S+", f"They are {found}."))


def follow(handle: RunHandle[str]) -> None:
    """Prints what happens in a run, as it happens."""
    said = ""
    with handle.history.subscribe(after=handle.cursor, run=handle.run.id) as changes:
        for change in changes:
            text = said
            match change:
                case BlockAdded(block=block) if block.type == "status":
                    print(f"  ({block.author}) {block.text}")
                case TextAppended(type="message"):
                    text = said[: change.offset] + change.text
                case BlockAdded(type="message", role="assistant") | BlockClosed(type="message"):
                    text = change.block.text
            print(text[len(said) :], end="", flush=True)
            said = text
    print()


def show(block: Block) -> None:
    """One block in a line."""
    text = block.text or " | ".join(part.text or "" for part in block.parts)
    print(f"{block.index:3} {block.type:16} {block.role or '':10} {block.author or '':12} {text}")


def main(path: str = "chat.db") -> None:
    """Answers two people at once, follows one of them, and prints what is stored of both."""
    agent = FunctionCallingAgent(scripted, {"find_prices": find_prices})
    with ChatStore(path) as store:
        for person in ("ann", "ben"):
            store.history(person).append_system_message("You sell fruit.", key="system")
        ann = store.submit(agent, "What do you take for apples?", context="ann")
        ben = store.submit(agent, "What do you take for pears?", context="ben")
        print("ann sees:")
        follow(ann)
        for handle in (ann, ben):
            print(f"{handle.history.context_id} was told {handle.result(10)!r}; stored are:")
            for block in handle.history.get_messages():
                show(block)


if __name__ == "__main__":
    main(*sys.argv[1:])
