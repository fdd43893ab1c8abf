"""An append-only chat-history file store with change subscriptions."""

from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.block_reader import AsyncBlockReader, BlockReader
from chatstore.block_writer import AsyncBlockWriter, BlockWriter
from chatstore.changes import BlockAdded, BlockClosed, BlockUpdated, Change, RunEnded, RunStarted, TextAppended
from chatstore.collecting import collect
from chatstore.cursor import Cursor
from chatstore.errors import (
    BlobNotFound,
    BlockEnded,
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
    RunCancelled,
    RunInterrupted,
    RunNotFound,
    RunOver,
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
from chatstore.formats.anthropic_prompt import AnthropicPrompt, to_anthropic
from chatstore.formats.openai_prompt import to_openai
from chatstore.history import History
from chatstore.kinds import Kind
from chatstore.live.store_subscription import AsyncStoreSubscription, StoreSubscription
from chatstore.live.subscription import AsyncSubscription, Subscription
from chatstore.model import Block, BlockDraft, Context, Part, Run, RunError, Tag
from chatstore.prompts import last_turns, within_tokens
from chatstore.runs import AsyncRunHandle, AsyncRunScope, RunHandle, RunScope
from chatstore.store import ChatStore

__version__ = "0.1.0"

__all__ = [
    "AnthropicPrompt",
    "AsyncBlockReader",
    "AsyncBlockWriter",
    "AsyncChatStore",
    "AsyncHistory",
    "AsyncRunHandle",
    "AsyncRunScope",
    "AsyncStoreSubscription",
    "AsyncSubscription",
    "BlobNotFound",
    "Block",
    "BlockAdded",
    "BlockClosed",
    "BlockDraft",
    "BlockEnded",
    "BlockNotFound",
    "BlockReader",
    "BlockUpdated",
    "BlockWriter",
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
    "Run",
    "RunCancelled",
    "RunEnded",
    "RunError",
    "RunHandle",
    "RunInterrupted",
    "RunNotFound",
    "RunOver",
    "RunScope",
    "RunStarted",
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
    "StoreSubscription",
    "Subscription",
    "Tag",
    "TextAppended",
    "UnknownKind",
    "UsageError",
    "WrongEventLoop",
    "collect",
    "last_turns",
    "to_anthropic",
    "to_openai",
    "within_tokens",
]
