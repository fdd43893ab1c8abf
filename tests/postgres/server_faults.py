"""What goes wrong with a server: statements that fail at random, connections that are ended, restarts."""

from __future__ import annotations

import random
import threading
from collections import Counter
from contextlib import suppress

import postgres_server
import psycopg
from sqlalchemy.engine import make_url

# Blocks that have to be refused, as the triggers of `attempts` do it; and failures that pass, in a statement and in
# the COMMIT itself.
TRIGGERS = """
CREATE FUNCTION chatstore.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.author IN ('abort', 'rollback') THEN RAISE EXCEPTION 'refused by a trigger'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON chatstore.blocks FOR EACH ROW EXECUTE FUNCTION chatstore.refuse();
CREATE FUNCTION chatstore.stumble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < TG_ARGV[0]::float THEN
        RAISE EXCEPTION 'injected' USING ERRCODE = CASE WHEN random() < 0.5 THEN '40001' ELSE '40P01' END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER stumble AFTER INSERT ON chatstore.changes FOR EACH STATEMENT EXECUTE FUNCTION chatstore.stumble(0.02);
CREATE CONSTRAINT TRIGGER fall AFTER INSERT ON chatstore.blocks DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chatstore.stumble(0.005);
"""
VICTIMS = {
    "listener": "query LIKE 'SELECT pg_notify%%' OR query LIKE 'LISTEN%%'",
    "notifier": "query LIKE '%%pg_notify%%'",
    "writer": "query ~ '^(BEGIN|COMMIT|INSERT|UPDATE)' OR query LIKE '%%advisory%%'",
    "anyone": "true",
}


def set_up(url: str) -> None:
    """Makes a store fail by itself now and then."""
    with psycopg.connect(url) as conn:
        conn.execute(TRIGGERS)


class Killer:
    """A thread that ends connections to a store at random, as many as it was told, and restarts the server once."""

    def __init__(self, url: str, kills: int, *, pause: float, restart: str | None = None) -> None:
        self.kills: Counter[str] = Counter()
        self._database = make_url(url).database
        self._left = kills
        self._pause = pause
        self._restart = restart
        self._restart_at = kills // 2
        self._random = random.Random(kills)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Waits until all of it is done."""
        self._thread.join()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def _serve(self) -> None:
        while self._left and not self._ending.wait(self._random.uniform(0, 2 * self._pause)):
            if self._restart and self._left <= self._restart_at:
                postgres_server.restart(self._restart)
                self.kills["restart"] += 1
                self._restart = None
            with suppress(psycopg.OperationalError):
                self._kill()

    def _kill(self) -> None:
        kind = self._random.choice(list(VICTIMS))
        with psycopg.connect(postgres_server.server(), autocommit=True) as conn:
            victim = conn.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'chatstore'"
                f" AND ({VICTIMS[kind]}) ORDER BY random() LIMIT 1",
                [self._database],
            ).fetchone()
            if victim is not None and conn.execute("SELECT pg_terminate_backend(%s)", victim).fetchone() == (True,):
                self.kills[kind] += 1
                self._left -= 1
