"""What recorders put on blocks that people look for."""

from __future__ import annotations

from typing import Final

from chatstore.model import Tag

FINAL: Final = Tag(kind="answer", name="final")
"""The answer at the end of a run, of an agent or of the last of many."""
PLAN: Final = Tag(kind="step", name="plan")
"""What a model said when it was asked for a plan."""
THOUGHT: Final = Tag(kind="step", name="thought")
"""A message that turned out to be a thought, once all of it was there for everybody to read."""
