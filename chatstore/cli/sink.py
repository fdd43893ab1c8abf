"""Where an export goes."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, cast

from chatstore.databases.placing import check_not_of_a_store, is_there, place
from chatstore.errors import InvalidInput


def to(output: Path | None, store: str, *, overwrite: bool) -> AbstractContextManager[IO[bytes]]:
    """Where bytes go that `-o` says, or to standard output; never in place of the store."""
    return _standard_output() if output is None else _file(output, store, overwrite=overwrite)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    sys.stdout.flush()
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def _file(output: Path, store: str, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file, which takes its name when it is whole, so that nobody ever reads half of one."""
    target = Path(os.path.realpath(output))
    _check(target, store, overwrite=overwrite)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:100]}-", delete=False) as partial:
        try:
            if target.suffix == ".gz":
                # Without a time in it, equal exports are equal files.
                with gzip.GzipFile(filename="", fileobj=partial, mode="wb", mtime=0) as packed:
                    yield cast("IO[bytes]", packed)
            else:
                yield cast("IO[bytes]", partial)
            partial.flush()
            place(Path(partial.name), target, overwrite=overwrite)
        finally:
            Path(partial.name).unlink(missing_ok=True)


def _check(target: Path, store: str, *, overwrite: bool) -> None:
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise InvalidInput(f"{target} cannot be a file: name one in a directory that is there")
    if str(target) == store or (target.exists() and Path(store).exists() and target.samefile(store)):
        raise InvalidInput(f"{target} is the store itself; name another file for the export")
    check_not_of_a_store(target)
    if target.exists() and not overwrite:
        raise is_there(target)
