"""A store over HTTP: `ChatStore("http://host:8000", token=…)` gives a RemoteChatStore, AsyncChatStore its twin.

Same names, parameters, models and errors as a store in this process; `chatstore serve` is at the other end. Needs the
extra `http`.
"""

from __future__ import annotations

from chatstore.errors import MissingExtra

try:
    from chatstore.remote.async_store import AsyncRemoteChatStore
    from chatstore.remote.store import RemoteChatStore
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] == "chatstore":
        raise
    raise MissingExtra(f"{_error.name} is not installed: pip install 'chatstore[http]'") from _error

__all__ = ["AsyncRemoteChatStore", "RemoteChatStore"]
