"""A process that works with a store as it is told, over a pipe, until it is killed.

A parent that has imported everything, and has nothing open, forks one after the other: a new life takes milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable
from multiprocessing.connection import Client, Connection
from typing import Any

from chatstore import (
    AsyncChatStore,
    BlockDraft,
    ChatStore,
    ChatStoreError,
    HistoryErased,
    RunCancelled,
    RunEnded,
    RunStarted,
    Tag,
    TextAppended,
    remote,
)

Plain = dict[str, Any]


class OnThread:
    """Works with a ChatStore."""

    store_type: Any = ChatStore

    def do(self, value: Any) -> Any:
        return value

    def begin(self, value: Any) -> Any:
        return value.__enter__()

    def start(self, history: Any) -> Any:
        return history.run().__enter__()

    def leave(self, value: Any, error: Exception | None) -> None:
        value.__exit__(type(error) if error else None, error, None)

    def agent(self, said: list[str]) -> Any:
        def work(history: Any, prompt: str) -> None:
            for text in said:
                history.append_status_message(text)

        return work

    def next(self, subscription: Any) -> Any:
        return next(subscription, None)

    def all(self, subscription: Any) -> list[Any]:
        return list(subscription)

    def end(self) -> None:
        """Nothing is left of it."""


class OnLoop:
    """Works with an AsyncChatStore, one call after the other on one event loop."""

    store_type: Any = AsyncChatStore

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def do(self, value: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await value

        return self._runner.run(awaited())

    def begin(self, value: Any) -> Any:
        return self.do(value.__aenter__())

    def start(self, history: Any) -> Any:
        async def started() -> Any:  # a run is made where it is entered: there it knows what it is part of
            return await history.run().__aenter__()

        return self.do(started())

    def leave(self, value: Any, error: Exception | None) -> None:
        self.do(value.__aexit__(type(error) if error else None, error, None))

    def agent(self, said: list[str]) -> Any:
        async def work(history: Any, prompt: str) -> None:
            for text in said:
                await history.append_status_message(text)

        return work

    def next(self, subscription: Any) -> Any:
        return self.do(anext(subscription, None))

    def all(self, subscription: Any) -> list[Any]:
        async def read() -> list[Any]:
            return [change async for change in subscription]

        return self.do(read())  # type: ignore[no-any-return]

    def end(self) -> None:
        self._runner.close()


class Worker:
    """What it can be told to do. Values come and go as plain ones."""

    def __init__(self, face: OnThread | OnLoop) -> None:
        self._face: Any = face
        self._writers: dict[int, Any] = {}
        self._live: dict[int, Any] = {}
        self._runs: dict[int, Any] = {}

    def run(self, connection: Connection[Any, Any]) -> None:
        """Does what it is told until nobody is there any more."""
        while True:
            try:
                name, values, named = connection.recv()
            except EOFError:
                return
            connection.send(self._answer(name, values, named))

    def _answer(self, name: str, values: Any, named: Any) -> tuple[Any, ...]:
        try:
            return "done", getattr(self, name)(*values, **named)
        except ChatStoreError as error:
            return "refused", type(error).__name__, str(error), getattr(error, "head", None)
        except Exception:
            return "broken", traceback.format_exc()

    def pid(self) -> int:
        return os.getpid()

    def open(self, location: str, options: Plain) -> Plain:
        """A token, where one is needed, stands behind the location."""
        where, _, token = location.partition("#")
        own = {"token": token} if token else {}
        self._store = self._face.begin(self._face.store_type(where, **own, **options))
        return {"identity": self._store.identity}

    def close(self) -> None:
        self._face.do(self._store.close())
        self._writers.clear()
        self._live.clear()
        self._runs.clear()

    def call(self, context: str, name: str, /, *values: Any, **named: Any) -> Any:
        """A method of a history that takes and gives plain values, or blocks."""
        return _plain(self._face.do(getattr(self._store.history(context), name)(*values, **named)))

    def append(self, context: str, drafts: list[Plain], **named: Any) -> Any:
        return self.call(context, "append", [_draft(one) for one in drafts], **named)

    def result(self, context: str, text: str, options: Plain) -> Any:
        return self.call(context, "append_function_result", text, **options)

    def tag(self, context: str, block: str, tag: tuple[Any, ...]) -> tuple[Any, str]:
        tagged = self.call(context, "tag", block, Tag(kind=tag[0], name=tag[1], value=tag[2]))
        return tagged, self.call(context, "head")

    def set_usage(self, context: str, block: str, usage: Plain) -> tuple[Any, str]:
        return self.call(context, "set_usage", block, usage), self.call(context, "head")

    def open_block(self, context: str, number: int, draft: Plain) -> Any:
        options = {name: value for name, value in _draft(draft) if name in ("role", "author", "tags", "internal")}
        history = self._store.history(context)
        writer = self._writers[number] = self._face.do(history.open_block(draft["type"], **options))
        return _plain(writer.block)

    def name_of(self, keys: dict[str, str]) -> str:
        return str(self._store.history(keys).context_id)

    def start_run(self, context: str, number: int) -> tuple[Any, str]:
        scope = self._runs[number] = self._face.start(self._store.history(context))
        return self.call(context, "get_run", scope.id), self.call(context, "head")

    def end_run(self, number: int, how: str, usage: Plain) -> None:
        scope = self._runs.pop(number)
        scope.set_usage(usage)
        self._face.leave(scope, LookupError("gone") if how == "failed" else None)

    def leave_run(self, number: int) -> None:
        """Of a run that was cancelled."""
        self._face.leave(self._runs.pop(number), RunCancelled("cancelled"))

    def submit(self, context: str, prompt: str, said: list[str]) -> Plain:
        handle = self._face.do(self._store.submit(self._face.agent(said), prompt, context=context))
        self._face.do(handle.result(20))
        return _plain(self._face.do(handle.wait(20)))  # type: ignore[no-any-return]

    def write(self, number: int, text: str) -> None:
        self._face.do(self._writers[number].write(text))

    def flush(self, number: int) -> None:
        self._face.do(self._writers[number].flush())

    def end(self, context: str, number: int, how: str, *values: Any, **named: Any) -> tuple[Any, str]:
        ended = _plain(self._face.do(getattr(self._writers[number], how)(*values, **named)))
        return ended, self.call(context, "head")

    def forget(self, number: int) -> None:
        self._writers.pop(number, None)

    def contexts(self, keys: dict[str, str] | None = None) -> list[Plain]:
        return [one.model_dump() for one in self._face.do(self._store.contexts(keys=keys))]

    def compact(self) -> int:
        return int(self._face.do(self._store.compact()))

    def is_sound(self) -> bool:
        return not self._face.do(self._store.check()).problems

    def replay(self, context: str, after: str | None, filters: Plain) -> list[Plain]:
        subscription = self._store.history(context).subscribe(after=after, follow=False, **filters)
        return [_change(one) for one in self._face.all(subscription)]

    def follow(self, context: str, number: int, after: str | None, filters: Plain) -> None:
        subscription = self._store.history(context).subscribe(after=after, timeout=20, **filters)
        self._live[number] = self._face.begin(subscription)

    def next_change(self, number: int) -> Plain | None:
        """The next change of a subscription; None if it has ended, or had nothing for 20 s."""
        change = self._face.next(self._live[number])
        return None if change is None else _change(change)


def _draft(given: Plain) -> BlockDraft:
    tags = [Tag(kind=kind, name=name, value=value) for kind, name, value in given["tags"]]
    return BlockDraft(**{**given, "tags": tags})


def _change(change: Any) -> Plain:
    found = {"what": type(change).__name__, "cursor": change.cursor}
    if isinstance(change, TextAppended):
        return {**found, "index": change.index, "offset": change.offset, "text": change.text}
    if isinstance(change, HistoryErased):
        return found
    if isinstance(change, (RunStarted, RunEnded)):
        return {**found, "run": change.run.model_dump()}
    return {**found, "index": change.index, "block": change.block.model_dump()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.model_dump() if hasattr(value, "model_dump") else value


def warm_up(face: OnThread | OnLoop, location: str) -> None:
    """Uses a store once and closes it, so that what is made with the first use is there in every life."""
    assert remote.RemoteChatStore  # a file needs it not
    worker = Worker(face)
    worker.open(location, {})
    worker.append("first", [{"text": "text", "tags": []}])
    worker.replay("first", None, {})
    worker.close()
    face.end()


def main() -> None:
    address, name, warm = sys.argv[1:]
    face: type[OnThread | OnLoop] = OnLoop if name == "async" else OnThread
    warm_up(face(), warm)
    for _ in sys.stdin:  # each line asks for a new life
        pid = os.fork()
        if pid == 0:
            Worker(face()).run(Client(address))
            os._exit(0)
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
