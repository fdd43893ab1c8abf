"""Google ADK's `DatabaseSessionService`, on SQLite by aiosqlite."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks.measuring import Unavailable
from benchmarks.stores import directory
from benchmarks.workloads import AsyncAppend

NOTE = (
    "each event synced (rollback journal, synchronous=FULL); refuses an append to a session that somebody else wrote"
    " to since it was loaded; keeps the session in memory; nothing to follow it by"
)
SESSION = "context-0"


@asynccontextmanager
async def events() -> AsyncIterator[Callable[[str], AsyncAppend]]:
    """Gives `append_event` of the one session."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own features that are experimental
            from google.adk.events import Event
            from google.adk.sessions import DatabaseSessionService
            from google.genai.types import Content, Part
    except ImportError:
        raise Unavailable("google-adk is not installed: pip install 'google-adk[db]'") from None
    with directory() as path:
        async with DatabaseSessionService(f"sqlite+aiosqlite:///{path / 'adk.db'}") as service:
            session = await service.create_session(app_name="benchmark", user_id="user", session_id=SESSION)

            async def append(text: str) -> None:
                content = Content(role="user", parts=[Part(text=text)])
                await service.append_event(session, Event(author="user", content=content))

            yield lambda _: append
