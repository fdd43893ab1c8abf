"""From the errors of PostgreSQL, of psycopg and of SQLAlchemy to ours."""

from __future__ import annotations

import re
import shlex

import psycopg
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chatstore.databases.postgres.url import parse
from chatstore.errors import (
    ChatStoreError,
    OpenError,
    StorageError,
    StoreBusy,
    StoreDamaged,
    StoreFull,
    StoreNotFound,
    StoreReadOnly,
    StoreUnavailable,
)

DRIVER_ERRORS = (psycopg.Error, SQLAlchemyError)

# The last (25006) is what a standby says, which may be the primary soon after a failover.
_AGAIN = (pg.SerializationFailure, pg.DeadlockDetected, pg.ReadOnlySqlTransaction)
_GONE = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.IdleInTransactionSessionTimeout,
    pg.IdleSessionTimeout,
)
_CROWDED = (pg.TooManyConnections, pg.OutOfMemory)
_FULL = (pg.DiskFull,)
_BUSY = (pg.LockNotAvailable, pg.QueryCanceled)


# libpq keeps no code of why a server refused a connection, only what it said. In another language than these it stays
# a server that cannot be reached.
_REFUSALS = (
    (r'FATAL: +database "[^"]*" does not exist|no such database', pg.InvalidCatalogName),
    (r"password authentication failed|SASL authentication failed|no password supplied", pg.InvalidPassword),
    (r'FATAL: +role "[^"]*" does not exist|no pg_hba.conf entry', pg.InvalidAuthorizationSpecification),
    (r"FATAL: +permission denied for database", pg.InsufficientPrivilege),
    (r"too many (connections|clients)|remaining connection slots|no more connections allowed", pg.TooManyConnections),
)


def original(error: BaseException) -> BaseException:
    """What the driver raised, or would have if it knew."""
    found = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if type(found) is psycopg.OperationalError and found.sqlstate is None:
        said = str(found)
        return next((kind(said) for pattern, kind in _REFUSALS if re.search(pattern, said)), found)
    return found


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or was never made."""
    found = original(error)
    if isinstance(found, _GONE):
        return True
    state = getattr(found, "sqlstate", None)
    return isinstance(found, psycopg.OperationalError) and (state is None or state.startswith("08"))


def heals(error: BaseException) -> bool:
    """Whether the same may succeed later."""
    return is_lost(error) or isinstance(original(error), (*_AGAIN, *_CROWDED))


def translate(error: BaseException, location: str) -> ChatStoreError:
    """The error of our tree for an error of an open store."""
    found = original(error)
    said = str(found).strip().partition("\n")[0]
    if is_lost(error):
        return StoreUnavailable(f"{location} cannot be reached ({said}); see that the server runs, then try again")
    if isinstance(found, pg.ReadOnlySqlTransaction):
        return StoreReadOnly(
            f"{location} takes no writes: it is a standby, or default_transaction_read_only is on for the user or the"
            " database; connect to the primary (target_session_attrs=read-write), or alter that"
        )
    if isinstance(found, _CROWDED):
        return StoreBusy(f"{location} has no room for more ({said}); try again, or raise its limits")
    if isinstance(error, PoolTimeout) or isinstance(found, (*_BUSY, *_AGAIN)):
        return StoreBusy(f"{location} is busy ({said}); try again, or raise busy_timeout")
    if isinstance(found, _FULL):
        return StoreFull(f"no space left for {location}; free some, then go on writing")
    if isinstance(found, pg.InsufficientPrivilege):
        return StoreReadOnly(f"this user may not do that in {location} ({said}); grant it, or use another")
    if isinstance(found, (pg.UndefinedTable, pg.UndefinedColumn, pg.InvalidSchemaName)):
        return StoreDamaged(f"{location} has lost its tables ({said}); restore a backup")
    if isinstance(found, (pg.DataCorrupted, pg.IndexCorrupted)):
        return StoreDamaged(f"{location} is damaged ({said}); restore a backup")
    return StorageError(f"the database reported {said} ({type(found).__name__}) for {location}")


def _createdb(location: str) -> str:
    """The command that makes the database of a URL, with all that the URL says of where and as whom."""
    url = parse(location).url
    given = (("-h", url.host, "host"), ("-p", url.port, "port"), ("-U", url.username, "user"))
    options = ((option, value or url.query.get(name)) for option, value, name in given)
    words = [
        word for option, value in options if value and not isinstance(value, tuple) for word in (option, str(value))
    ]
    return f"`{shlex.join(['createdb', *words, str(url.database)])}`"


def translate_opening(error: BaseException, location: str) -> ChatStoreError:
    """The same while a store is opened."""
    found = original(error)
    said = str(found).strip().partition("\n")[0]
    if isinstance(found, pg.InvalidCatalogName):
        return StoreNotFound(f"there is no database at {location}; make it: {_createdb(location)}")
    if isinstance(found, (pg.InvalidPassword, pg.InvalidAuthorizationSpecification)):
        return OpenError(f"{location} does not let us in ({said}); name a user and password in the URL")
    return translate(error, location)
