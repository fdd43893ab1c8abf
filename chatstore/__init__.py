"""An append-only chat-history file store with change subscriptions."""

from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.changes import BlockAdded, BlockUpdated, Change
from chatstore.cursor import Cursor
from chatstore.errors import (
    BlobNotFound,
    BlockNotFound,
    ChatStoreError,
    Conflict,
    ForkedStore,
    InvalidCursor,
    InvalidData,
    InvalidInput,
    InvalidText,
    KeyConflict,
    LimitExceeded,
    NotAStore,
    OpenError,
    SchemaTooNew,
    SchemaTooOld,
    StorageError,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreFull,
    StoreNotFound,
    StoreReadOnly,
    StoreReplaced,
    UnknownKind,
    UsageError,
    WrongEventLoop,
)
from chatstore.history import History
from chatstore.kinds import Kind
from chatstore.live.subscription import AsyncSubscription, Subscription
from chatstore.model import Block, BlockDraft, Context, Part, Tag
from chatstore.store import ChatStore

__version__ = "0.1.0"

__all__ = [
    "AsyncChatStore",
    "AsyncHistory",
    "AsyncSubscription",
    "BlobNotFound",
    "Block",
    "BlockAdded",
    "BlockDraft",
    "BlockNotFound",
    "BlockUpdated",
    "Change",
    "ChatStore",
    "ChatStoreError",
    "Conflict",
    "Context",
    "Cursor",
    "ForkedStore",
    "History",
    "InvalidCursor",
    "InvalidData",
    "InvalidInput",
    "InvalidText",
    "KeyConflict",
    "Kind",
    "LimitExceeded",
    "NotAStore",
    "OpenError",
    "Part",
    "SchemaTooNew",
    "SchemaTooOld",
    "StorageError",
    "StoreBusy",
    "StoreClosed",
    "StoreDamaged",
    "StoreFull",
    "StoreNotFound",
    "StoreReadOnly",
    "StoreReplaced",
    "Subscription",
    "Tag",
    "UnknownKind",
    "UsageError",
    "WrongEventLoop",
]
