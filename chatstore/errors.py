"""Everything that chatstore raises, under one base.

    ChatStoreError
    ├── InvalidInput              what was given cannot be stored or asked for (also a ValueError)
    │   ├── InvalidText           a lone surrogate, or NUL in a name
    │   ├── InvalidData           not JSON: NaN, integers over 64 bits, too deep, other objects
    │   ├── LimitExceeded         longer or more than a documented limit
    │   ├── UnknownKind           a kind of read other than transcript, prompt, trace
    │   ├── InvalidCursor         malformed, of another store or context, or beyond the head
    │   └── CursorExpired         what lay behind it was removed by retention, or is in a copy now
    ├── Conflict                  `expect=`: something was written after that cursor
    ├── KeyConflict               `key=`: used before, with other content
    ├── BlocksRemoved             `key=`: stored before, and removed by retention since
    ├── BlockEnded                the block is not open any more
    ├── RunOver                   the run ended, and writes into it are refused
    │   ├── RunCancelled          somebody stopped it
    │   └── RunInterrupted        its process was taken for dead
    ├── ContextErased             the context was erased, and its name is not used again
    ├── RunNotFound               no such run in this history
    ├── BlockNotFound             no such block in this history
    ├── BlobNotFound              no bytes of that digest in this store
    ├── OpenError                 the store cannot be opened
    │   ├── StoreNotFound         nothing there, and not asked to create it
    │   ├── NotAStore             a directory, another file, another application's database
    │   ├── SchemaTooOld          run the command that the message names
    │   ├── SchemaTooNew          written by a newer chatstore
    │   ├── StoreReadOnly         the file or its directory cannot be written
    │   └── UnsafeFileSystem      a network's, a virtual machine's or FUSE, where SQLite's log is not safe
    ├── UsageError                the program's own mistake
    │   ├── StoreClosed           used after close()
    │   ├── ForkedStore           opened before os.fork(), used in the child
    │   ├── MissingExtra          what the message names is not installed
    │   ├── RedactionFailed       `redact=` raised, or returned no text
    │   └── WrongEventLoop        an AsyncChatStore used from a second event loop
    └── StorageError              the database did not do what it was asked
        ├── StoreBusy             another process held the write lock too long (retryable)
        ├── StoreUnavailable      the server cannot be reached (retryable)
        ├── StoreFull             no space left
        ├── StoreDamaged          the file is not a sound database any more
        └── StoreReplaced         the file was removed, or another one put in its place

Each says what happened and what to do; `code` and `retryable` say the same to a program. An exception of a
database driver never reaches a caller: it is the `__cause__` of one of these.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, TypeVar

E = TypeVar("E", bound=Exception)


class ChatStoreError(Exception):
    """Base of every error raised by chatstore."""

    code: ClassVar[str] = "error"
    """A stable name for programs, in snake case."""
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later, unchanged."""

    # An exception is copied, and sent to another process, by calling its class with the message alone: some here take
    # more, and the pool of processes that one of them ended in would break.
    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[ChatStoreError], args: tuple[Any, ...]) -> ChatStoreError:
    return kind.__new__(kind, *args)


def again(error: E) -> E:
    """An error for one more caller: each raises its own, or their tracebacks would grow into one. What is none of ours
    may not be to be copied, and stays the same."""
    if not isinstance(error, ChatStoreError):
        return error
    found = copy(error)
    found.__cause__ = error.__cause__
    return found


class InvalidInput(ChatStoreError, ValueError):
    """What was given cannot be stored or asked for; nothing was written."""

    code = "invalid_input"


class InvalidText(InvalidInput):
    """Text that UTF-8 cannot carry, or a name with a NUL in it."""

    code = "invalid_text"


class InvalidData(InvalidInput):
    """A value that JSON cannot carry exactly."""

    code = "invalid_data"


class LimitExceeded(InvalidInput):
    """Longer, deeper or more than a documented limit."""

    code = "limit_exceeded"

    def __init__(self, message: str, *, limit: str | None = None, value: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        """The limit's name in `Limits`; None for one that is the same for every store."""
        self.value = value
        """The most that it allows."""


class UnknownKind(InvalidInput):
    """A kind of read that does not exist."""

    code = "unknown_kind"


class InvalidCursor(InvalidInput):
    """A cursor that is malformed, of another store or context, or beyond the head."""

    code = "invalid_cursor"


class CursorExpired(InvalidInput):
    """What follows the cursor was removed, as the store was told to retain no more; or it is a cursor of the store that
    this one was copied from. Go on from `start`."""

    code = "cursor_expired"

    def __init__(self, message: str, *, start: str) -> None:
        super().__init__(message)
        self.start = start
        """The cursor behind which everything is still there."""


class Conflict(ChatStoreError):
    """Something was written after the cursor given as `expect=`; nothing of this append was stored.

    ```python
    draft, head = BlockDraft(role="assistant", text="Shall I go on?"), history.head()
    history.append_user_message("Wait!")  # somebody was sooner
    try:
        history.append(draft, expect=head)
    except Conflict as conflict:
        unseen = history.get_messages(after=head)  # read what came, and decide again
        history.append(draft, expect=conflict.head)
    ```
    """

    code = "conflict"

    def __init__(self, message: str, *, head: str) -> None:
        super().__init__(message)
        self.head = head
        """The history's head when the append was refused, to read on from and decide again."""


class KeyConflict(ChatStoreError):
    """The key was used before in this history, with other content; nothing of this append was stored."""

    code = "key_conflict"


class BlocksRemoved(ChatStoreError):
    """The key was stored before, with the same content, and retention removed some or all of its blocks; nothing is
    stored a second time. Take the append for done."""

    code = "blocks_removed"

    def __init__(self, message: str, *, first_index: int, count: int) -> None:
        super().__init__(message)
        self.first_index = first_index
        """The index of the first block that was stored under the key."""
        self.count = count
        """How many there were."""


class BlockEnded(ChatStoreError):
    """The block is not open any more; what was written after its end is not stored."""

    code = "block_ended"


class RunOver(ChatStoreError):
    """The run ended; nothing more is written into it."""

    code = "run_over"


class RunCancelled(RunOver):
    """Somebody stopped the run: stop working on it. What was written until then is kept."""

    code = "run_cancelled"


class RunInterrupted(RunOver):
    """The run was ended because its process seemed dead: it was silent for longer than its lease. Start a new run."""

    code = "run_interrupted"


class ContextErased(ChatStoreError):
    """The context was erased: nothing is read from it or written to it any more. Use another context id."""

    code = "context_erased"


class RunNotFound(ChatStoreError):
    """No run of that id in this history."""

    code = "run_not_found"


class BlockNotFound(ChatStoreError):
    """No block of that id in this history."""

    code = "block_not_found"


class BlobNotFound(ChatStoreError):
    """No bytes of that digest in this store."""

    code = "blob_not_found"


class OpenError(ChatStoreError):
    """The store cannot be opened; the file was left as it was."""

    code = "open_error"


class StoreNotFound(OpenError):
    """Nothing at that path, or no directory to create it in."""

    code = "store_not_found"


class NotAStore(OpenError):
    """The path holds something else: a directory, another file, another application's database."""

    code = "not_a_store"


class SchemaTooOld(OpenError):
    """The store was written by an older chatstore; the message names the command that brings it up to date."""

    code = "schema_too_old"


class SchemaTooNew(OpenError):
    """The store was written by a newer chatstore than this one."""

    code = "schema_too_new"


class StoreReadOnly(OpenError):
    """The file or its directory cannot be written by this process."""

    code = "store_read_only"


class UnsafeFileSystem(OpenError):
    """The store lies on a file system that is known to damage SQLite's log without an error; use a local one."""

    code = "unsafe_file_system"


class UsageError(ChatStoreError):
    """The program used the store in a way that cannot work."""

    code = "usage_error"


class StoreClosed(UsageError):
    """The store was closed before this call."""

    code = "store_closed"


class MissingExtra(UsageError):
    """A package that is needed for this is not installed; the message has the command."""

    code = "missing_extra"


class ForkedStore(UsageError):
    """The store was opened before a fork and used in the child; open a store of its own there."""

    code = "forked_store"


class RedactionFailed(UsageError):
    """What was given as `redact=` raised an exception, or returned no text; nothing of this call was stored."""

    code = "redaction_failed"


class WrongEventLoop(UsageError):
    """An AsyncChatStore belongs to the event loop that used it first."""

    code = "wrong_event_loop"


class StorageError(ChatStoreError):
    """The database reported an error; what was not acknowledged is not stored."""

    code = "storage_error"


class StoreBusy(StorageError):
    """Another process held the write lock for longer than the store was told to wait."""

    code = "store_busy"
    retryable = True


class StoreUnavailable(StorageError):
    """The server cannot be reached, or went away. If a write raised this, nothing of it was stored."""

    code = "store_unavailable"
    retryable = True


class StoreFull(StorageError):
    """No space left for the write; reads go on, and so do writes once there is space."""

    code = "store_full"
    retryable = True


class StoreDamaged(StorageError):
    """The file is not a sound database any more."""

    code = "store_damaged"


class StoreReplaced(StorageError):
    """The store's file or its log was removed, or another one put in its place, while it was open; close it and open it
    again. Whether what was being committed at that moment is stored is not known; a `key` makes it safe to repeat."""

    code = "store_replaced"
