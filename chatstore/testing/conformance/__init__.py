"""What every store promises. Inherit `ConformanceSuite`, or the parts of it that apply; see `chatstore.testing`."""

from chatstore.testing.conformance.appending import Appending
from chatstore.testing.conformance.conditions import AppendConditions
from chatstore.testing.conformance.content import Content
from chatstore.testing.conformance.contexts import Contexts
from chatstore.testing.conformance.cursors import Cursors
from chatstore.testing.conformance.following import Following
from chatstore.testing.conformance.lifetime import Lifetime
from chatstore.testing.conformance.marking import Marking
from chatstore.testing.conformance.reading import Reading
from chatstore.testing.conformance.refusing import Refusing
from chatstore.testing.conformance.resuming import Resuming

__all__ = [
    "AppendConditions",
    "Appending",
    "ConformanceSuite",
    "Content",
    "Contexts",
    "Cursors",
    "Following",
    "Lifetime",
    "Marking",
    "Reading",
    "Refusing",
    "Resuming",
]


class ConformanceSuite(
    Appending,
    AppendConditions,
    Content,
    Contexts,
    Cursors,
    Following,
    Lifetime,
    Marking,
    Reading,
    Refusing,
    Resuming,
):
    """The whole of it."""
