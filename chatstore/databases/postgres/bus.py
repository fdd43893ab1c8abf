"""The bus that a server brings with it: NOTIFY tells, LISTEN hears."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

from chatstore.databases.postgres.connecting import connect
from chatstore.databases.postgres.listening import CONNECT_SECONDS, Ear, Listener
from chatstore.databases.postgres.notifying import Notifier
from chatstore.databases.postgres.url import PostgresUrl
from chatstore.wakers import Waker

LISTENS: Final = "chatstore listen"
"""How the connection that hears notices is called in the server's list of them."""


class ServerBus:
    """LISTEN and NOTIFY; see Bus. `listen_url`: where to listen, for behind a pooler that does not work. `lost` is
    called when a connection is."""

    def __init__(self, url: PostgresUrl, listen_url: PostgresUrl, lost: Callable[[], None], identity: str) -> None:
        self._notifier = Notifier(partial(connect, url), identity)
        to_listen = partial(connect, listen_url, application_name=LISTENS, connect_timeout=CONNECT_SECONDS)
        self._ear = Ear(partial(Listener, to_listen, identity, self._notifier.sender), lost)

    def behind_commit(self, contexts: Collection[str]) -> tuple[str, list[str]] | None:
        """The statement that tells it, in the packet of the commit; None while there was a notice a moment ago."""
        return self._notifier.notice(contexts)

    def tell(self, contexts: Iterable[str]) -> None:
        """Has the notifier's thread tell it."""
        self._notifier.tell(contexts)

    def waker(self) -> Waker:
        """Begins to listen, which closing the waker ends."""
        return self._ear.open()

    def close(self) -> None:
        """Tells what there is to tell, and ends the notifier's thread."""
        self._notifier.close()
