"""What agents of smolagents do, as `agent.run(task, stream=True)` yields it.

    for event in record(agent.run(task, stream=True), history, agent=agent, prompt=task):
        ...

Seen with smolagents 1.26. Its events have neither ids nor the number of their step, so what belongs together is told
by their order: deltas, then calls and their outputs, then the step as a whole.
"""

from __future__ import annotations

from chatstore.recorders.smolagents.script import SmolagentsScript, record

__all__ = ["SmolagentsScript", "record"]
