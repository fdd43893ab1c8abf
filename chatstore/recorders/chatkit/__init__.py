"""OpenAI ChatKit: its threads, their items and the attachments, kept in a store.

    server = MyChatKitServer(ChatKitStore(store, user=lambda request: {"user": request.user_id}))

A thread is a history of its user. Nothing in it is changed: an item that is saved again is a later version of the same
item, one that is deleted is marked, and what ChatKit reads respects both. A thread that is deleted is erased.
"""

from __future__ import annotations

from chatstore.recorders.chatkit.store import ChatKitStore

__all__ = ["ChatKitStore"]
