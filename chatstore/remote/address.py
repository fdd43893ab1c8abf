"""The address of a server: `http://host:8000`, or with a prefix where it is mounted in another application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from chatstore.errors import InvalidInput

_LONGEST_TOKEN: Final = 8_192


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers; `text` ends without a slash."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def is_encrypted(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.text.startswith("https:")


def parse(location: str) -> Address:
    """The address that a location is. Raises InvalidInput, with nothing in it that may be secret."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not location.isascii() or not location.isprintable() or " " in location:
        raise InvalidInput("the server's address is no URL like http://host:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidInput("the server's address takes no user, no query and no fragment; give its token as token=")
    named = f"[{host}]" if ":" in host else host
    return Address(f"{parts.scheme}://{named}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}")


def headers(token: str | None) -> dict[str, str]:
    """What every request says."""
    common = {"Content-Type": "application/json", "User-Agent": "chatstore", "Accept-Encoding": "identity"}
    if token is None:
        return common
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > _LONGEST_TOKEN:
        raise InvalidInput("token= takes a token as `chatstore token` prints it")
    return common | {"Authorization": f"Bearer {token.strip()}"}
