"""A disk that loses its power: what a sync has not secured is there, or not, or in part, and in any order.

A file keeps what was written to it before its last sync. Of what was written since, any sectors may be there and
others not. Names are secured by a sync of their directory; of those since, the first so many are there, because file
systems keep them in order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeAlias

from faults.system_calls import Done

SECTOR = 512


@dataclass(slots=True)
class _File:
    secured: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, Done]] = field(default_factory=list)


Keep: TypeAlias = Callable[[list[Done], random.Random], list[Done]]
"""What is left of what was written since the last sync."""


class Disk:
    """Follows a record; `image` is what could be found there if the power went now."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        self._secured_names: dict[str, _File] = {}
        self._names_since: list[tuple[int, str, _File | None]] = []
        self._count = 0

    def do(self, done: Done) -> None:
        """One thing more was done."""
        if done.what in ("write", "truncate"):
            self._names[done.path].since.append((self._count, done))
        elif done.what == "sync":
            self._sync(done)
        elif done.what == "create" and done.path not in self._names:
            self._name(done.path, _File())
        elif done.what == "link":
            self._name(done.path, self._names[done.other])
        elif done.what == "unlink":
            self._name(done.path, None)
        self._count += 1

    def image(self, rng: random.Random, keep: Keep) -> dict[str, bytes]:
        """The files by their paths."""
        names = dict(self._secured_names)
        count = rng.randint(0, len(self._names_since)) if keep is not everything else len(self._names_since)
        for _, path, file in self._names_since[: count if keep is not nothing else 0]:
            _set(names, path, file)
        return {path: _content(file, rng, keep) for path, file in names.items()}

    def _name(self, path: str, file: _File | None) -> None:
        _set(self._names, path, file)
        self._names_since.append((self._count, path, file))

    def _sync(self, done: Done) -> None:
        """Secures what was done before the sync began."""
        if done.path in self._names:
            file = self._names[done.path]
            for _, change in _take(file.since, done.began):
                _apply(file.secured, change)
            return
        here = [entry for entry in self._names_since if str(PurePath(entry[1]).parent) == done.path]
        for entry in here:
            if entry[0] < done.began:
                _set(self._secured_names, *entry[1:])
                self._names_since.remove(entry)


def nothing(_since: list[Done], _rng: random.Random) -> list[Done]:
    """All that was not synced is lost."""
    return []


def everything(since: list[Done], _rng: random.Random) -> list[Done]:
    """All of it is there, as after the death of the process alone."""
    return since


def torn(since: list[Done], rng: random.Random) -> list[Done]:
    """It was on its way in order; of the last write some sectors are there."""
    kept = since[: rng.randint(0, len(since))]
    return [*kept[:-1], *(part for part in _sectors(kept[-1]) if rng.random() < 0.5)] if kept else []


def reordered(since: list[Done], rng: random.Random) -> list[Done]:
    """Any of its sectors are there: few, half or most of them."""
    share = rng.choice((0.1, 0.5, 0.9, 0.98))
    return [part for done in since for part in _sectors(done) if rng.random() < share]


def _sectors(done: Done) -> list[Done]:
    """A write, cut where the sectors of the file end."""
    if done.what != "write":
        return [done]
    parts, at = [], 0
    while at < len(done.data):
        end = min(len(done.data), at + SECTOR - (done.offset + at) % SECTOR)
        parts.append(Done("write", done.path, done.began, done.offset + at, done.data[at:end]))
        at = end
    return parts


def _content(file: _File, rng: random.Random, keep: Keep) -> bytes:
    content = bytearray(file.secured)
    for done in keep([done for _, done in file.since], rng):
        _apply(content, done)
    return bytes(content)


def _apply(content: bytearray, done: Done) -> None:
    end = done.offset + len(done.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if done.what == "truncate":
        del content[end:]
    else:
        content[done.offset : end] = done.data


def _set(names: dict[str, _File], path: str, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _take(since: list[tuple[int, Done]], before: int) -> list[tuple[int, Done]]:
    """What was done before that; what is left stays."""
    count = sum(1 for place, _ in since if place < before)
    taken, since[:] = since[:count], since[count:]
    return taken
