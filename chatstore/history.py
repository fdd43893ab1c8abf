"""History: one context of a store, for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, Unpack, overload

from sqlalchemy import Connection

from chatstore import growing_requests, requests
from chatstore.block_reader import BlockReader
from chatstore.block_writer import BlockWriter
from chatstore.cursor import Cursor
from chatstore.live.subscription import Opened, Subscription, Wanted
from chatstore.model import Block, BlockDraft, Context, JsonValue, Run, Tag
from chatstore.operations import appending, histories, log, marking, reading, running
from chatstore.operations.log import LogPage
from chatstore.operations.reading import Range
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.requests import AppendOptions, Filters
from chatstore.runs import RunScope, current_run, history_of_current_run
from chatstore.writing.drafts import BlockOptions
from chatstore.writing.growing import Growing
from chatstore.writing.waiting import wait

if TYPE_CHECKING:
    from chatstore.store import ChatStore

P = ParamSpec("P")
T = TypeVar("T")


class History:
    """The append-only file of one context: a cheap handle, made by `store.history(…)`; no I/O until it is used.

    Every append returns what was stored once it is committed: visible to every process, and there after a crash of
    any. All methods raise an error below ChatStoreError; InvalidInput before anything is written.
    """

    def __init__(self, store: ChatStore, context: ContextRef) -> None:
        self._store = store
        self._context = context

    def __repr__(self) -> str:
        return f"History({self.context_id!r})"

    @property
    def context_id(self) -> str:
        """The context's id; of a context named by keys, the one that stands for them."""
        return self._context.context_id

    @staticmethod
    def current() -> History:
        """The history of the run that goes on in this thread: for a tool that was given none.

        What is written into it belongs to that run. It goes by a context variable, so that runs side by side know
        nothing of each other. Raises UsageError where no run goes on, or one of an AsyncChatStore.
        """
        return history_of_current_run(History)

    @overload
    def append(self, drafts: BlockDraft, *, key: str | None = None, expect: str | None = None) -> Block: ...
    @overload
    def append(
        self, drafts: Iterable[BlockDraft], *, key: str | None = None, expect: str | None = None
    ) -> list[Block]: ...
    def append(
        self, drafts: BlockDraft | Iterable[BlockDraft], *, key: str | None = None, expect: str | None = None
    ) -> Block | list[Block]:
        """Stores one draft, or several as one batch: all of it or none, with consecutive indexes.

        `key`: a name for this append, to repeat it safely: with the same content the blocks already stored are
        returned, with other content it raises KeyConflict, and where retention removed some of them BlocksRemoved.
        `expect`: a cursor; raises Conflict, with the current head, if anything was written after it.

        ```python
        draft = BlockDraft(role="user", text="Hello")
        first = history.append(draft, key="request-1")
        assert history.append(draft, key="request-1") == first  # a retry
        ```
        """
        one = isinstance(drafts, BlockDraft)
        wanted = requests.append(self._context, [drafts] if isinstance(drafts, BlockDraft) else drafts, key, expect)
        stored = self._append(wanted)
        return stored[0] if one else stored

    def append_user_message(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """Stores what a person said. Takes the fields of BlockDraft, `key` and `expect`; see `append`."""
        return self._append(requests.append_named(self._context, "message", "user", text, options))[0]

    def append_assistant_message(self, text: str | Iterable[str], **options: Unpack[AppendOptions]) -> Block:
        """Stores what the assistant said to the person, or with `internal=True` to another agent.

        An iterator of text is written as it comes, into a block that everybody sees grow; it takes no `key` and no
        `expect`. When the iterator or the disk fails, the block ends as `failed` with the text so far, and another call
        writes another block.
        """
        if not isinstance(text, str):
            with self.open_message(**growing_requests.growing_options(options)) as block:
                for piece in text:
                    block.write(piece)
                return block.close()
        return self._append(requests.append_named(self._context, "message", "assistant", text, options))[0]

    def append_system_message(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """Stores a system prompt."""
        return self._append(requests.append_named(self._context, "message", "system", text, options))[0]

    def append_status_message(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """Stores what an agent is doing, for people who watch; never in a transcript or a prompt."""
        return self._append(requests.append_named(self._context, "status", None, text, options))[0]

    def append_reasoning(self, text: str, **options: Unpack[AppendOptions]) -> Block:
        """Stores what a model thought."""
        return self._append(requests.append_named(self._context, "reasoning", "assistant", text, options))[0]

    def append_function_call(
        self, name: str, arguments: JsonValue, *, call_id: str | None = None, **options: Unpack[AppendOptions]
    ) -> Block:
        """Stores a function call: `data` has name, arguments and call_id, `text` the arguments as they were given.

        Arguments given as a string are the model's own JSON, kept to the letter; where it does not parse, or is deeper
        than the limit, `data["arguments"]` is None.
        """
        return self._append(requests.append_call(self._context, name, arguments, call_id, options))[0]

    def append_function_result(
        self,
        text: str,
        *,
        call: Block | str | None = None,
        call_id: str | None = None,
        name: str | None = None,
        is_error: bool = False,
        **options: Unpack[AppendOptions],
    ) -> Block:
        """Stores the result of a function call. `call` is its block (or the block's id), which becomes the parent."""
        wanted = requests.append_result(self._context, text, call, call_id, name, is_error, options)
        return self._append(wanted)[0]

    def open_message(self, *, role: str = "assistant", **options: Unpack[BlockOptions]) -> BlockWriter:
        """Opens a message that grows: everybody sees its text as it is written. Use it as a context manager.

        ```python
        with history.open_message() as answer:
            for token in ("It is ", "18 °C."):
                answer.write(token)
        ```
        """
        return self.open_block("message", role=role, **options)

    def open_block(self, type: str, *, role: str | None = None, **options: Unpack[BlockOptions]) -> BlockWriter:
        """Opens a block of any type, such as `reasoning`, or `function_call` for arguments as they come.

        The block is stored at once, with its author, tags and data, before its text. As a function call ends, its
        text is parsed into `data["arguments"]`.
        """
        core = self._store._open()
        write = growing_requests.open_block(self._context, type, role, options, self._run_id(), core.lease)
        [block] = self._store._write(write, self.context_id, synced=False)
        growing = Growing(self._context, block, core.flusher)
        core.flusher.join(growing)
        writer = BlockWriter(self._store, growing)
        self._store._opened(writer)
        return writer

    def run(self, *, parent_run_id: str | None = None) -> RunScope:
        """A run as a context manager: blocks that are written into this history inside belong to it.

        ```python
        with history.run() as run:
            history.append_status_message("Looking it up")
        assert history.get_run(run.id).state == "completed"
        ```
        """
        return RunScope(self, parent_run_id)

    def get_run(self, run_id: str) -> Run:
        """One run. Raises RunNotFound."""
        return self._store._read(lambda conn: running.find_run(conn, self.context_id, run_id))

    def runs(self) -> list[Run]:
        """The runs of this history, in the order they started."""
        return self._store._read(lambda conn: running.list_runs(conn, self.context_id))

    def cancel_run(self, run_id: str) -> Run:
        """Ends a run as `cancelled`, with the runs that are part of it; from any process.

        What was written stays. The writer's next write raises RunCancelled. A run that has ended stays as it is.
        """
        for block in self._store._open().flusher.of_run(run_id):
            wait(block.when_stored)
        return self._write(running.cancel_run, run_id)

    def get_messages(
        self,
        *,
        kind: str = "trace",
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> list[Block]:
        """The blocks of a kind, in order: `transcript` (what the person saw), `prompt` (what a model needs next) or
        `trace` (everything).

        `types`, `roles`, `authors`, `tags`, `states` and `run` narrow it; all must hold. `after` and `before` are
        cursors, both exclusive. `limit` gives the first so many, `last` the last. A context that does not exist
        has no blocks. A prompt has a result for each call and no result without its call, so that `last` may give a
        few blocks more or less.
        """
        cursors = self._store._open().cursors
        wanted = requests.window(self.context_id, cursors, last=last, after=after, before=before, limit=limit)
        return self._read(reading.messages, requests.selection(kind, filters), wanted)

    def since_last_user_message(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> list[Block]:
        """The selected blocks behind the last user message; all of them where the user has said nothing."""
        return self._read(reading.messages, requests.selection(kind, filters), Range(since_last_user_message=True))

    def get_block(self, block_id: str) -> Block:
        """One block by its id. Raises BlockNotFound."""
        return self._read(reading.block, block_id)

    def read_block(self, block: Block | str) -> BlockReader:
        """A reader of one block of this history: its header, its text as it grows, the finished block."""
        header, before = self._read(reading.header, requests.block_id(block))
        return BlockReader(header, lambda: self.subscribe(after=before))

    def count(self, *, kind: str = "trace", **filters: Unpack[Filters]) -> int:
        """How many blocks are selected."""
        return self._read(reading.count, requests.selection(kind, filters))

    def head(self) -> Cursor:
        """The cursor of the last change; of a context that does not exist, the one before its first."""
        return self._read(reading.head_cursor)

    def info(self) -> Context | None:
        """The context as `store.contexts()` lists it: keys, tags, head and times; None where there is none."""
        return self._read(histories.described)

    def subscribe(
        self,
        context_id: str | None = None,
        *,
        after: str | None = None,
        kind: str = "trace",
        follow: bool = True,
        timeout: float | None = None,
        **filters: Unpack[Filters],
    ) -> Subscription:
        """An iterator over the changes of this context (or of another, by its id): first those behind `after`, then
        those that come, from any process.

        `after` is a cursor, None for the beginning, or "now". `kind` and the filters mean the same blocks as in
        `get_messages`, and never move the cursor. `follow=False` ends when caught up; `timeout` (seconds) ends
        after that long without a change. A context that does not exist yet is waited for.

        ```python
        cursor = None  # or the last one that was kept
        for change in history.subscribe(after=cursor, kind="transcript", timeout=1):
            cursor = change.cursor
        ```
        """
        followed = requests.followed(self.context_id, context_id)
        wanted = requests.subscription(followed, after, kind, follow, timeout, filters)
        return self._store._following(Subscription(_Log(self._store, wanted.context_id), wanted))

    def erase(self) -> None:
        """Removes the context and everything in it, for good; its name is not used again.

        Everybody who follows it is told (HistoryErased); reads and writes from then on raise ContextErased. Returns
        when no byte of it is left in the store's files: at the end they are built anew, some 2 s for 100 MB in which
        nobody else can write. Raises StoreBusy if somebody reads for so long that the log cannot be emptied; it is then
        gone on with in the background, or by the next call. What was backed up or exported is not
        reached, nor what `chatstore check --repair` left beside the store.
        """
        self._store._open().erase(self._context)

    def tag(self, block: Block | str, *tags: Tag) -> Block:
        """Puts tags on a block; one of the same kind and name takes the new value. The block as it is then."""
        rules = self._store._rules
        added = requests.tags(tags, rules)
        return self._write(marking.tag_block, requests.block_id(block), added, rules.limits)

    def tag_context(self, *tags: Tag) -> None:
        """Puts tags on the history itself, by which `store.contexts(tags=…)` finds it."""
        rules = self._store._rules
        self._write(marking.tag_context, requests.tags(tags, rules), rules.limits)

    def set_usage(self, block: Block | str, usage: dict[str, JsonValue]) -> Block:
        """Sets what a block cost: a dict such as `{"input_tokens": 12}`. The block as it is then."""
        rules = self._store._rules
        given = requests.usage(usage, rules)
        return self._write(marking.set_usage, requests.block_id(block), given, rules.limits)

    def _append(self, wanted: appending.Append) -> list[Block]:
        run_id = self._run_id()
        if run_id is not None:
            wanted = replace(wanted, blocks=growing_requests.stamped(wanted.blocks, run_id))
        return self._store._write(partial(appending.append, wanted=wanted), self.context_id)

    def _run_id(self) -> str | None:
        return current_run(self._store.location, self.context_id)

    def _write(
        self,
        operation: Callable[Concatenate[Transaction, ContextRef, P], T],
        *values: P.args,
        **named: P.kwargs,
    ) -> T:
        context = self._context
        return self._store._write(
            lambda transaction: operation(transaction, context, *values, **named), context.context_id
        )

    def _read(
        self,
        operation: Callable[Concatenate[Connection, str, Cursors, P], T],
        *values: P.args,
        **named: P.kwargs,
    ) -> T:
        cursors = self._store._open().cursors
        return self._store._read(lambda conn: operation(conn, self.context_id, cursors, *values, **named))


class _Log:
    """The log of one context, read for a subscription."""

    def __init__(self, store: ChatStore, context_id: str) -> None:
        self._store = store
        self._context_id = context_id

    def open(self) -> Opened:
        core = self._store._open()
        first, head = self._store._read(lambda conn: reading.bounds(conn, self._context_id))
        return Opened(core.hub, core.cursors(self._context_id), first, head)

    def page(self, wanted: Wanted, after: int, limit: int) -> LogPage:
        cursors = self._store._open().cursors
        return self._store._read(
            lambda conn: log.log(conn, self._context_id, cursors, wanted.selection, after=after, limit=limit)
        )
