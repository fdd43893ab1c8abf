"""What agents of Google's Agent Development Kit do, as a plugin hears it.

    runner = Runner(app=App(name="…", root_agent=agent, plugins=[Recorder(store)]), …)

    async for event in record(runner.run_async(…), history, prompt="…"):
        ...

The plugin writes every invocation of the runner, the context is by its session. `record` is for one stream. Where both
are there, the stream is recorded, and the plugin tells what the user said. Seen with google-adk 2.13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore.recorders.shared.later import later

if TYPE_CHECKING:
    from chatstore.recorders.google_adk.plugin import AdkScript, Recorder, by_session, record

__all__ = ["AdkScript", "Recorder", "by_session", "record"]

if not TYPE_CHECKING:
    __getattr__ = later(__name__, "plugin", __all__)
