"""RemoteChatStore: a store at a server, for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, Unpack
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from chatstore import checks, growing_requests, requests
from chatstore.core import Options
from chatstore.databases import Location
from chatstore.databases.backup import BackupReport, Progress
from chatstore.history import History
from chatstore.limits import DEFAULT, Limits
from chatstore.live.store_subscription import StoreSubscription
from chatstore.model import Context, Part, Retain, Tag
from chatstore.operations.integrity.checking import CheckReport
from chatstore.redaction import Redact
from chatstore.remote import core, following, opening, reading, requesting
from chatstore.remote.calls import Call
from chatstore.remote.core import RemoteCore, RemoteOptions
from chatstore.remote.history import RemoteHistory
from chatstore.remote.link import Link
from chatstore.remote.reading import Steps
from chatstore.remote.runs import RemoteRunScope
from chatstore.remote.subscription import RemoteStoreSubscription
from chatstore.requests import AppendOptions, BlockFilters
from chatstore.run_handles import RunHandle
from chatstore.store import ChatStore
from chatstore.writing.committer import Durability

T = TypeVar("T")
R = TypeVar("R")


class RemoteChatStore(ChatStore):
    """A ChatStore at the address of a `chatstore serve`: `ChatStore("http://host:8000", token=…)` gives one.

    Everything is as in a store of this process, but that it goes over HTTP. `busy_timeout`: seconds for which a call
    is repeated, and a subscription tries to come back, while the server is away; then they raise StoreUnavailable.
    What is written is repeated safely: an answer that was lost leaves it stored once. Options of how a store is kept
    (`retain=`, `redact=`, `limits=`, `durability=`, …) are given where the server opens it.

    A token that does not reach as far as a call does raises UsageError.
    """

    _core: RemoteCore | None  # type: ignore[assignment]

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
        given = Options(create, busy_timeout, wake, lease, durability, retain, redact, limits, listen_url)
        options = RemoteOptions.of(location, token, given)
        link = Link(options.address, options.headers, options.patience)
        try:
            told = link.send(core.about())
        except BaseException:
            link.close()
            raise
        self._core = RemoteCore(link, told)
        self._rules = told.rules()
        self._place = options.address  # type: ignore[assignment]
        self._subscriptions = WeakSet()
        self._writing = WeakKeyDictionary()
        self._following_lock = Lock()

    @property
    def path(self) -> Path:
        """There is none. Raises UsageError."""
        raise core.no_file(self.location)

    @property
    def identity(self) -> str:
        """As `ChatStore.identity`: that of the store that is served."""
        return self._open().about.identity

    def history(self, context: str | Mapping[str, str]) -> History:
        """As `ChatStore.history`."""
        return RemoteHistory(self, requests.context(context, self._rules))

    def contexts(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        tags: Iterable[Tag | tuple[str, str]] | None = None,
        after: str | None = None,
        limit: int = requests.DEFAULT_LIMIT,
        newest_first: bool = False,
    ) -> list[Context]:
        """As `ChatStore.contexts`. Needs a token of the whole store."""
        return self._all(reading.contexts(requests.listing(keys, tags, after, limit, newest_first)))

    def submit(
        self,
        agent: Callable[[History, str], R],
        prompt: str,
        *,
        context: str | Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        **options: Unpack[AppendOptions],
    ) -> RunHandle[R]:
        """As `ChatStore.submit`: the agent works in this process."""
        growing_requests.agent(agent)
        history = RemoteHistory(self, requests.context(str(uuid4()) if context is None else context, self._rules))
        scope = RemoteRunScope(history, parent_run_id)
        asked = requests.append_named(history._context, "message", "user", prompt, options)
        run, cursor = self._send(requesting.submit(asked, scope.parent_run_id))
        scope.id = run.id
        scope._begin(self._open().flusher)
        handle: RunHandle[R] = RunHandle(history, scope, run, cursor)
        handle._start(agent, prompt)
        return handle

    def prune(self) -> int:
        """As `ChatStore.prune`: what the served store does not retain. Needs a token that may administer it."""
        return self._send(requesting.prune())

    def compact(self, *, older_than: float = 0.0) -> int:
        """As `ChatStore.compact`. Needs a token that may administer the store."""
        return self._send(requesting.compact(checks.seconds(older_than, "older_than")))

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
        """As `ChatStore.subscribe`. Needs a token of the whole store."""
        wanted = requests.store_subscription(after, kind, keys, tags, follow, timeout, filters)
        core = self._open()
        opening.check_start(core, wanted)
        feed = following.of_store(wanted, kind)
        return self._following(RemoteStoreSubscription(core.link, feed, core.about.heartbeat))

    def read_bytes(self, part: Part | str) -> bytes:
        """As `ChatStore.read_bytes`. Needs a token of the whole store."""
        return self._send(requesting.read_bytes(requests.digest(part)))

    def backup(self, path: Location, *, overwrite: bool = False, progress: Progress | None = None) -> BackupReport:
        """Not over HTTP. Raises UsageError."""
        raise core.only_there("backup", self.location)

    def check(self, *, progress: Progress | None = None) -> CheckReport:
        """As `ChatStore.check`, at the server; `progress` is told the end. Needs a token that may administer it."""
        told = checks.progress(progress)
        report = self._send(requesting.check())
        if told is not None:
            told(report.blocks, report.blocks)
        return report

    def close(self) -> None:
        """As `ChatStore.close`: what is open ends as interrupted. The server goes on."""
        if self._core is not None and not self._core.forked:
            self._core.hurry()
        super().close()

    def _release(self, opened: RemoteCore) -> None:  # type: ignore[override]
        for subscription in [*self._subscriptions]:
            subscription.close()  # waits for its thread
        opened.close()

    def _open(self) -> RemoteCore:  # type: ignore[override]
        return super()._open()  # type: ignore[return-value]

    def _send(self, call: Call[T]) -> T:
        return self._open().link.send(call)

    def _all(self, steps: Steps[T]) -> T:
        """Takes all steps of something."""
        try:
            call = next(steps)
            while True:
                call = steps.send(self._send(call))
        except StopIteration as done:
            found: T = done.value
            return found

    def _write(self, write: Callable[[Any], T], context: str | None, *, synced: bool = True) -> T:
        return write(self._open().link)
