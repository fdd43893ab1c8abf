"""What `wake="nats://user:password@host:port"` means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from chatstore.errors import InvalidInput

SCHEMES: Final = ("nats", "tls")
PORT: Final = 4222
_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
_SHAPE: Final = "wake= takes a URL like nats://user:password@host:4222, or tls://…; servers of a cluster by commas"


@dataclass(frozen=True)
class NatsUrl:
    """The servers of one cluster, and who we are there: a user with a password, or a token alone."""

    servers: tuple[str, ...]
    secured: bool = False
    """Whether nothing is said to a server that does not speak TLS."""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Without the password, for messages."""
        return ",".join(self.servers)


def is_nats(wake: object) -> bool:
    """Whether a `wake=` is a URL of this kind."""
    return isinstance(wake, str) and wake.partition("://")[0] in SCHEMES


def parse(wake: str) -> NatsUrl:
    """What a URL means, or several with commas between them. Raises InvalidInput, in which no password is shown."""
    parts = [_split(one) for one in wake.split(",")]
    if len({part.scheme for part in parts}) > 1:
        raise InvalidInput("the servers of one cluster are all nats:// or all tls://")
    named = [part for part in parts if part.username is not None]
    if len({(part.username, part.password) for part in named}) > 1:
        raise InvalidInput("the servers of one cluster take the same user and password, or the same token")
    user, password = (named[0].username, named[0].password) if named else (None, None)
    return NatsUrl(
        tuple(map(_server, parts)),
        parts[0].scheme == "tls",
        None if user is None else unquote(user),
        None if password is None else unquote(password),
    )


def _split(text: str) -> SplitResult:
    try:
        part = urlsplit(text)
        port = part.port
    except ValueError:
        raise InvalidInput(_SHAPE) from None
    wrong = part.path not in ("", "/") or part.query or part.fragment or part.scheme not in SCHEMES or port == 0
    if wrong or not text.isprintable() or " " in text or _HOST.fullmatch(part.hostname or "") is None:
        raise InvalidInput(_SHAPE)
    return part


def _server(part: SplitResult) -> str:
    host = part.hostname or ""
    return f"{part.scheme}://{f'[{host}]' if ':' in host else host}:{part.port or PORT}"
