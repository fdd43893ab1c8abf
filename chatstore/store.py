"""ChatStore: a store for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NoReturn, Self, TypeVar, Unpack
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection

from chatstore import addresses, checks, core, growing_requests, requests
from chatstore.block_writer import BlockWriter
from chatstore.core import Core, Options
from chatstore.cursor import StoreCursors
from chatstore.databases import Location, backup, files, inspectors, locate, locate_file
from chatstore.databases.backup import BackupReport, Progress
from chatstore.errors import StoreClosed
from chatstore.finalizing import apart
from chatstore.history import History
from chatstore.limits import DEFAULT, Limits
from chatstore.live.room import check_room
from chatstore.live.store_subscription import Opened, StoreSubscription, Wanted
from chatstore.live.subscription import Subscription
from chatstore.model import Context, Part, Retain, Tag
from chatstore.operations import histories, places, reading
from chatstore.operations.feed import FeedPage, feed
from chatstore.operations.integrity.checking import CheckReport
from chatstore.operations.running import RunEnding
from chatstore.operations.transaction import Transaction
from chatstore.redaction import Redact
from chatstore.requests import AppendOptions, BlockFilters
from chatstore.run_handles import RunHandle
from chatstore.runs import RunScope, as_they_end
from chatstore.writing.committer import Durability
from chatstore.writing.drafts import rules

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S", Subscription, StoreSubscription)


class ChatStore:
    """An open store. It may be used from many threads; each process opens its own.

    `location` is a path, an `sqlite:///` URL, `postgresql://user@host/database?schema=name` (extra `postgres`; see
    `chatstore migrate`), or the address of a `chatstore serve`: `http://host:8000`, with a `token` of it (extra
    `http`). A file that is not there is made, unless `create=False`. `busy_timeout`: seconds that a write waits for
    other processes before it raises StoreBusy, and anything for a server that is away before it raises
    StoreUnavailable. `wake`: how commits of other processes are noticed, one of `auto`, `inotify`, `watchfiles`, `poll`
    and `none` (looks twice a second); on PostgreSQL `listen` in place of the first two, or the URL of a NATS server
    such as `nats://user:password@host:4222` (extra `nats`). `listen_url`: the URL of the database itself, to listen at
    where `location` is that of a pooler.
    `durability`: what a power cut can take. "token" syncs no commit, so the last moments of anything; "message" syncs
    all but the text of blocks still open, so nothing that was finished; "full" syncs that too. The death of a process
    takes nothing that was acknowledged, whichever it is. On a server "message" syncs that text too, for a process may
    outlive its server; with "token" the crash of a server may take some from the middle of what it writes.

    `retain`: what is kept of each history. What is older is removed little by little, beside the writes of this
    process, or at once by `prune()`; cursors from before raise CursorExpired.

    `redact`: a function that is given every text before it is stored, and returns it without secrets, such as
    `redact_secrets`; of an open block it gets whole words, or with a Redactor whatever may be one secret. `limits`:
    how large what is written may be.

    Close it, or use it as a context manager. Raises an OpenError, and leaves the file as it was, when there is
    something else at the path or a store of another format.

    ```python
    with ChatStore("chat.db") as store:
        store.history("support-42").append_user_message("What is the weather in Paris?")
    ```
    """

    def __new__(cls, location: Location, *_: object, **__: object) -> Self:
        """A store of this process, or for the address of a server one over HTTP."""
        return super().__new__(addresses.face_of(cls, ChatStore, location))

    def __init__(
        self,
        location: Location,
        *,
        create: bool = True,
        busy_timeout: float = 30.0,
        wake: str = "auto",
        lease: float = 30.0,
        durability: Durability = "message",
        retain: Retain | None = None,
        redact: Redact | None = None,
        limits: Limits = DEFAULT,
        listen_url: str | None = None,
        token: str | None = None,
    ) -> None:
        addresses.check_token(token)
        self._rules = rules(limits, redact)
        self._place = locate(location)
        options = Options(create, busy_timeout, wake, lease, durability, retain, redact, limits, listen_url)
        self._core: Core | None = core.acquire(self._place, options)
        self._subscriptions: WeakSet[Subscription | StoreSubscription] = WeakSet()
        self._writing: WeakKeyDictionary[BlockWriter | RunScope, None] = WeakKeyDictionary()
        self._following_lock = Lock()

    def __repr__(self) -> str:
        shown = f"ChatStore({self.location!r})"
        return f"<closed {shown}>" if self._core is None else shown

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled: hand its location to the other process, which opens its own")

    def __del__(self) -> None:
        core.warn_of_unclosed(self, getattr(self, "_core", None))

    @property
    def location(self) -> str:
        """Where the store is: the path of its file, or a URL without its password."""
        return str(self._place)

    @property
    def path(self) -> Path:
        """Where the store's file is. Raises UsageError for a store on a server."""
        return locate_file(self._place, "path")

    @property
    def identity(self) -> str:
        """The store's own random name, kept in its file and in every cursor."""
        return self._open().database.identity

    @property
    def limits(self) -> Limits:
        """How large what is written through this store may be."""
        return self._rules.limits

    def history(self, context: str | Mapping[str, str]) -> History:
        """The history of a context, named by its id or by context keys, which are matched exactly and as a whole."""
        return History(self, requests.context(context, self._rules))

    def contexts(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        after: str | None = None,
        limit: int = requests.DEFAULT_LIMIT,
        newest_first: bool = False,
    ) -> list[Context]:
        """The contexts that have all these context keys and tags, in the order they were created, or `newest_first`.

        `after` is the id of the last context of the page before.
        """
        listing = requests.listing(keys, tags, after, limit, newest_first)
        cursors = self._open().cursors
        return self._read(lambda conn: histories.contexts(conn, cursors, **listing))

    def submit(
        self,
        agent: Callable[[History, str], R],
        prompt: str,
        *,
        context: str | Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        **options: Unpack[AppendOptions],
    ) -> RunHandle[R]:
        """Stores the user's prompt, starts `agent(history, prompt)` in the background, and returns at once.

        What the agent writes into the history belongs to the run, which ends when the agent does. Without `context`
        there is a new one, with an id of its own.

        ```python
        def agent(history, prompt):
            history.append_assistant_message(f"You said: {prompt}")

        handle = store.submit(agent, "Hello", context="support-42")
        assert handle.wait(timeout=30).state == "completed"
        ```
        """
        growing_requests.agent(agent)
        history = self.history(str(uuid4()) if context is None else context)
        scope = history.run(parent_run_id=parent_run_id)
        core = self._open()
        write = growing_requests.submission(
            history._context, prompt, scope.id, scope.parent_run_id, core.lease, options
        )
        try:
            run, cursor = self._write(write, history.context_id)
        except BaseException:
            core.flusher.finish_later(scope._write(RunEnding("cancelled")))  # it may have been stored
            raise
        scope._begin(core.flusher)
        handle: RunHandle[R] = RunHandle(history, scope, run, cursor)
        handle._start(agent, prompt)
        return handle

    def prune(self) -> int:
        """Removes what the store is not told to retain (see `retain=`), everywhere and now; how many blocks."""
        return self._open().prune()

    def compact(self, *, older_than: float = 0.0) -> int:
        """Removes the pieces that blocks grew by, of blocks that ended more than so many seconds ago; how many.

        Text, cursors and subscriptions stay as they are. Done in steps that hold writers up for a few milliseconds,
        and of its own accord ten minutes after the end of a block, by the process that wrote it.
        """
        step = self._open().compaction(requests.time_before(older_than))
        removed, more = 0, True
        while more:
            count, more = self._write(step, None, synced=False)
            removed += count
        return removed

    def subscribe(
        self,
        *,
        after: str | None = None,
        kind: str = "trace",
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        follow: bool = True,
        timeout: float | None = None,
        **filters: Unpack[BlockFilters],
    ) -> StoreSubscription:
        """An iterator over the changes of all contexts, or of those with these context keys and tags, in order.

        Resume at the subscription's own `cursor`. The other parameters are those of `History.subscribe`.

        ```python
        with store.subscribe(keys={"user": "u1"}, follow=False) as changes:
            for change in changes:
                print(change.context_id, change)
        cursor = changes.cursor  # for `after=`
        ```
        """
        wanted = requests.store_subscription(after, kind, keys, tags, follow, timeout, filters)
        return self._following(StoreSubscription(_Feed(self), wanted))

    def read_bytes(self, part: Part | str) -> bytes:
        """The bytes of a stored part, given as the part or its digest. Raises BlobNotFound."""
        digest = requests.digest(part)
        return self._read(lambda conn: reading.blob(conn, digest))

    def backup(self, path: Location, *, overwrite: bool = False, progress: Progress | None = None) -> BackupReport:
        """Copies the store to `path` as it is at one moment, while others go on writing; what the copy holds.

        It holds all that was acknowledged before the call. It is a store with an identity of its own, so that cursors
        of this one are refused there. The file is whole and synced to the disk when it appears at `path`, with mode
        0600; one that is there already is an InvalidInput, unless `overwrite`. `progress(done, total)` is told bytes.
        """
        database, told = files(self._open().database, "backup"), checks.progress(progress)
        return backup.backup(database, path, overwrite=overwrite, progress=told)

    def check(self, *, progress: Progress | None = None) -> CheckReport:
        """Compares all that is stored with the log and its checksums, and says what is damaged, block by block.

        Others may go on writing: it reads in short pages. `progress(done, total)` is told blocks. Every problem found
        is in the report, and nothing is changed; `chatstore check --repair` changes it.
        """
        return inspectors.check(self._open().database, self._place, checks.progress(progress))

    def close(self) -> None:
        """Ends the store's subscriptions and closes it. Idempotent."""
        for unfinished in self._unfinished():
            unfinished.interrupt()
        with self._following_lock:
            for subscription in [*self._subscriptions]:
                subscription.stop()  # before it can find the store closed
            opened, self._core = self._core, None
        if opened is not None:
            self._release(opened)

    def _release(self, opened: Core) -> None:
        core.release(opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not apart(self.close):
            self.close()

    def _open(self) -> Core:
        opened = self._core  # once: another thread may close the store meanwhile
        if opened is None:
            raise StoreClosed(f"{self.location} was closed; open it again")
        opened.check()
        return opened

    def _following(self, subscription: S) -> S:
        with self._following_lock:
            check_room(self._subscriptions, self.limits.subscribers)
            self._subscriptions.add(subscription)
            if self._core is None:  # closed while it was made
                subscription.stop()
        return subscription

    def _opened(self, writing: BlockWriter | RunScope) -> None:
        """Remembers what was opened through this store, to end it when the store closes."""
        with self._following_lock:
            self._writing[writing] = None

    def _unfinished(self) -> list[BlockWriter | RunScope]:
        opened = self._core
        if opened is None or opened.forked:
            return []
        with self._following_lock:
            return as_they_end(self._writing)

    def _write(self, write: Callable[[Transaction], T], context: str | None, *, synced: bool = True) -> T:
        return self._open().committer.run(write, synced=synced, context=context)

    def _read(self, read: Callable[[Connection], T]) -> T:
        return self._open().read(read)


class _Feed:
    """The log of the whole store, read for a subscription."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    def open(self) -> Opened:
        core = self._store._open()
        return Opened(core.hub, StoreCursors(core.database.identity, core.before), self._store._read(places.newest))

    def page(self, wanted: Wanted, after: int, limit: int) -> FeedPage:
        cursors = self._store._open().cursors
        return self._store._read(
            lambda conn: feed(conn, cursors, wanted.selection, wanted.contexts, after=after, limit=limit)
        )
