"""Recorders: the life of an agent, written into a history as it comes.

    for event in record(client.chat.completions.create(..., stream=True), history):
        ...

The events come out as they are. What they say is written beside: tokens as they come, calls with their arguments and
results, thoughts, what it cost, and how it ended.

`record` finds out by the first event what made it. Frameworks whose events are plain dicts and strings, or which need
to be told more, have a `record` of their own in a module of theirs, such as `chatstore.recorders.smolagents`.

What is made for one framework is in the module or the package of its name. `machine` is what runs the script of any,
and `shared` what the scripts of several use.
"""

from __future__ import annotations

from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.course import StreamFailed, StreamIdle, StreamTruncated
from chatstore.recorders.machine.found import record
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Begin, Finish, Grow, Mark, Put, Script, Spend, Step
from chatstore.recorders.machine.start import start

__all__ = [
    "AsyncRecording",
    "Begin",
    "Finish",
    "Grow",
    "Mark",
    "Put",
    "RecordOptions",
    "Recording",
    "Script",
    "Spend",
    "Step",
    "StreamFailed",
    "StreamIdle",
    "StreamTruncated",
    "record",
    "start",
]
