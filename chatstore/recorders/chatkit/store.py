"""The store of a ChatKit server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from json import dumps
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.errors import BlocksRemoved, ContextErased, InvalidInput, KeyConflict, MissingExtra, UsageError
from chatstore.model import Block, BlockDraft, Context, Tag
from chatstore.recorders.chatkit.items import (
    CHANGED,
    ITEM,
    REMOVED,
    first_version,
    is_changed,
    is_removed,
    is_there,
    later_version,
    outcome,
)
from chatstore.recorders.shared.stores import async_store

try:
    from chatkit import types  # type: ignore[import-not-found, unused-ignore]
    from chatkit.store import AttachmentStore, NotFoundError, Store  # type: ignore[import-not-found, unused-ignore]
except ImportError as _missing:
    raise MissingExtra(f"{_missing.name} is not installed: pip install 'chatstore[chatkit]'") from _missing

TContext = TypeVar("TContext")

THREAD: Final = "chatkit_thread"
"""The context key of a thread's id."""
OWNER: Final = "chatkit_owner"
"""The context key that all threads of a user have, and no other context: a digest of the user's own keys."""
FILES: Final = "chatkit_files"
"""The same of the history that has the user's attachments."""

_thread: Final[TypeAdapter[Any]] = TypeAdapter(types.ThreadMetadata)
_item: Final[TypeAdapter[Any]] = TypeAdapter(types.ThreadItem)
_attachment: Final[TypeAdapter[Any]] = TypeAdapter(types.Attachment)
_LEAST: Final = 20


class _NoUser(InvalidInput):
    """The application does not say who asks: not that what is asked for is not there."""


class ChatKitStore(Store[TContext], AttachmentStore[TContext]):  # type: ignore[misc, unused-ignore]
    """ChatKit's `Store`, and its `AttachmentStore` as far as that is metadata: give it as both.

    `user`: of a request's context, the context keys of who asks, such as `{"user": "u1"}`; without one, which everybody
    would share, InvalidInput is raised. What is another's does not exist. `upload_url`: of an attachment's id and the
    context, where its bytes are to be sent; needed by `create_attachment` alone.
    """

    def __init__(
        self,
        store: AsyncChatStore,
        user: Callable[[TContext], Mapping[str, str]],
        *,
        upload_url: Callable[[str, TContext], str] | None = None,
    ) -> None:
        self._store = async_store(store, "ChatKitStore")
        self._user = user
        self._upload_url = upload_url

    def history(self, thread_id: str, context: TContext) -> AsyncHistory:
        """The history of a thread."""
        keys = self._keys(context)
        return self._store.history({**keys, OWNER: _digest(keys), THREAD: thread_id})

    def _keys(self, context: TContext) -> dict[str, str]:
        keys: Any = self._user(context)
        if (
            not isinstance(keys, Mapping)
            or not keys
            or not all(isinstance(one, str) for pair in keys.items() for one in pair)
        ):
            raise _NoUser(
                'user= of a ChatKitStore gives the context keys of who asks, such as {"user": "u1"}: '
                f"strings by their names, one at least; it gave {type(keys).__name__ if keys else keys!r}"
            )
        return dict(keys)

    async def load_thread(self, thread_id: str, context: TContext) -> Any:
        """A thread's metadata. Raises NotFoundError, as all that is asked of a thread that is not there does."""
        async with _found(f"thread {thread_id}", reading=True):
            return await self._metadata(self.history(thread_id, context))

    async def save_thread(self, thread: Any, context: TContext) -> None:
        """Stores a thread's metadata, and makes the thread where it is new."""
        # A Thread is one with the first of its items, which have been stored by themselves.
        data = thread.model_dump(mode="json", exclude={"items"})
        draft = BlockDraft(type="thread", text=thread.title or "", data={"thread": data}, internal=True)
        async with _found(f"thread {thread.id}"):
            await self.history(thread.id, context).append(draft)

    async def load_threads(self, limit: int, after: str | None, order: str, context: TContext) -> Any:
        """A page of the user's threads, in the order they were made or in the reverse of it.

        A thread that was deleted since it was listed still has its place behind which a page begins.
        """
        _check_page(limit, order)
        async with _found(f"thread {after}", reading=True):
            behind = None if after is None else self.history(after, context).context_id
        threads: list[Any] = []
        while len(threads) <= limit:
            page = await self._contexts(context, behind, limit + 1 - len(threads), order)
            for one in page:
                with suppress(NotFoundError, ContextErased):  # meanwhile
                    threads.append(await self._metadata(self._store.history(one.context_id)))
            if not page:
                break
            behind = page[-1].context_id
        return _page(threads, limit)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Erases a thread, for good; its id is not used again. One that is not there is not missed."""
        with suppress(NotFoundError):
            async with _found(f"thread {thread_id}", reading=True):
                await self.history(thread_id, context).erase()

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Any:
        """A page of a thread's items, in the order they came or in the reverse of it."""
        _check_page(limit, order)
        async with _found(f"thread {thread_id}", reading=True):
            history = self.history(thread_id, context)
            await self._known(history, thread_id)
            behind = None if after is None else (await self._first(history, after)).cursor
            found: list[Block] = []
            while len(found) <= limit:
                page = await _blocks(history, behind, max(limit + 1, _LEAST), order)
                found += [block for block in page if is_there(block)]
                if not page:
                    break
                behind = page[-1].cursor
            return _page([await self._newest(history, block) for block in found[: limit + 1]], limit)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> Any:
        """An item, as it was saved last."""
        async with _found(f"item {item_id}", reading=True):
            history = self.history(thread_id, context)
            first = await self._first(history, item_id)
            if is_removed(first):
                raise NotFoundError(f"item {item_id} not found")
            return await self._newest(history, first)

    async def add_thread_item(self, thread_id: str, item: Any, context: TContext) -> None:
        """Stores an item behind all others; one that was removed comes back at its place.

        The same once more is stored once. Raises KeyConflict for another item of this id: `save_item` replaces.
        """
        _check_item(item, thread_id)
        history, data = self.history(thread_id, context), item.model_dump(mode="json")
        async with _found(f"thread {thread_id}"):
            first = await self._add(history, thread_id, data)
            if first is None:
                return
            if is_removed(first):
                await self._save(history, first, data)
            elif (await self._newest(history, first)).model_dump(mode="json") != data:
                raise KeyConflict(f"thread {thread_id} has another item {item.id}; save_item replaces it")

    async def save_item(self, thread_id: str, item: Any, context: TContext) -> None:
        """Stores an item anew, at its place, or behind all others where it is new."""
        _check_item(item, thread_id)
        history, data = self.history(thread_id, context), item.model_dump(mode="json")
        async with _found(f"thread {thread_id}"):
            first: Block | None
            try:
                first = await self._first(history, item.id)
            except NotFoundError:
                first = await self._add(history, thread_id, data)
            if first is not None:
                await self._save(history, first, data)

    async def _add(self, history: AsyncHistory, thread_id: str, data: dict[str, Any]) -> Block | None:
        """Stores an item behind all others; the block of the one that came by this id before, unless it is the same."""
        await self._known(history, thread_id)
        first = first_version(data)
        drafts = [first]
        if (result := outcome(data)) is not None:
            drafts.append(result.model_copy(update={"parent": first}))
        try:
            stored = await history.append(drafts, key=f"{ITEM}-{data['id']}")
        except KeyConflict:
            return await self._first(history, data["id"])
        except BlocksRemoved:
            return None  # it came, and was not retained
        return stored[0] if is_removed(stored[0]) else None

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Marks an item as removed. One that is not there is not missed."""
        with suppress(NotFoundError):
            async with _found(f"item {item_id}", reading=True):
                history = self.history(thread_id, context)
                await _mark(history, await self._first(history, item_id), REMOVED, True)

    async def save_attachment(self, attachment: Any, context: TContext) -> None:
        """Stores what is known of an attachment; its bytes are the application's affair."""
        await self._append_attachment(attachment.id, {ITEM: attachment.model_dump(mode="json")}, context)

    async def load_attachment(self, attachment_id: str, context: TContext) -> Any:
        """What is known of an attachment. Raises NotFoundError."""
        async with _found(f"attachment {attachment_id}", reading=True):
            found = await self._files(context).get_messages(tags=[(ITEM, attachment_id)], last=1)
        if not found or ITEM not in found[0].data:
            raise NotFoundError(f"attachment {attachment_id} not found")
        return _attachment.validate_python(found[0].data[ITEM])

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Marks an attachment as removed. One that is not there is not missed."""
        with suppress(NotFoundError):
            await self.load_attachment(attachment_id, context)
            await self._append_attachment(attachment_id, {"removed": True}, context)

    async def create_attachment(self, input: Any, context: TContext) -> Any:
        """An attachment whose bytes are sent to `upload_url`; an image is shown from there too."""
        if self._upload_url is None:
            raise UsageError("attachments are made with ChatKitStore(…, upload_url=…), or by a store of your own")
        id = self.generate_attachment_id(input.mime_type, context)
        url = self._upload_url(id, context)
        upload = {"url": url, "method": "PUT"}
        known = {"id": id, "name": input.name, "mime_type": input.mime_type, "upload_descriptor": upload}
        if input.mime_type.startswith("image/"):
            return _attachment.validate_python({**known, "type": "image", "preview_url": url})
        return _attachment.validate_python({**known, "type": "file"})

    def _files(self, context: TContext) -> AsyncHistory:
        keys = self._keys(context)
        return self._store.history({**keys, FILES: _digest(keys)})

    async def _append_attachment(self, id: str, data: dict[str, Any], context: TContext) -> None:
        tag = Tag(kind=ITEM, name=id)
        await self._files(context).append(BlockDraft(type="attachment", data=data, tags=[tag], internal=True))

    async def _contexts(self, context: TContext, after: str | None, limit: int, order: str) -> list[Context]:
        keys = {OWNER: _digest(self._keys(context))}
        async with _found("the thread that the page is to begin behind was", reading=True):
            return await self._store.contexts(keys=keys, after=after, limit=limit, newest_first=order == "desc")

    async def _metadata(self, history: AsyncHistory) -> Any:
        found = await history.get_messages(types=["thread"], last=1)
        if not found:
            raise NotFoundError("thread not found")
        return _thread.validate_python(found[0].data["thread"])

    async def _known(self, history: AsyncHistory, thread_id: str) -> None:
        if await history.info() is None:
            raise NotFoundError(f"thread {thread_id} not found")

    async def _first(self, history: AsyncHistory, item_id: str) -> Block:
        """The block that an item came with."""
        found = await history.get_messages(tags=[(ITEM, item_id)], limit=1)
        if not found:
            raise NotFoundError(f"item {item_id} not found")
        return found[0]

    async def _newest(self, history: AsyncHistory, first: Block) -> Any:
        """An item in its last version."""
        if is_changed(first):
            [first] = await history.get_messages(tags=[(ITEM, first.data[ITEM]["id"])], last=1)
        return _item.validate_python(first.data[ITEM])

    async def _save(self, history: AsyncHistory, first: Block, data: dict[str, Any]) -> None:
        if not is_changed(first):
            await _mark(history, first, CHANGED, True)  # before there is a version that is to be looked for
        results = await history.get_messages(types=["function_result"], tags=[(ITEM, data["id"])], last=1)
        has_result = bool(results) or outcome(first.data[ITEM]) is not None
        await history.append(later_version(data, first, has_result=has_result))
        if is_removed(first):
            await _mark(history, first, REMOVED, False)


async def _blocks(history: AsyncHistory, behind: str | None, count: int, order: str) -> list[Block]:
    """Some blocks of a thread. Those of items are picked out here: what looks for a tag reads all that have it."""
    if order == "desc":
        return (await history.get_messages(before=behind, last=count))[::-1]
    return await history.get_messages(after=behind, limit=count)


@asynccontextmanager
async def _found(what: str, *, reading: bool = False) -> AsyncIterator[None]:
    """What was deleted is not found; nor is what is looked for by an id that nothing can have."""
    try:
        yield
    except _NoUser:
        raise
    except (ContextErased, InvalidInput) as error:
        if reading or isinstance(error, ContextErased):
            raise NotFoundError(f"{what} not found") from error
        raise


async def _mark(history: AsyncHistory, block: Block, kind: tuple[str, str], value: bool) -> None:
    await history.tag(block, Tag(kind=kind[0], name=kind[1], value=value))


def _page(found: list[Any], limit: int) -> Any:
    data = found[:limit]
    more = bool(data) and len(found) > limit  # behind a page of nothing there is no place to go on from
    return types.Page(data=data, has_more=more, after=data[-1].id if more else None)


def _check_page(limit: Any, order: Any) -> None:
    if not isinstance(limit, int) or limit < 0:
        raise InvalidInput(f"limit= is a number of items from 0 on, not {limit!r}")
    if order not in ("asc", "desc"):
        raise InvalidInput(f"order= is 'asc' or 'desc', not {order!r}")


def _check_item(item: Any, thread_id: str) -> None:
    if item.thread_id != thread_id:
        raise InvalidInput(f"item {item.id} is of thread {item.thread_id}, and is not stored in thread {thread_id}")


def _digest(keys: Mapping[str, str]) -> str:
    return blake2b(dumps(keys, sort_keys=True).encode(), digest_size=16).hexdigest()
