"""What every recorder promises, of the lines that the real API of Ragna answers with.

They have no end of their own, so that three of the promises read otherwise: who has all lines has all that there is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ragna_chats import PIECES
from recorder_promises import RecorderPromises, Subject, play

from chatstore.recorders.ragna import record_lines

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


class TestLines(RecorderPromises):
    subject = Subject("ragna_chats:lines_of_the_api", begun=2, partial="".join(PIECES[:2]), record=record_lines)

    def test_a_stream_that_breaks_off_has_failed(self, face: str, path: Path, events: list[Any]) -> None:
        """Where Ragna breaks off, the client that reads the lines raises; where nothing is raised, it is whole."""
        played = play(face, path, self.subject, events[: self.subject.begun])
        assert played.run is not None
        assert played.run.state == "completed"
        assert (played.blocks[-1].state, played.blocks[-1].text) == ("closed", self.subject.partial)

    def test_nothing_at_all_is_a_stream_that_broke_off(self, face: str, path: Path) -> None:
        played = play(face, path, self.subject, [])
        assert played.run is not None
        assert (played.run.state, [block.text for block in played.blocks]) == ("completed", [""])

    def test_who_stops_after_the_end_cancels_nothing(self, face: str, path: Path, events: list[Any]) -> None:
        """With a last line of ours it is known, and without it nobody can tell that it was the last."""
        events.append('{"content": "", "state": "completed"}')
        played = play(face, path, self.subject, events, take=len(events))
        assert played.run is not None
        assert played.run.state == "completed"


def test_a_last_line_that_says_that_it_failed(path: Path) -> None:
    line = '{"content": "", "state": "failed", "error": "LookupError: died"}'
    subject = Subject("ragna_chats:lines_of_the_api", 0, "", record=record_lines)
    played = play("sync", path, subject, [*subject.events(), line])
    assert played.run is not None and played.run.error is not None
    assert (played.run.state, played.run.error.message) == ("failed", "LookupError: died")
    assert played.blocks[-1].text == "".join(PIECES)
