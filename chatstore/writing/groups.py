"""A group of writes in one transaction: applied, committed, tried again where that helps, told to this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection

from chatstore.databases.base import Database, Known, Patience
from chatstore.operations.rows import Cursors
from chatstore.operations.transaction import Announcement, Transaction, Unheld, is_stored
from chatstore.writing.pending import Pending, Unanswered, settle

Announce: TypeAlias = Callable[[Announcement], None]

FEW: Final = 100
"""Blocks that are written on an event loop itself, at most: they take 3 ms, and a thread that works beside the loop
keeps it waiting for up to 5 ms too (`sys.getswitchinterval`)."""
KNOWN: Final = 4_096
"""Histories whose counters are remembered, at most."""

_log = logging.getLogger(__name__)


class _Try:
    """What is known of a group from the tries so far."""

    def __init__(self, group: Iterable[Pending[Any]]) -> None:
        self.contexts = {pending.context for pending in group if pending.context is not None}
        self.began = False
        self.sent: Transaction | None = None
        """Whose commit was sent, and perhaps not answered."""
        self.committed: Transaction | None = None

    def settle(self, group: Iterable[Pending[Any]], committed: Transaction) -> None:
        """They have their answers. Noted first: what has to follow a commit does, whatever signal comes here."""
        self.committed = committed
        settle(group)


class GroupWriter:
    """The connection of a process that writes to one database. Used by one thread at a time."""

    def __init__(self, database: Database, cursors: Cursors, announce: Announce) -> None:
        self._database = database
        self._cursors = cursors
        self._announce = announce
        self._conn: Connection | None = None
        self._known: Known = {}

    def commit(self, group: list[Pending[Any]], *, patient: bool = True) -> bool:
        """One transaction for the group. When the database fails it, each write gets one of its own instead.

        False: it did not begin, because it would have had to wait.
        """
        synced = any(pending.synced for pending in group)
        if not patient and (synced or sum(pending.size for pending in group) > FEW):
            return False
        this = _Try(group)
        try:
            return self._persist(group, this, synced=synced, patient=patient)
        except BaseException:  # a signal's
            if this.committed is not None:
                settle(group)
            elif self._database.commits_wait and this.sent is not None:
                self._resolve(group, this)
            raise
        finally:
            if this.committed is not None:
                self._conclude(this.committed)

    def _persist(self, group: list[Pending[Any]], this: _Try, *, synced: bool, patient: bool) -> bool:
        patience = Patience(self._database, time.monotonic)
        while True:
            this.began = False
            try:
                return self._try(group, this, synced=synced, patient=patient)
            except Unheld as unheld:
                self._roll_back()
                this.contexts.update(unheld.context_ids)
            except Exception as error:
                self._roll_back()
                pause = patience.pause(error) if patient else None
                if pause is None:
                    return self._give_up(group, this, error, patient=patient)
                _log.info("a commit failed (%s), and is tried again", type(error).__name__)
                time.sleep(pause)

    def _try(self, group: list[Pending[Any]], this: _Try, *, synced: bool, patient: bool) -> bool:
        conn = self._connection()
        try:
            self._database.rollback(conn)  # what a second signal may have left, if anything
            this.began = self._database.begin(conn, synced=synced, patient=patient)
            if not this.began:
                return False
            transaction = self._transaction(conn, this)
            if this.sent is not None and _is_stored(conn, this.sent):
                self._database.rollback(conn)
                transaction = this.sent  # it was committed, and only the answer was lost
            else:
                self._apply(group, transaction, this)
            this.settle(group, transaction)
        except Exception:
            raise
        except BaseException:  # a signal's: the commit happened whole or not at all, and a connection may know
            if this.sent is not None and not self._database.commits_wait and not self._database.in_transaction(conn):
                this.settle(group, this.sent)
            self._roll_back()
            raise
        return True

    def _apply(self, group: list[Pending[Any]], transaction: Transaction, this: _Try) -> None:
        this.sent = None
        for pending in group:
            pending.apply(transaction)
        transaction.finish()
        this.sent = transaction
        try:
            self._database.commit(transaction.conn, transaction.announced, transaction.proof)
        except Exception as error:
            if self._database.answers(error):
                this.sent = None
            raise

    def _resolve(self, group: list[Pending[Any]], this: _Try) -> None:
        """Answers those whose commit was sent when a signal came: the next one to write must not do it again."""
        try:
            if this.sent is not None and self._was_committed(this):
                this.settle(group, this.sent)
        except BaseException as error:
            settle(group, _unknown(error))
            if not isinstance(error, Exception):
                raise
        finally:
            self._roll_back()

    def _was_committed(self, this: _Try) -> bool:
        self._roll_back()
        conn = self._connection()
        self._database.begin(conn, synced=False)
        self._database.hold(conn, this.contexts)  # waits for what the server may still be doing
        return this.sent is not None and _is_stored(conn, this.sent)

    def _connection(self) -> Connection:
        if self._conn is None:
            self._conn = self._database.writer()
        return self._conn

    def _transaction(self, conn: Connection, this: _Try) -> Transaction:
        held = self._database.hold(conn, this.contexts)
        if held is None:
            return Transaction(conn, self._cursors, self._remembered(conn))
        return Transaction(conn, self._cursors, held, held=True)

    def _conclude(self, transaction: Transaction) -> None:
        """Tells this process what was committed. Whatever comes of that, the callers get their answers."""
        try:
            for after in transaction.after_commit:
                after()
            if transaction.announced:
                self._announce(transaction.announced)
        except Exception:
            _log.exception("what was committed could not be handed over; subscriptions find it by themselves")

    def _remembered(self, conn: Connection) -> Known:
        """The counters of the histories written to before, while no other process has written anything."""
        if not self._database.alone(conn):
            # The commit of somebody else may have been a restore, which SQLite does not tell apart.
            self._database.check_in_place(conn)
            self._known = {}
        elif len(self._known) > KNOWN:
            self._known = {}
        return self._known

    def _give_up(self, group: list[Pending[Any]], this: _Try, error: Exception, *, patient: bool) -> bool:
        """Has each write of the group tried alone, or fails it; leaves them to the thread where nothing may wait."""
        if not patient:
            return False
        if this.sent is not None:
            settle(group, _unknown(error))
        elif this.began and len(group) > 1 and not self._database.heals(error):
            _log.warning("a commit of %d writes failed (%s); each is tried alone", len(group), type(error).__name__)
            for pending in group:
                self.commit([pending])
        else:
            settle(group, self._database.translate(error))
        return True

    def is_free(self) -> bool:
        """Whether a transaction could begin now, without waiting for anybody."""
        try:
            return self._database.begin(self._connection(), synced=False, patient=False)
        except Exception as error:
            _log.info("whether anybody can write is not known: %s", self._database.translate(error))
            return False
        finally:
            self._roll_back()

    def checkpoint(self) -> None:
        """Keeps the database's log short. Never on an event loop: it waits for the disk."""
        if self._conn is not None and self._database.wants_checkpoint():
            try:
                self._database.checkpoint(self._connection())
            except Exception as error:
                _log.warning("a checkpoint failed, and is tried again later: %s", self._database.translate(error))

    def scrub(self, patience: float | None = None) -> None:
        """Leaves no byte of what was deleted in the files. Raises StoreBusy where somebody reads for too long."""
        try:
            self._database.scrub(self._connection(), patience)
        except Exception as error:
            raise self._database.translate(error) from error

    def close(self) -> None:
        """Gives back the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    # What is remembered counts what the transaction would have stored.
    def _roll_back(self) -> None:
        self._known = {}
        if self._conn is None:
            return
        try:
            self._database.rollback(self._conn)
        except Exception as error:
            _log.info("a rollback failed (%s); the connection is replaced", type(error).__name__)
            broken, self._conn = self._conn, None
            broken.invalidate()
            broken.close()


def _is_stored(conn: Connection, transaction: Transaction) -> bool:
    """Whether a transaction was committed; one that logged nothing may be made again."""
    return transaction.proof is not None and is_stored(conn, transaction.proof)


def _unknown(error: BaseException) -> Unanswered:
    unknown = Unanswered(
        f"the answer to a commit was lost ({type(error).__name__}), so it may be stored; read the history to see, or"
        " repeat it with its key, if it had one. Text of an open block is kept, and stored once"
    )
    unknown.__cause__ = error
    return unknown
