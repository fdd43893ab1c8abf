"""What every store promises. Inherit `ConformanceSuite`, or the parts of it that apply; see `chatstore.testing`."""

from chatstore.testing.conformance.appending import Appending
from chatstore.testing.conformance.compacting import Compacting
from chatstore.testing.conformance.conditions import AppendConditions
from chatstore.testing.conformance.content import Content
from chatstore.testing.conformance.contexts import Contexts
from chatstore.testing.conformance.cursors import Cursors
from chatstore.testing.conformance.endings import Endings
from chatstore.testing.conformance.erasing import Erasing, Retaining
from chatstore.testing.conformance.feeds import Feeds
from chatstore.testing.conformance.following import Following
from chatstore.testing.conformance.lifetime import Lifetime
from chatstore.testing.conformance.marking import Marking
from chatstore.testing.conformance.open_blocks import OpenBlocks
from chatstore.testing.conformance.reading import Reading
from chatstore.testing.conformance.refusing import Refusing
from chatstore.testing.conformance.resuming import Resuming
from chatstore.testing.conformance.running import Running
from chatstore.testing.conformance.streams import Streams
from chatstore.testing.conformance.submitting import Submitting

__all__ = [
    "AppendConditions",
    "Appending",
    "Compacting",
    "ConformanceSuite",
    "Content",
    "Contexts",
    "Cursors",
    "Endings",
    "Erasing",
    "Feeds",
    "Following",
    "Lifetime",
    "Marking",
    "OpenBlocks",
    "Reading",
    "Refusing",
    "Resuming",
    "Retaining",
    "Running",
    "Streams",
    "Submitting",
]


class ConformanceSuite(
    AppendConditions,
    Appending,
    Compacting,
    Content,
    Contexts,
    Cursors,
    Endings,
    Erasing,
    Feeds,
    Following,
    Lifetime,
    Marking,
    OpenBlocks,
    Reading,
    Refusing,
    Resuming,
    Retaining,
    Running,
    Streams,
    Submitting,
):
    """The whole of it."""
