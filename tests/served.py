"""Stores behind a real server, on a thread of the tests' own process: what a store is opened with goes to its side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from chatstore import AsyncChatStore
from chatstore.server import Access, ServerLimits, Service, TokenAuthority, create_app
from chatstore.server.serving import listening

T = TypeVar("T")
SECRET = "a secret of the tests, and long enough"
LIMITS = ServerLimits(rate=1_000_000)


class Application:
    """The endpoints of one store, and later of another: to build them takes longer than most tests."""

    def __init__(self) -> None:
        self._authority: TokenAuthority | None = None
        self.app = create_app(AsyncChatStore("nowhere.db"), authorize=self.authorize, page=False)

    async def authorize(self, connection: HTTPConnection) -> Access:
        """As the application of one store does it."""
        assert self._authority is not None
        return await self._authority(connection)

    def token(self, access: Access) -> str:
        """A token of the store that is served."""
        assert self._authority is not None
        return self._authority.make(access)

    async def begin(self, store: AsyncChatStore, limits: ServerLimits) -> AsyncExitStack:
        """Serves an open store, which is closed with what is returned."""
        self._authority = TokenAuthority(store, SECRET)
        service: Service = self.app.state.service
        service.__init__(store, limits)  # type: ignore[misc]
        life = AsyncExitStack()
        life.push_async_callback(store.close)
        await life.enter_async_context(self.app.router.lifespan_context(self.app))
        return life


@dataclass(eq=False)
class Served:
    """One store, at a path of the server."""

    location: str
    options: dict[str, Any]
    url: str
    token: str
    app: Application
    life: AsyncExitStack
    mount: Mount
    clients: list[Any] = field(default_factory=list)


class Host:
    """A server with as many stores as the tests open."""

    def __init__(self) -> None:
        self._app = Starlette()
        self._listening = listening("127.0.0.1", 0)
        self._server = uvicorn.Server(uvicorn.Config(self._app, log_config=None, access_log=False, ws="none"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="served", daemon=True)
        self._served: list[Served] = []
        self._idle: list[Application] = []
        self._names = count()
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve(sockets=[self._listening]))

    def close(self) -> None:
        """Ends it."""
        self._server.should_exit = True
        self._thread.join(30)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What some work on the server's loop gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """The same, awaited."""
        return await asyncio.wait_for(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop)), 60)

    async def _open(self, location: str, options: dict[str, Any], limits: ServerLimits) -> Served:
        store = AsyncChatStore(location, **options)
        await store.__aenter__()
        app = self._idle.pop() if self._idle else Application()
        life = await app.begin(store, limits)
        mount = Mount(f"/{next(self._names)}", app=app.app)
        self._app.router.routes.append(mount)
        access = Access("tests", write=True, admin=True, expires_at=time.time() + 3_600)
        url = f"http://127.0.0.1:{self._listening.getsockname()[1]}{mount.path}"
        served = Served(location, options, url, app.token(access), app, life, mount)
        self._served.append(served)
        return served

    async def _close(self, served: Served) -> None:
        self._served.remove(served)
        self._app.router.routes.remove(served.mount)
        await served.life.aclose()
        self._idle.append(served.app)

    @asynccontextmanager
    async def serving(self, location: str, limits: ServerLimits = LIMITS, **options: Any) -> AsyncIterator[Served]:
        """A store that is served for a while."""
        served = await self.do(self._open(location, options, limits))
        try:
            yield served
        finally:
            await self.do(self._close(served))

    @asynccontextmanager
    async def client(
        self, open_store: Callable[..., Any], is_closed: Callable[[Any], bool], location: str, options: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """A client of a store, which is served with these options for as long as it has clients."""
        for other in [*self._served]:
            if other.location == location and other.options != options and all(map(is_closed, other.clients)):
                await self.do(self._close(other))
        served = next((one for one in self._served if (one.location, one.options) == (location, options)), None)
        if served is None:
            served = await self.do(self._open(location, options, LIMITS))
        client = open_store(served.url, token=served.token)
        served.clients.append(client)
        try:
            async with client as opened:
                yield opened
        finally:
            served.clients.remove(client)
            if not served.clients and served in self._served:
                await self.do(self._close(served))


host: list[Host] = []


def the_host() -> Host:
    """The server of this test process."""
    if not host:
        host.append(Host())
    return host[0]
