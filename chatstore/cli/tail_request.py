"""What `chatstore tail` was asked for, and the command that goes on where one ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from chatstore import StoreSubscription, Subscription
from chatstore.cli.options import DEFAULT_STORE, shown_location
from chatstore.cli.safe import shell_word
from chatstore.errors import InvalidInput
from chatstore.store import ChatStore


@dataclass(frozen=True, slots=True)
class Request:
    """What `tail` was asked for; it writes itself as the command that goes on from a cursor.

    `context` names one by its id or its keys; with `all` it is the keys that all contexts have to have.
    """

    context: str | Mapping[str, str]
    all: bool = False
    store: str = DEFAULT_STORE
    follow: bool = False
    after: str | None = None
    kind: str = "trace"
    types: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    run: str | None = None
    json: bool = False
    full: bool = False
    printed: Mapping[str, int] = field(default_factory=dict)

    def subscribe(self, store: ChatStore, after: str | None, *, follow: bool) -> Subscription | StoreSubscription:
        """The changes that are meant, behind a cursor."""
        types, authors = self.types or None, self.authors or None
        if self.all and not isinstance(self.context, str):
            return store.subscribe(
                after=after, kind=self.kind, keys=self.context, follow=follow, types=types, authors=authors
            )
        history = store.history(self.context)
        return history.subscribe(after=after, kind=self.kind, follow=follow, types=types, authors=authors, run=self.run)

    def resumed(self, cursor: str, printed: Mapping[str, int]) -> str:
        """The command line that shows what comes behind the cursor, to be pasted into a shell."""
        named, keys = ([self.context], {}) if isinstance(self.context, str) else ([], self.context)
        flags = {"--all": self.all, "-f": self.follow, "--json": self.json, "--full": self.full}
        options = [
            *_repeated("--key", (f"{name}={value}" for name, value in keys.items())),
            *_repeated("--store", () if self.store == DEFAULT_STORE else (shown_location(self.store),)),
            *(flag for flag, given in flags.items() if given),
            *_repeated("--run", () if self.run is None else (self.run,)),
            *_repeated("--kind", () if self.kind == "trace" else (self.kind,)),
            *_repeated("--type", self.types),
            *_repeated("--author", self.authors),
            *_repeated("--after", (cursor,)),
            *_repeated("--printed", (f"{block_id}={count}" for block_id, count in printed.items())),
        ]
        dashed = any(name.startswith("-") for name in named)
        words = [*options, "--", *named] if dashed else [*named, *options]
        return " ".join(map(shell_word, ("chatstore", "tail", *words)))


def printed_before(given: Iterable[str]) -> dict[str, int]:
    """Blocks and characters of texts `BLOCK=CHARACTERS`."""
    return dict(map(_count, given))


def _count(text: str) -> tuple[str, int]:
    block_id, _, count = text.rpartition("=")
    if not (block_id and count.isascii() and count.isdigit() and len(count) < 19):
        raise InvalidInput(f"{text!r} does not say how much was printed; write BLOCK=CHARACTERS, as `tail` itself does")
    return block_id, int(count)


def _repeated(option: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (option, value)
