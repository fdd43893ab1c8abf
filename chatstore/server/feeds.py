"""What a stream is about: a subscription, made from the parameters of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Query

from chatstore import AsyncHistory, AsyncStoreSubscription, AsyncSubscription, Run
from chatstore.errors import ChatStoreError, ContextErased, InvalidInput
from chatstore.server.problems import problem_of
from chatstore.server.service import Service
from chatstore.wire.described import Kind, Name, Pair, State

Subscribed = AsyncSubscription | AsyncStoreSubscription


def pairs(given: list[str], what: str) -> list[tuple[str, str]]:
    """`KIND:NAME` texts; the second part may hold more colons."""
    found = [text.partition(":") for text in given]
    if any(not (first and colon and second) for first, colon, second in found):
        raise InvalidInput(f"{what}= takes two names with a colon between them, such as user:u1")
    return [(first, second) for first, _, second in found]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which blocks are meant: a kind, and values of which a block has one for each name that is given."""

    kind: Annotated[Kind, Query(description="transcript, prompt or trace")] = "trace"
    type: Annotated[list[Name] | None, Query()] = None
    role: Annotated[list[Name] | None, Query()] = None
    author: Annotated[list[Name] | None, Query()] = None
    state: Annotated[list[State] | None, Query()] = None
    tag: Annotated[list[Pair] | None, Query(description="KIND:NAME; a block has all of them")] = None
    run: Annotated[Name | None, Query(description="only what was written in this run")] = None

    def in_context(self) -> dict[str, Any]:
        """As the methods of a history take them."""
        return {**self.of_blocks(), "tags": pairs(self.tag or [], "tag") or None, "run": self.run}

    def of_blocks(self) -> dict[str, Any]:
        """As the subscription of a whole store takes them."""
        own = {"types": self.type, "roles": self.role, "authors": self.author, "states": self.state}
        return {"kind": self.kind, **{name: values or None for name, values in own.items()}}


FiltersOf = Annotated[Filters, Depends()]


async def context_keys(
    key: Annotated[list[Pair] | None, Query(description="NAME:VALUE of context keys")] = None,
) -> dict[str, str]:
    """The context keys that a request names."""
    try:
        return dict(pairs(key or [], "key"))
    except ChatStoreError as error:
        raise problem_of(error) from None


KeysOf = Annotated[dict[str, str], Depends(context_keys)]


class Feed(Protocol):
    """Changes that can be asked for from any cursor."""

    def subscribe(self, after: str | None, *, follow: bool, timeout: float | None) -> Subscribed:
        """The changes behind a cursor."""

    async def is_finished(self) -> bool:
        """Whether nothing will ever follow what is there."""


@dataclass(frozen=True, slots=True)
class HistoryFeed:
    """One context."""

    history: AsyncHistory
    filters: Filters

    def subscribe(self, after: str | None, *, follow: bool, timeout: float | None) -> Subscribed:
        """The changes behind a cursor."""
        return self.history.subscribe(after=after, follow=follow, timeout=timeout, **self.filters.in_context())

    async def is_finished(self) -> bool:
        """Whether it was erased, or the run that is meant is over."""
        try:
            runs: list[Run] = [] if self.filters.run is None else await self.history.runs()
            await self.history.info()
        except ContextErased:
            return True
        return any(run.id == self.filters.run and run.state != "running" for run in runs)


@dataclass(frozen=True, slots=True)
class StoreFeed:
    """The whole store, or the contexts of it with these keys and tags."""

    service: Service
    filters: Filters
    keys: dict[str, str]

    def subscribe(self, after: str | None, *, follow: bool, timeout: float | None) -> Subscribed:
        """The changes behind a cursor of the store."""
        if self.filters.run is not None:
            raise InvalidInput("run= belongs to one context; ask for /contexts/{context}/events")
        wanted = self.filters.of_blocks()
        tags = pairs(self.filters.tag or [], "tag") or None
        return self.service.store.subscribe(
            after=after, follow=follow, timeout=timeout, keys=self.keys or None, tags=tags, **wanted
        )

    async def is_finished(self) -> bool:
        """A store never is."""
        return False
