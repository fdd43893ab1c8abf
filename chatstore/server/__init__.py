"""A store over HTTP: `create_app(store)` is an application, `StoreRouter` its endpoints for one's own.

    app = FastAPI(lifespan=…)
    app.include_router(StoreRouter(Service(store), authorize=my_dependency), prefix="/chat")

Needs the extra `server`.
"""

from __future__ import annotations

from chatstore.errors import MissingExtra

try:
    from chatstore.server.access import Access
    from chatstore.server.app import create_app
    from chatstore.server.router import StoreRouter
    from chatstore.server.service import ServerLimits, Service
    from chatstore.server.tokens import TokenAuthority
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] == "chatstore":
        raise
    raise MissingExtra(f"{_error.name} is not installed: pip install 'chatstore[server]'") from _error

__all__ = ["Access", "ServerLimits", "Service", "StoreRouter", "TokenAuthority", "create_app"]
