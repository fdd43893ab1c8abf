"""Events of runs of the Agents SDK, as it yielded them here."""

from __future__ import annotations

import asyncio
from typing import Any

from scripted_agents import adder, agent, message, run


async def _events(made: Any, asked: str) -> list[Any]:
    return [event async for event in run(made, asked).stream_events()]


def of_a_run() -> list[Any]:
    """One that thinks, calls a tool, and answers."""
    return asyncio.run(_events(adder(), "Add 2 and 3"))


def of_an_answer() -> list[Any]:
    """One that answers at once."""
    return asyncio.run(_events(agent("poet", [message("Roses are red")]), "A poem"))
