"""An append-only chat-history file store with change subscriptions."""

from chatstore.addresses import open_by as _open_by
from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.block_reader import AsyncBlockReader, BlockReader
from chatstore.block_writer import AsyncBlockWriter, BlockWriter
from chatstore.changes import (
    BlockAdded,
    BlockClosed,
    BlockUpdated,
    Change,
    HistoryErased,
    RunEnded,
    RunStarted,
    TextAppended,
)
from chatstore.collecting import collect
from chatstore.cursor import Cursor
from chatstore.databases.backup import BackupReport
from chatstore.errors import (
    BlobNotFound,
    BlockEnded,
    BlockNotFound,
    BlocksRemoved,
    ChatStoreError,
    Conflict,
    ContextErased,
    CursorExpired,
    ForkedStore,
    InvalidCursor,
    InvalidData,
    InvalidInput,
    InvalidText,
    KeyConflict,
    LimitExceeded,
    MissingExtra,
    NotAStore,
    OpenError,
    RedactionFailed,
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
    StoreUnavailable,
    UnknownKind,
    UnsafeFileSystem,
    UsageError,
    WrongEventLoop,
)
from chatstore.formats.anthropic_prompt import AnthropicPrompt, to_anthropic
from chatstore.formats.openai_prompt import to_openai
from chatstore.history import History
from chatstore.kinds import Kind
from chatstore.known_secrets import redact_secrets
from chatstore.limits import Limits
from chatstore.live.store_subscription import AsyncStoreSubscription, StoreSubscription
from chatstore.live.subscription import AsyncSubscription, Subscription
from chatstore.model import Block, BlockDraft, Context, Part, Retain, Run, RunError, Tag
from chatstore.operations.integrity.checking import CheckReport, Problem
from chatstore.prompts import last_turns, within_tokens
from chatstore.redaction import Redactor
from chatstore.run_handles import AsyncRunHandle, RunHandle
from chatstore.runs import AsyncRunScope, RunScope
from chatstore.store import ChatStore

__version__ = "0.1.0"


def _remote_stores() -> tuple[type[ChatStore], type[AsyncChatStore]]:
    from chatstore.remote import AsyncRemoteChatStore, RemoteChatStore

    return RemoteChatStore, AsyncRemoteChatStore


_open_by(_remote_stores)

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
    "BackupReport",
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
    "BlocksRemoved",
    "Change",
    "ChatStore",
    "ChatStoreError",
    "CheckReport",
    "Conflict",
    "Context",
    "ContextErased",
    "Cursor",
    "CursorExpired",
    "ForkedStore",
    "History",
    "HistoryErased",
    "InvalidCursor",
    "InvalidData",
    "InvalidInput",
    "InvalidText",
    "KeyConflict",
    "Kind",
    "LimitExceeded",
    "Limits",
    "MissingExtra",
    "NotAStore",
    "OpenError",
    "Part",
    "Problem",
    "RedactionFailed",
    "Redactor",
    "Retain",
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
    "StoreUnavailable",
    "Subscription",
    "Tag",
    "TextAppended",
    "UnknownKind",
    "UnsafeFileSystem",
    "UsageError",
    "WrongEventLoop",
    "collect",
    "last_turns",
    "redact_secrets",
    "to_anthropic",
    "to_openai",
    "within_tokens",
]
