"""Kinds of reading, and the selection that `get_messages` and `subscribe` share.

A kind is decided when a block is written and kept with it as bits, so that the same word means the same blocks in a
query and in a subscription.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from chatstore import checks
from chatstore.errors import InvalidInput, UnknownKind
from chatstore.model import Block, Tag

Kind = Literal["transcript", "prompt", "trace"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

TRANSCRIPT: Final = 1
PROMPT: Final = 2

_PERSON_ROLES = frozenset({"user", "assistant"})
_MODEL_ROLES = _PERSON_ROLES | {"system", "developer"}
CALL_TYPES = frozenset({"function_call", "function_result"})
_SPEAKERS: Final[dict[str | None, int]] = {"user": 0, "assistant": 1, "system": 2, "developer": 3}
_OTHER_SPEAKER: Final = 4
_STATES = frozenset({"open", "closed", "failed", "cancelled", "interrupted"})


def views_of(type: str, role: str | None, internal: bool) -> int:
    """The kinds that a block belongs to, as bits; `trace` is everything and needs none."""
    if type == "message":
        transcript = TRANSCRIPT if role in _PERSON_ROLES and not internal else 0
        return transcript | (PROMPT if role in _MODEL_ROLES else 0)
    return PROMPT if type in CALL_TYPES else 0


def speaker_of(type: str, role: str | None, internal: bool) -> int | None:
    """Who says a message, as a number: its role, and whether it is internal. None of what is no message.

    Every kind and every filter by role means some of these few, so one index by them serves all.
    """
    if type != "message":
        return None
    return 2 * _SPEAKERS.get(role, _OTHER_SPEAKER) + internal


def speakers(views: int, roles: frozenset[str] | None) -> tuple[int, ...]:
    """The speakers of the messages of a kind and of these roles. All rarer roles share one: its blocks need a look."""
    return tuple(
        speaker_of("message", role, internal) or 0
        for role in (*_SPEAKERS, None)
        for internal in (False, True)
        if not views or views_of("message", role, internal) & views
        if roles is None or (role in roles if role else bool(roles - _SPEAKERS.keys()))
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which blocks are meant: a kind and filters that must all hold. None leaves a filter open.

    Within one filter any of the values may hold; of `tags` all must be on the block.
    """

    views: int = 0
    types: frozenset[str] | None = None
    roles: frozenset[str] | None = None
    authors: frozenset[str] | None = None
    states: frozenset[str] | None = None
    run: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def matches(self, block: Block) -> bool:
        """Whether a block is meant. The database decides the same by `operations.selecting`; a test compares them."""
        if self.views and not views_of(block.type, block.role, block.internal) & self.views:
            return False
        return (
            (self.types is None or block.type in self.types)
            and (self.roles is None or block.role in self.roles)
            and (self.authors is None or block.author in self.authors)
            and (self.states is None or block.state in self.states)
            and (self.run is None or block.run_id == self.run)
            and (not self.tags or {(tag.kind, tag.name) for tag in block.tags}.issuperset(self.tags))
        )

    @property
    def wants_runs(self) -> bool:
        """Whether changes of runs are meant: those of the one that is asked for, or all where everything is."""
        return self.run is not None or self == Selection()

    def matches_run(self, run_id: str | None) -> bool:
        """Whether a change of this run is meant."""
        return self.wants_runs and self.run in (None, run_id)


def select(
    *,
    kind: str,
    types: Iterable[str] | None = None,
    roles: Iterable[str] | None = None,
    authors: Iterable[str] | None = None,
    tags: Iterable[Tag | tuple[str, str]] | None = None,
    states: Iterable[str] | None = None,
    run: str | None = None,
) -> Selection:
    """The selection that a caller's filters mean. Raises UnknownKind or InvalidInput."""
    if kind not in KINDS:
        raise UnknownKind(f"unknown kind {kind!r}; it is one of {', '.join(KINDS)}")
    chosen = _names("states", states)
    if chosen is not None and not chosen <= _STATES:
        raise InvalidInput(f"unknown state {min(chosen - _STATES)!r}; states are {', '.join(sorted(_STATES))}")
    return Selection(
        views={"transcript": TRANSCRIPT, "prompt": PROMPT, "trace": 0}[kind],
        types=_names("types", types),
        roles=_names("roles", roles),
        authors=_names("authors", authors),
        states=chosen,
        run=None if run is None else checks.name(run, "run"),
        tags=tag_names(tags),
    )


def tag_names(tags: Iterable[Tag | tuple[str, str]] | None) -> tuple[tuple[str, str], ...]:
    """Kind and name of each tag of a filter."""
    given = [] if tags is None else checks.values(tags, "tags", checks.MAX_FILTERS)
    return tuple(dict.fromkeys(_tag_name(tag) for tag in given))


def _tag_name(tag: Tag | tuple[str, str]) -> tuple[str, str]:
    if isinstance(tag, Tag):
        if tag.value is not None:
            raise InvalidInput("a filter goes by kind and name of a tag; leave its value out")
        return checks.name(tag.kind, "a tag's kind"), checks.name(tag.name, "a tag's name")
    try:
        kind, name = tag
    except (TypeError, ValueError):
        raise InvalidInput(f"{tag!r} is neither a Tag nor a (kind, name) pair") from None
    return checks.name(kind, "a tag's kind"), checks.name(name, "a tag's name")


def _names(what: str, values: Iterable[str] | None) -> frozenset[str] | None:
    if values is None:
        return None
    return frozenset(
        checks.name(value, f"a value of {what}=") for value in checks.values(values, what, checks.MAX_TAGS)
    )
