"""`chatstore serve` and `chatstore token`: a store over HTTP, and who may use it."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import sys
import time
from collections.abc import Sequence
from socket import gaierror, getaddrinfo
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

import typer

from chatstore import AsyncChatStore
from chatstore.cli.options import DEFAULT_STORE, StoreArgument, StoreOption, is_missing_file, of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.running import fail, note
from chatstore.errors import InvalidInput

HostOption = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen at.")]
PortOption = Annotated[int, typer.Option("--port", metavar="PORT", min=0, max=65_535, help="The port; 0 picks one.")]
HostNameOption = Annotated[
    list[str] | None,
    typer.Option("--host-name", metavar="NAME", help="A name under which it is known, beside localhost; repeat it."),
]
OriginOption = Annotated[
    list[str] | None,
    typer.Option("--origin", metavar="URL", help="A page that may use it, such as https://app.example; repeat it."),
]
LogOption = Annotated[bool, typer.Option("--log", help="Log each request, without tokens, to standard error.")]
ContextOption = Annotated[
    str | None, typer.Option("--context", metavar="CONTEXT", help="Only this context; else the whole store.")
]
TtlOption = Annotated[str, typer.Option("--ttl", metavar="TIME", help="How long it holds: 30s, 15m, 1h, 7d.")]
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST: Final = 366 * 86_400
_OWN_DAYS: Final = 30
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_EVERY: Final = ("0.0.0.0", "::", "")


def serve_command(
    path: StoreArgument = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    host_name: HostNameOption = None,
    origin: OriginOption = None,
    log: LogOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Serves a store over HTTP, with a page to look at, until it is stopped.

    It prints a link that opens the page. The link holds a token that can do everything; make others with `chatstore
    token`. Beyond this machine, put it behind a server that speaks TLS.
    """
    # Here and not above: they are an extra, and no other command should wait until they are loaded.
    from chatstore.server import create_app
    from chatstore.server.serving import Server, listening, run

    _log_to_stderr(log)
    opened = AsyncChatStore(of_this_machine(path or store, "serve"))
    names = host_name or []
    app = create_app(opened, hosts=[host, *names], origins=[*map(checked_origin, origin or ())])
    try:
        getaddrinfo(host or None, port)  # or else a name that is none looks like a port that is taken
        ear = listening(host, port)
    except OSError as error:
        fail(f"cannot listen at {host}:{port}: {_why_not(error)}")
    if host not in _LOCAL:
        _warn(host, names)
    run(_serve(Server(app), ear, opened, _name_of(host, names)))


def _name_of(host: str, names: Sequence[str]) -> str:
    """A name by which a browser finds the server, and that it answers to."""
    if host in _LOCAL or (host in _EVERY and not names):
        return "localhost"
    if names:
        return names[0]
    return f"[{host}]" if ":" in host else host


def _warn(host: str, names: Sequence[str]) -> None:
    """What to know of a server that others can reach."""
    note("other machines reach it, and without TLS: put a server that speaks it (a reverse proxy) before it")
    if host in _EVERY and not names:
        note("it answers to localhost alone; name it as others do, for each name or address: --host-name chat.example")


def _why_not(error: OSError) -> str:
    if isinstance(error, gaierror):
        return "no address of that name is known; --host takes one of this machine, such as 127.0.0.1 or 0.0.0.0"
    if error.errno == errno.EADDRNOTAVAIL:
        return "that is no address of this machine; name another --host, such as 127.0.0.1 or 0.0.0.0"
    return f"{error.strerror}; name another --port"


def checked_origin(text: str) -> str:
    """The origin of a page, as browsers tell it. Raises InvalidInput for what is none."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    named = f"[{host}]" if host and ":" in host else host
    origin = f"{parts.scheme}://{named}" + ("" if port is None else f":{port}")
    if not host or "*" in host or not parts.scheme or not text.isascii():
        raise InvalidInput(f"--origin takes scheme://host[:port], such as https://app.example, and not {text!r}")
    if text.lower() != origin:
        raise InvalidInput(f"--origin takes scheme://host[:port] and no more; write {origin} and not {text!r}")
    return text


async def _serve(server: object, ear: object, opened: AsyncChatStore, name: str) -> None:
    from socket import socket

    from chatstore.server.serving import Server

    assert isinstance(server, Server)
    assert isinstance(ear, socket)
    made = is_missing_file(opened.location)  # a misspelt name makes one, too
    async with opened:
        if made:
            note(f"a new store: {opened.location}")
        token = _made(opened, None, read=True, write=True, admin=True, seconds=_OWN_DAYS * 86_400)
        address = f"http://{name}:{ear.getsockname()[1]}"
        note(f"serving {opened.location} at {address}; stop it with Ctrl-C")
        Output().line(f"{address}/?token={quote(token)}")
        await server.serve(sockets=[ear])
        note("stopped")


def token_command(
    context: ContextOption = None,
    read: Annotated[bool, typer.Option("--read", help="It may read.")] = False,
    write: Annotated[bool, typer.Option("--write", help="It may write.")] = False,
    ttl: TtlOption = "1h",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Prints a token for a store that is served: to read, to write or both, one context or all, for some time."""
    if not (read or write):
        raise InvalidInput("say what the token allows: --read, --write or both")

    async def make() -> str:
        async with AsyncChatStore(of_this_machine(store, "token"), create=False) as opened:
            return _made(opened, context, read=read, write=write, admin=False, seconds=seconds_of(ttl))

    Output().line(asyncio.run(make()))


def _made(opened: AsyncChatStore, context: str | None, *, read: bool, write: bool, admin: bool, seconds: float) -> str:
    from uuid import uuid4

    from chatstore.server import Access, TokenAuthority

    until = time.time() + seconds
    return TokenAuthority(opened).make(
        Access(uuid4().hex[:12], context, read=read, write=write, admin=admin, expires_at=until)
    )


def seconds_of(text: str) -> int:
    """The seconds that a time such as `90m` has."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST:
        raise InvalidInput(f"--ttl takes a time such as 30s, 15m, 1h or 7d, of a year at most, and not {text!r}")
    return seconds


def _log_to_stderr(requests: bool) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    if requests:
        logging.getLogger("chatstore.access").setLevel(logging.INFO)
