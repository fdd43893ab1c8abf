"""What a store should hold and give, in plain dicts: blocks, and the log of what happened to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Plain = dict[str, Any]

NEW = {"run_id": None, "parent_id": None, "data": None, "parts": (), "usage": None, "state": "closed", "text": ""}
"""What a block has that its draft does not say."""
STAMPS = ("id", "created_at", "updated_at", "cursor")
"""What only the store can say of a block."""


@dataclass
class Seen:
    """A place in a log: a cursor, the filters it was given under, and the text of open blocks before it."""

    cursor: str
    filters: Plain
    received: dict[int, int]


@dataclass
class History:
    """One context. `log` has a dict for each change; one of text says which characters of its block came."""

    name: str
    blocks: list[Plain] = field(default_factory=list)
    log: list[Plain] = field(default_factory=list)
    keys: dict[str, tuple[list[Plain], int]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    runs: list[Plain] = field(default_factory=list)
    run_id: str | None = None
    """The run that has what is written now."""
    named: dict[str, str] | None = None
    keyed: bool = False
    """By which keys it is named, too, and whether it ever was."""
    erased: bool = False

    @property
    def head(self) -> str:
        """The cursor of the last change, text left out."""
        return max((entry["cursor"] for entry in self.log if "cursor" in entry), default="")

    def open_blocks(self) -> list[Plain]:
        return [block for block in self.blocks if block["state"] == "open"]

    def add(self, draft: Plain, stored: Plain, state: str = "closed") -> None:
        """A block that was stored: as it was drafted, and in the next place."""
        tags = {(kind, name): value for kind, name, value in draft["tags"]}
        parent = draft.get("parent")
        expected = {
            **NEW,
            "run_id": self.run_id,
            **{name: value for name, value in draft.items() if name != "parent"},
            "tags": _tags(tags),
            "parent_id": parent,
            "context_id": self.name,
            "index": len(self.blocks),
            "state": state,
            **{name: stored[name] for name in STAMPS},
        }
        assert stored == expected
        assert stored["cursor"] > self.head
        self.blocks.append(expected)
        self.log.append({"what": "BlockAdded", "index": expected["index"], "cursor": stored["cursor"]})

    def grow(self, index: int, text: str) -> None:
        """Text that was stored in an open block."""
        block = self.blocks[index]
        begin = len(block["text"])
        block["text"] += text
        self.log.append({"what": "TextAppended", "index": index, "begin": begin, "end": len(block["text"])})

    def change(self, what: str, index: int, stored: Plain, head: str, **values: Any) -> None:
        """A block that was updated or ended: with these values, and otherwise as it was."""
        block = self.blocks[index]
        block.update(values, updated_at=stored["updated_at"])
        assert stored == block
        assert head > self.head
        self.log.append({"what": what, "index": index, "cursor": head})

    def tagged(self, index: int, tag: tuple[str, str, Any]) -> tuple[Plain, ...]:
        """The tags of a block with one more, or with another value of one."""
        tags = {(one["kind"], one["name"]): one["value"] for one in self.blocks[index]["tags"]}
        return _tags({**tags, (tag[0], tag[1]): tag[2]})

    def selected(self, filters: Plain) -> list[Plain]:
        return [block for block in self.blocks if matches(block, filters)]

    def changes(self, filters: Plain, after: Seen | None = None) -> list[Plain]:
        """What a subscription gives that reads the log now: blocks as they are, no text of those that ended."""
        if self.erased:
            return [{"what": "HistoryErased"}]
        return [*self._changes(filters, after)]

    def _changes(self, filters: Plain, after: Seen | None) -> Iterator[Plain]:
        for entry in self.log:
            if "run" in entry:
                if wants_runs(filters) and (after is None or entry["cursor"] > after.cursor):
                    yield entry
                continue
            block = self.blocks[entry["index"]]
            if not matches(block, filters):
                continue
            if entry["what"] == "TextAppended":
                if block["state"] != "open":
                    continue
                begin = max(entry["begin"], self._received(block, after))
                if begin < entry["end"]:
                    yield {**entry, "offset": begin, "text": block["text"][begin : entry["end"]]}
            elif after is None or entry["cursor"] > after.cursor:
                yield {**entry, "block": shown(block)}

    def _received(self, block: Plain, after: Seen | None) -> int:
        return 0 if after is None or block["cursor"] > after.cursor else after.received[block["index"]]

    def unknown(self, changes: list[Plain]) -> list[Plain]:
        """Those of changes that are not in the log yet; text is not looked at."""
        known = {entry["cursor"] for entry in self.log if "cursor" in entry}
        return [one for one in changes if one["what"] != "TextAppended" and one["cursor"] not in known]

    def entry(self, change: Plain) -> Plain:
        """A change as the log has it."""
        entry = {"what": change["what"], "cursor": change["cursor"]}
        if "run" in change:
            return {**entry, "run": next(run for run in self.runs if run["id"] == change["run"]["id"])}
        return {**entry, "index": change["index"]}

    def refusal(self, index: int) -> str:
        """The error for who ends a block that has ended: of its run, if that is over."""
        if self.erased:
            return "ContextErased"
        state = next((run["state"] for run in self.runs if run["id"] == self.blocks[index]["run_id"]), "running")
        errors = {"running": "BlockEnded", "cancelled": "RunCancelled", "interrupted": "RunInterrupted"}
        return errors.get(state, "RunOver")

    def readable(self, filters: Plain) -> Plain:
        """Filters without what gives answers to calls that have none: a prompt is read by tests of its own."""
        calls = any(block["type"] == "function_call" for block in self.blocks)
        return {**filters, "kind": "trace"} if calls and filters.get("kind") == "prompt" else filters

    def can_resume(self, seen: Seen, filters: Plain) -> bool:
        """Whether it is known what a subscription under these filters had been given at a place."""
        old = [one for one in self.open_blocks() if one["cursor"] <= seen.cursor and matches(one, filters)]
        return filters == seen.filters or all(block["index"] in seen.received for block in old)

    def places(self, changes: list[Plain], filters: Plain, after: Seen | None) -> list[Seen]:
        """The places behind each of some changes that were read at once."""
        received = {} if after is None else dict(after.received)
        received |= {
            block["index"]: self._received(block, after) for block in self.open_blocks() if matches(block, filters)
        }
        places = []
        for change in changes:
            if change["what"] == "TextAppended":
                received[change["index"]] = change["offset"] + len(change["text"])
            places.append(Seen(change["cursor"], filters, dict(received)))
        return places


def shown(block: Plain) -> Plain:
    """A block as a change has it: the text of an open one follows."""
    return {**block, "text": ""} if block["state"] == "open" else block


def normal(changes: Iterable[Plain]) -> list[Any]:
    """Changes with the pieces of text that stand together joined, block by block; they may come in other portions."""
    found: list[Any] = []
    for change in changes:
        if change["what"] != "TextAppended":
            erased = change["what"] == "HistoryErased"
            found.append({**change, "cursor": None if erased else change["cursor"].split(".")[0]})
            continue
        if not found or not isinstance(found[-1], _Text):
            found.append(_Text())
        offset, text = found[-1].get(change["index"], (change["offset"], ""))
        assert change["offset"] == offset + len(text), f"text of another place: {change}"
        found[-1][change["index"]] = offset, text + change["text"]
    return found


class _Text(dict[int, tuple[int, str]]):
    """Where the text of each block goes on, and the text."""


def matches(block: Plain, filters: Plain) -> bool:
    """Whether a kind and filters mean a block."""
    message, role = block["type"] == "message", block["role"]
    kinds = {
        "trace": True,
        "transcript": message and role in ("user", "assistant") and not block["internal"],
        "prompt": (message and role in ("system", "developer", "user", "assistant"))
        or block["type"] in ("function_call", "function_result"),
    }
    tags = {(tag["kind"], tag["name"]) for tag in block["tags"]}
    return (
        kinds[filters.get("kind", "trace")]
        and all(
            block[name] in filters[f"{name}s"] for name in ("type", "role", "author", "state") if f"{name}s" in filters
        )
        and tags.issuperset(filters.get("tags", ()))
    )


def wants_runs(filters: Plain) -> bool:
    """Whether a subscription gives changes of runs: where everything is wanted."""
    return not filters or filters == {"kind": "trace"}


def window(
    blocks: list[Plain],
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int | None = None,
    last: int | None = None,
) -> list[Plain]:
    """The part of a read that its window asks for."""
    found = [
        block
        for block in blocks
        if (after is None or block["index"] > after) and (before is None or block["index"] < before)
    ]
    if last is not None:
        return found[-last:] if last else []
    return found if limit is None else found[:limit]


def _tags(tags: dict[tuple[str, str], Any]) -> tuple[Plain, ...]:
    return tuple({"kind": kind, "name": name, "value": value} for (kind, name), value in tags.items())
