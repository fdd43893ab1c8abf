"""Why nobody answered at an address, and what to look at: read from the errors of sockets below those of httpx."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"})


@dataclass(frozen=True, slots=True)
class Reason:
    """What is wrong, and whether it will hardly be otherwise in a moment (`lasts`), or soon if at all (`soon`)."""

    text: str
    lasts: bool = False
    soon: bool = False


def reason(error: BaseException) -> Reason:
    """The reason that an attempt failed for."""
    for cause in _causes(error):
        match cause:
            case socket.gaierror():
                return Reason("no host of that name is known; is it spelled right?", lasts=True)
            case ssl.SSLCertVerificationError():
                return Reason(f"its certificate is not trusted ({cause.verify_message})", lasts=True)
            case ssl.SSLError():
                return _of_tls(getattr(cause, "reason", None))
            case ConnectionRefusedError():
                return Reason("nothing listens there; is `chatstore serve` running at that host and port?", soon=True)
    return Reason(f"{type(error).__name__}; try again")


def _of_tls(told: str | None) -> Reason:
    if told in _NOT_TLS:
        return Reason("it does not speak https; is it http://?", lasts=True)
    return Reason(f"no TLS connection came to be ({told or 'it was broken off'})", lasts=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it: attempts at several addresses of one name come as a group."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = found.exceptions if isinstance(found, BaseExceptionGroup) else ()
        waiting += [one for one in (found.__cause__, found.__context__, *inner) if one is not None]
