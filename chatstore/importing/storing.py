"""Entries of a source into a store: each once, however often it is read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from chatstore.cursor import Cursor
from chatstore.errors import BlocksRemoved, Conflict, ContextErased, InvalidInput, KeyConflict, RunOver
from chatstore.history import History
from chatstore.importing.entries import AGENTS, TRUNCATED, Entry, Later
from chatstore.model import Block, BlockDraft
from chatstore.recorders import Put
from chatstore.store import ChatStore

_REMEMBERED: Final = 100_000
"""Blocks that others may still name as their parent, or that something more may become known of."""


@dataclass(slots=True)
class _Context:
    """A context, and how far the source is in it: `number` entries, all of them stored.

    `before`: what is behind it is new, and has not been counted. `cut`: the keys of entries that are stored cut off.
    """

    history: History
    before: Cursor
    number: int = 0
    refused: bool = False
    cut: set[str] | None = None


@dataclass
class Storing:
    """Puts entries into the contexts that they name; `source` begins the keys they go by."""

    store: ChatStore
    source: str
    prefix: str = ""
    context: str | None = None
    _contexts: dict[str, _Context] = field(default_factory=dict)
    _blocks: OrderedDict[Hashable, Block] = field(default_factory=OrderedDict)

    def begin(self) -> None:
        """The begin of a source, which may have again what another had."""
        for context in self._contexts.values():
            context.number, context.refused, context.cut = 0, False, None

    def refuses(self, context: str) -> bool:
        """Whether the conversation was refused as a whole."""
        return context in self._contexts and self._contexts[context].refused

    def put(self, entry: Entry) -> list[Block]:
        """The blocks of an entry that are new: none of one that was stored before.

        Raises an InvalidInput that says why an entry cannot be stored; where it is of another conversation than its
        context, all that follows of that is refused.
        """
        context = self._context_of(entry.context)
        stored = self._append(context, entry, self._drafts(entry))
        context.number += 1
        if not stored:
            return []
        self._remember(entry, stored)
        if stored[0].cursor <= context.before:
            return []
        context.before = stored[-1].cursor
        return stored

    def _append(self, context: _Context, entry: Entry, drafts: list[BlockDraft]) -> list[Block]:
        key = f"import/{self.source}/{context.number + 1 if entry.place_in == 'order' else entry.key}"
        # Of who has the whole conversation, the first entry is the first of the context, or is there.
        expect = None if context.number or entry.place_in == "piece" else _begin_of(context.before)
        try:
            return context.history.append(drafts, key=key, expect=expect)
        except BlocksRemoved:
            return []
        except Conflict:
            raise self._refused(context) from None
        except KeyConflict:
            if entry.by_key:
                return self._stands(context, entry)
            if entry.place_in == "order":
                raise self._refused(context) from None
            raise InvalidInput(f"context {context.history.context_id!r} holds it with other content") from None
        except (ContextErased, RunOver) as error:
            raise InvalidInput(str(error)) from None

    def _stands(self, context: _Context, entry: Entry) -> list[Block]:
        """What is stored stands, unless that is less, as a source had it that ended in the middle."""
        if context.cut is None:
            cut = context.history.get_messages(tags=[(self.source, TRUNCATED)])
            context.cut = {tag.value for block in cut for tag in block.tags if isinstance(tag.value, str)}
        if entry.key in context.cut:
            raise InvalidInput(
                f"context {context.history.context_id!r} holds it cut off, as an earlier trace ended in the middle of"
                " it, and what is stored stays; import the whole one with a --prefix"
            )
        return []

    def _refused(self, context: _Context) -> InvalidInput:
        context.refused = True
        return InvalidInput(
            f"context {context.history.context_id!r} holds another conversation; nothing more of this one is imported:"
            " choose a --prefix"
        )

    def later(self, later: Later) -> None:
        """Puts on a block what was known only behind it, where that is not on it already."""
        block = self._blocks.get((later.context, later.block))
        if block is None:
            return
        history = self._contexts[later.context].history
        if later.usage and block.usage != later.usage:
            block = history.set_usage(block, dict(later.usage))
        missing = [tag for tag in later.tags if tag not in block.tags]
        if missing:
            block = history.tag(block, *missing)
        self._blocks[later.context, later.block] = block

    def _drafts(self, entry: Entry) -> list[BlockDraft]:
        made: dict[Hashable, BlockDraft] = {}
        drafts = []
        for put in entry.puts:
            drafts.append(self._draft(put, entry, made))
            if put.key is not None:
                made[put.key] = drafts[-1]
        return drafts

    def _draft(self, put: Put, entry: Entry, made: Mapping[Hashable, BlockDraft]) -> BlockDraft:
        known = self._blocks.get((entry.context, put.parent))
        parent = None if put.parent is None else made.get(put.parent) or (known and known.id)
        said = {"type": put.type, "role": put.role, "author": put.author, "text": put.text, "run_id": entry.run}
        more = {"data": put.data, "parts": put.parts, "tags": put.tags, "internal": put.internal, "usage": put.usage}
        try:
            return BlockDraft.model_validate({**said, **more, "parent": parent})
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)[0]
            raise InvalidInput(f"{'.'.join(map(str, found['loc']))}: {found['msg']}") from None

    def _remember(self, entry: Entry, stored: list[Block]) -> None:
        keys = [(entry.key, stored[0]), *((put.key, block) for put, block in zip(entry.puts, stored, strict=True))]
        for key, block in keys:
            if key is not None:
                self._blocks[entry.context, key] = _light(block)
                self._blocks.move_to_end((entry.context, key))
        while len(self._blocks) > _REMEMBERED:
            self._blocks.popitem(last=False)

    def _context_of(self, name: str) -> _Context:
        if name not in self._contexts:
            main, below, agent = name.partition(AGENTS)
            if self.context is not None and any(one.partition(AGENTS)[0] != main for one in self._contexts):
                raise InvalidInput("--context is for a single conversation, and this is one more")
            chosen = name if self.context is None else f"{self.context}{below}{agent}"
            history = self.store.history(f"{self.prefix}{chosen}")
            self._contexts[name] = _Context(history, history.head())
        return self._contexts[name]


def _begin_of(head: Cursor) -> str:
    """The cursor of the context before anything was written."""
    return f"{head.rpartition('-')[0]}-{0:012}"


def _light(block: Block) -> Block:
    """A block without what nobody asks for any more."""
    return block.model_copy(update={"text": "", "data": None, "parts": ()})
