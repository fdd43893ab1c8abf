"""Ways for a process to end without closing a store that threads use."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.synchronize import Event
from typing import Any

from chatstore import ChatStore, History, core
from faults.ending import go, interrupt, kept, opened, told
from faults.processes import arguments, say


def normal() -> None:
    opened()
    go()


def exception() -> None:
    opened()
    go()
    raise RuntimeError("on purpose")


def sys_exit() -> None:
    opened()
    go()
    sys.exit(3)


def os_exit() -> None:
    opened()
    go()
    os._exit(4)


def abort() -> None:
    opened()
    go()
    os.abort()


def terminated() -> None:
    """By SIGTERM, which Python does not handle, with a block open."""
    kept.append(opened().history("a").open_message())
    go()
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


def interrupted() -> None:
    """By Ctrl-C, while it waits for a change."""
    subscription = opened().history("a").subscribe(after="now")
    threading.Thread(target=interrupt, daemon=True).start()
    next(subscription)


def replaced() -> None:
    """By another program, with exec."""
    kept.append(opened().history("a").open_message())
    go()
    os.execv(sys.executable, [sys.executable, "-c", "raise SystemExit(5)"])


def open_block() -> None:
    """What was flushed is said to be stored; the rest is stored all the same."""
    block = opened().history("a").open_message()
    kept.append(block)
    block.write("flushed")
    block.flush()
    say({"stored": [block.block.index, "flushed"]})
    go()
    block.write(" and not")


def locked() -> None:
    """Somebody else keeps the write lock; an open block has text that is not stored yet."""
    block = opened().history("a").open_message()
    kept.append(block)
    kept.append(sqlite3.connect(arguments()["path"], isolation_level=None))
    kept[-1].execute("BEGIN IMMEDIATE")
    go()
    block.write("text")


def open_block_exits() -> None:
    """Within a block, by sys.exit."""
    with opened().history("a").open_message() as block:
        block.write("text")
        go()
        sys.exit(3)


def running_run() -> None:
    scope = opened().history("a").run()
    scope.__enter__()
    kept.append(scope)
    go()


def submitted() -> None:
    """An agent works in the background."""
    started = threading.Event()

    def agent(history: History, _prompt: str) -> None:
        with history.open_message() as block:
            while True:
                block.write("and on ")
                block.flush()
                started.set()

    kept.append(opened().submit(agent, "Write", context="b"))
    started.wait()
    go()


def never_iterated() -> None:
    kept.append(opened().history("a").subscribe())
    go()


def dropped() -> None:
    """A generator over a subscription is dropped in the middle."""

    def texts(history: History) -> Iterator[str]:
        for change in history.subscribe():
            yield str(change)

    generator = texts(opened().history("a"))
    next(generator)
    del generator
    go()


def suspended() -> None:
    """A generator over a subscription is alive until the end."""
    subscription = opened().history("a").subscribe()
    kept.append(change for change in subscription)
    next(kept[-1])
    go()


def daemon_subscriber() -> None:
    _daemon(lambda store, started: _follow(store.history("a").subscribe(), started))


def store_subscriber() -> None:
    _daemon(lambda store, started: _follow(store.subscribe(), started))


def _follow(changes: Iterable[object], started: threading.Event) -> None:
    for _ in changes:
        started.set()


def daemon_writer() -> None:
    """A thread appends until it is gone."""

    def write(store: ChatStore, started: threading.Event) -> None:
        for number in range(1_000_000):
            told(store.history("b").append_user_message(str(number)))
            started.set()

    _daemon(write)


def daemon_streamer() -> None:
    """A thread writes a block until it is gone."""

    def write(store: ChatStore, started: threading.Event) -> None:
        with store.history("b").open_message() as block:
            while True:
                block.write("token ")
                block.flush()
                started.set()

    _daemon(write)


def _daemon(work: Callable[[ChatStore, threading.Event], object]) -> None:
    started = threading.Event()
    threading.Thread(target=work, args=[opened(), started], daemon=True).start()
    started.wait()
    go()


def thread_ends_last() -> None:
    """A thread that is waited for appends when the main thread has ended."""
    store = opened()

    def append() -> None:
        threading.main_thread().join()
        told(store.history("a").append_user_message("the last"))

    threading.Thread(target=append).start()
    go()


def atexit_before() -> None:
    """A handler of the program that runs before chatstore's own."""
    history = opened().history("a")
    kept.append(history.open_message())
    atexit.register(lambda: told(history.append_user_message("at exit")))
    go()


def atexit_after() -> None:
    """A handler of the program that runs after chatstore's own, as it does if it was there first."""
    history = opened().history("a")
    kept.append(history.open_message())
    atexit.unregister(core._end_at_exit)
    atexit.register(lambda: told(history.append_user_message("at exit")))
    atexit.register(core._end_at_exit)
    go()


def forked() -> None:
    """A child that was forked with the store open ends; so does the parent, which writes on."""
    store = opened()
    kept.append(store.history("a").open_message())
    go()
    if os.fork() == 0:
        sys.exit(0)
    assert os.wait()[1] == 0
    told(store.history("a").append_user_message("behind the fork"))


def spawned() -> None:
    """A child of multiprocessing that leaves a store of its own open, as does the parent."""
    opened()
    context = multiprocessing.get_context("spawn")
    begun, ending = context.Event(), context.Event()
    child = context.Process(target=_child, args=[arguments()["path"], begun, ending])
    child.start()
    assert begun.wait(60)  # its start is no part of its end
    go()
    ending.set()
    child.join()
    assert child.exitcode == 0


def _child(path: str, begun: Event, ending: Event) -> None:
    store = ChatStore(path)
    kept.append(store)
    told(store.history("child").append_user_message("hello"))
    begun.set()
    assert ending.wait(60)


def in_a_cycle() -> None:
    cycle: list[Any] = [opened()]
    cycle.append(cycle)
    kept.clear()
    gc.disable()
    go()


def deleted() -> None:
    """The last reference goes, and the garbage collector comes."""
    opened()
    kept.clear()
    gc.collect()
    go()


def finalizer() -> None:
    """An object that writes when it is deleted, which is when the interpreter is torn down."""

    class Careless:
        def __init__(self, store: ChatStore) -> None:
            self.history = store.history("a")

        def __del__(self) -> None:
            told(self.history.append_user_message("from __del__"))

    kept.append(Careless(opened()))
    go()
