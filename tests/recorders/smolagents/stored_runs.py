"""What is stored of agents of smolagents, for the tests that look at it."""

from __future__ import annotations

from typing import Any

from scripted_model import code_agent

from chatstore import Block, History, Run
from chatstore.recorders.smolagents import record

TASK = "Add 2 and 3"


def done(agent: Any, history: History, *, task: str = TASK, **options: Any) -> list[Block]:
    """What is stored of a run that comes to its end."""
    run = {name: options.pop(name) for name in ("images", "reset", "max_steps") if name in options}
    for _ in record(agent.run(task, stream=True, **run), history, agent=agent, prompt=task, strict=True, **options):
        pass
    return history.get_messages()


def last_run(history: History) -> Run:
    return history.runs()[-1]


def result_of(blocks: list[Block], call: Block) -> Block:
    [result] = [block for block in blocks if block.parent_id == call.id]
    return result


def managed(*answers: Any, manager: Any = None, **options: Any) -> Any:
    """An agent that has another one add."""
    worker = code_agent(*answers, name="adder", description="adds", **options)
    asking = "<code>final_answer(adder(task='add 4 and 4'))</code>"
    return manager(worker) if manager else code_agent(asking, tools=[], managed_agents=[worker]), worker
