"""A small model of many processes that append to one PostgreSQL server, and what it is made of.

A process gathers what its tasks wait for, works on it, has the server work on it, and waits for the server's disk;
who shares a history waits for its lock from the first statement to the commit; a notice wakes each connection that
listens. Processors are lent in turn. Left out are networks beyond a pause, vacuum, checkpoints, reads, and whatever the
server's own locks do on many cores.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal, NamedTuple, TypeAlias

MICRO: Final = 1e-6


@dataclass(frozen=True)
class Costs:
    """Microseconds, measured by `python -m benchmarks.scaling_measure NAME` on 2 cores of a virtual machine, Python
    3.11, PostgreSQL 18 with its default settings beside it, texts of real conversations of 376 bytes on average."""

    client_commit: float = 420
    client_row: float = 29
    """Processor of the process: a transaction, and each append in it, on a history of its own. `groups`: lines through
    1, 10, 30 and 100 tasks."""
    server_commit: float = 290
    server_row: float = 11.7
    """Processor of the server, from the same."""
    client_shared: float = 22.8
    server_shared: float = 8.3
    """An append to a history that the others of the transaction are of as well. `hot`, 1 x 100."""
    beside: float = 150
    """Of the server's work, how much is done while the process works as well. `groups`: the least that fits."""
    sync: float = 97
    disk: float = 530
    """8 kB and fdatasync, and bytes in a microsecond. `disk`."""
    log: float = 1_175
    """Bytes of the server's log for an append. `groups`."""
    held: float = 0.5
    """Share of the process's work behind the lock of a history. Fitted to `hot`, 2 x 50."""
    crowded: float = 1.15
    """What work takes more where processes, each with one of the server's, outnumber processors. `spread`: processor
    time of 4 x 25 beside that of 1 x 25."""
    hand_over: float = 130
    """From the commit of who held a lock to the work of the next. Fitted to `hot`, 4 x 1."""
    wake: float = 14.4
    """Processor of the server for each connection that listens to a notice. `notices`, 10 to 90 of them."""
    hear: float = 83
    """Processor of a process that follows something else. `hearing`, one every 3 ms."""
    gather: float = 2_000
    """Between two notices of a process: `notifying.GATHER`."""


@dataclass(frozen=True)
class Setting:
    """Who writes, and where. `cores`: the server's; `apart`: each process has a core of its own elsewhere, an answer
    takes `trip` microseconds there and back, and each listens."""

    processes: int
    tasks: int
    shared: bool = False
    listening: int = 0
    cores: int = 2
    apart: bool = False
    trip: float = 0.0


class Outcome(NamedTuple):
    """Appends, transactions, and notices in a second; the share of the server's processors in use."""

    appends: float
    commits: float
    notices: float
    busy: float


Step: TypeAlias = "tuple[Literal['work', 'pause'], float, Cores | None] | Lock | Log"
Actor: TypeAlias = Generator[Step, None, None]
SLICE: Final = 3000.0


class Cores:
    """Processors, lent for a slice at a time in the order in which they were asked for."""

    def __init__(self, number: int) -> None:
        self.free = number
        self.waiting: deque[tuple[Actor, float]] = deque()
        self.used = 0.0


class Lock:
    """Asked for when it is yielded the first time, given back the next time."""

    def __init__(self, hand_over: float) -> None:
        self.hand_over = hand_over
        self.holder: Actor | None = None
        self.waiting: deque[Actor] = deque()


class Log:
    """The disk: one sync serves all that waited when it began."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.unwritten = 0.0
        self.syncing = False
        self.waiting: list[Actor] = []


class Simulation:
    """A clock in microseconds, and actors that ask for what they need next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers: Iterator[int] = count()

    def start(self, actor: Actor) -> None:
        """Lets an actor begin."""
        self._at(0.0, lambda: self._step(actor))

    def run(self, until: float) -> None:
        """Goes on until a time."""
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()

    def _at(self, delay: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._numbers), act))

    def _step(self, actor: Actor) -> None:
        try:
            wanted = next(actor)
        except StopIteration:
            return
        if isinstance(wanted, Lock):
            self._lock(wanted, actor)
        elif isinstance(wanted, Log):
            wanted.waiting.append(actor)
            self._sync(wanted)
        elif wanted[2] is None:
            self._at(wanted[1], lambda: self._step(actor))
        else:
            wanted[2].waiting.append((actor, wanted[1]))
            self._lend(wanted[2])

    def _lock(self, lock: Lock, actor: Actor) -> None:
        if lock.holder is actor:
            lock.holder = lock.waiting.popleft() if lock.waiting else None
            if (following := lock.holder) is not None:
                self._at(lock.hand_over, lambda: self._step(following))
        elif lock.holder is not None:
            lock.waiting.append(actor)
            return
        else:
            lock.holder = actor
        self._at(0.0, lambda: self._step(actor))

    def _sync(self, log: Log) -> None:
        if log.syncing or not log.waiting:
            return
        log.syncing, served = True, log.waiting
        log.waiting = []

        def done() -> None:
            log.syncing = False
            for actor in served:
                self._step(actor)
            self._sync(log)

        self._at(log.costs.sync + log.unwritten / log.costs.disk, done)
        log.unwritten = 0.0

    def _lend(self, cores: Cores) -> None:
        while cores.free and cores.waiting:
            actor, left = cores.waiting.popleft()
            cores.free -= 1
            slice = min(SLICE, left)
            cores.used += slice
            self._at(slice, lambda actor=actor, left=left - slice: self._give_back(cores, actor, left))  # type: ignore[misc]

    def _give_back(self, cores: Cores, actor: Actor, left: float) -> None:
        cores.free += 1
        if left > 0:
            cores.waiting.append((actor, left))
        else:
            self._step(actor)
        self._lend(cores)


class _Server:
    def __init__(self, setting: Setting, costs: Costs) -> None:
        crowd = setting.processes > 1 and setting.processes * (1 if setting.apart else 2) > setting.cores
        slower = costs.crowded if crowd else 1.0
        self.setting, self.costs, self.slower = setting, costs, slower
        self.simulation, self.cores, self.log = Simulation(), Cores(setting.cores), Log(costs)
        self.lock = Lock(costs.hand_over) if setting.shared else None
        self.own = [Cores(1) if setting.apart else self.cores for _ in range(setting.processes)]
        self.listening = setting.processes if setting.apart else setting.listening
        self.commits = self.notices = 0
        self.woken: set[Cores | int] = set()

    def count(self, until: float) -> tuple[float, float, float]:
        """Transactions, notices and the use of processors until a time in seconds."""
        self.simulation.run(until / MICRO)
        return self.commits, self.notices, self.cores.used

    def process(self, number: int) -> Actor:
        """A process: the same round again and again."""
        costs, setting = self.costs, self.setting
        own = self.own[number]
        rows = setting.tasks
        one = (costs.client_shared, costs.server_shared) if setting.shared else (costs.client_row, costs.server_row)
        client = (costs.client_commit + one[0] * rows) * (1.0 if setting.apart else self.slower)
        server = (costs.server_commit + one[1] * rows) * self.slower
        beside = min(costs.beside, server)
        told = -costs.gather
        yield ("pause", number * 37.0, None)  # they do not begin in step
        while True:
            yield ("work", client * (1 - costs.held), own)
            if self.lock is not None:
                yield self.lock
            self.simulation.start(self._work(beside))
            yield ("work", client * costs.held, own)
            yield ("pause", 2 * setting.trip, None)  # for what is held, and for the commit
            yield ("work", server - beside, self.cores)
            self.log.unwritten += costs.log * rows
            yield self.log
            self.commits += 1
            if self.lock is not None:
                yield self.lock
            if self.simulation.now - told >= costs.gather:
                told = self.simulation.now
                self._tell()

    def _work(self, amount: float) -> Actor:
        yield ("work", amount, self.cores)

    def _tell(self) -> None:
        """Wakes who listens, unless they were woken and have not looked yet."""
        self.notices += 1
        for core in range(self.setting.cores if self.listening else 0):
            self._wake(core, self.cores, self.costs.wake * self.listening / self.setting.cores)
        for own in self.own if self.setting.apart else ():
            self._wake(own, own, self.costs.hear)

    def _wake(self, name: Cores | int, cores: Cores, amount: float) -> None:
        if name not in self.woken:
            self.woken.add(name)
            self.simulation.start(self._look(name, cores, amount))

    def _look(self, name: Cores | int, cores: Cores, amount: float) -> Actor:
        yield ("work", 1.0, cores)
        self.woken.discard(name)
        yield ("work", amount, cores)


def simulate(setting: Setting, costs: Costs = Costs(), *, seconds: float = 1.0) -> Outcome:
    """What comes out of a setting, after a fifth of the time to settle."""
    server = _Server(setting, costs)
    for number in range(setting.processes):
        server.simulation.start(server.process(number))
    before = server.count(0.2 * seconds)
    commits, notices, used = (now - then for now, then in zip(server.count(1.2 * seconds), before, strict=True))
    appends = commits * setting.tasks / seconds
    return Outcome(appends, commits / seconds, notices / seconds, used * MICRO / seconds / setting.cores)


@dataclass(frozen=True)
class FileCosts:
    """Microseconds of a file, where one transaction follows the other whoever commits it. `files`: a line through 1 and
    100 tasks of one process."""

    commit: float = 250
    row: float = 61.5

    def appends(self, tasks: int) -> float:
        """In a second, with so many in each transaction."""
        return tasks / (self.commit + self.row * tasks) / MICRO


@dataclass(frozen=True)
class Sizes:
    """Bytes, of texts of 376 bytes. `sizes` and `streams`."""

    text: float = 376
    block_in_file: float = 632
    block_on_server: float = 773
    log_of_append: float = 1_267
    """One append in each transaction; 1,175 with a hundred."""
    log_of_token: float = 431
    piece_on_server: float = 168
    """On the disk for each piece of streamed text, until it is compacted ten minutes after the end of the block."""
    tokens: float = 300
    """Of an answer: assumed."""
