"""Stopping on a signal at a moment when nothing is half done."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Takes SIGINT and SIGTERM as a request to stop, which a thread hears; the main thread is never interrupted.

    So whatever the main thread is at when a signal comes, it completes: no exception rises between printing a change
    and noting that it was printed. A second signal ends the process at once. Enter it on the main thread.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The signal that came, once one did."""
        self._lock = threading.Lock()
        self._action: Callable[[], object] | None = None

    def then(self, action: Callable[[], object]) -> None:
        """What to call, from another thread, when a signal comes; at once if it did already."""
        with self._lock:
            self._action = action
            came = self.received is not None
        if came:
            action()

    def __enter__(self) -> Self:
        self._ear, self._mouth = socket.socketpair()
        # As `signal.set_wakeup_fd` demands: who handles a signal must never wait.
        self._mouth.setblocking(False)
        self._listener = threading.Thread(target=self._listen, name="chatstore-signals", daemon=True)
        self._listener.start()
        self._wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        # A signal that is ignored stays so: the shell that started this in the background wants that.
        taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, _leave_to_listener) for number in taken}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._mouth.close()
        self._listener.join()
        self._ear.close()

    def _listen(self) -> None:
        while heard := self._ear.recv(1):
            if heard[0] in SIGNALS:
                self._stop(heard[0])

    def _stop(self, number: int) -> None:
        with self._lock:
            if self.received is not None:
                # Past everything: the main thread may be in a call that does not end, and this is another thread.
                os._exit(128 + number)
            self.received = number
            action = self._action
        if action is not None:
            action()


def _leave_to_listener(number: int, frame: FrameType | None) -> None:
    """Python wakes the listener by itself; without a handler of ours it would end the process."""
