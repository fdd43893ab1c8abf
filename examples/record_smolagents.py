"""An agent of smolagents, recorded while it works. Needs no model and no network:

    pip install 'chatstore[smolagents]' && python examples/record_smolagents.py

Open `chatstore tail chat.db math` in a second terminal to see the text come.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from smolagents import CodeAgent, Model, tool
from smolagents.models import ChatMessageStreamDelta
from smolagents.monitoring import LogLevel, TokenUsage

from chatstore import Block, ChatStore
from chatstore.recorders.smolagents import record

TASK = "What is 2 plus 3, doubled?"


class Scripted(Model):
    """Stands for a model, and says what is given, in pieces; in its place goes any model of smolagents."""

    def __init__(self, *answers: str) -> None:
        super().__init__(model_id="scripted")
        self._answers = iter(answers)

    def generate_stream(self, messages: Any, **_: Any) -> Iterator[ChatMessageStreamDelta]:
        answer = next(self._answers)
        for place in range(0, len(answer), 6):
            yield ChatMessageStreamDelta(content=answer[place : place + 6])
        yield ChatMessageStreamDelta(content="", token_usage=TokenUsage(input_tokens=20, output_tokens=len(answer)))


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers.

    Args:
        a: the first
        b: the second
    """
    return a + b


def quiet(agent: CodeAgent) -> CodeAgent:
    """smolagents prints what streams, whatever its log level is."""
    agent.logger.console = Console(file=io.StringIO())
    return agent


def make_agent() -> CodeAgent:
    """An agent that plans, and has another one double the sum."""
    options: dict[str, Any] = {"stream_outputs": True, "verbosity_level": LogLevel.OFF}
    doubler = CodeAgent(
        [],
        Scripted("<code>final_answer(5 * 2)</code>"),
        name="doubler",
        description="doubles a number",
        **options,
    )
    model = Scripted(
        "1. add the numbers\n2. have the sum doubled<end_plan>",
        "First the sum.\n<code>\ntotal = add(2, 3)\nprint(total)\n</code>",
        "Now double it.\n<code>\nprint(doubler(task=f'double {total}'))\nfinal_answer(10)\n</code>",
    )
    return quiet(CodeAgent([add], model, managed_agents=[quiet(doubler)], planning_interval=5, **options))


def show(block: Block) -> None:
    """One block in a line."""
    text = block.text if len(block.text) <= 60 else f"{block.text[:57]}..."
    marks = [f"{tag.kind}/{tag.name}" for tag in block.tags] + ["internal"] * block.internal
    print(f"{block.index:3} {block.type:16} {block.author or block.role or '':10} {text!r} {' '.join(marks)}")


def main(path: str = "chat.db") -> None:
    """Runs the agent, and prints what is stored of it."""
    with ChatStore(path) as store:
        history, agent = store.history("math"), make_agent()
        recording = record(agent.run(TASK, stream=True), history, agent=agent, prompt=TASK)
        for _ in recording:
            pass  # the events of smolagents, as if nobody recorded them
        for block in history.get_messages(run=recording.run_id):
            show(block)
        print("the person sees:", [block.text for block in history.get_messages(kind="transcript")][-2:])
        print("the run is", history.get_run(recording.run_id).state)


if __name__ == "__main__":
    main(*sys.argv[1:])
