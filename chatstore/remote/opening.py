"""What both faces do before they ask a server, and what they make of its answer."""

from __future__ import annotations

from chatstore import growing_requests
from chatstore.cursor import NOW
from chatstore.live.store_subscription import Wanted as StoreWanted
from chatstore.live.subscription import Wanted
from chatstore.model import Block
from chatstore.operations.appending import Append, NewBlock
from chatstore.operations.transaction import ContextRef
from chatstore.remote import requesting
from chatstore.remote.calls import Call
from chatstore.remote.core import RemoteCore
from chatstore.remote.growing import RemoteGrowing
from chatstore.writing import drafts
from chatstore.writing.drafts import BlockOptions, rules_of


def checked(context: ContextRef, type: str, role: str | None, options: BlockOptions, run_id: str | None) -> NewBlock:
    """The draft of a block that is opened."""
    [new] = growing_requests.stamped(drafts.check([drafts.draft(type, role, "", options)], rules_of(context)), run_id)
    return new


def growing(core: RemoteCore, context: ContextRef, block: Block) -> RemoteGrowing:
    """The text of a block that was opened; its lease is renewed from now on."""
    found = RemoteGrowing(context, block, core.flusher, core.text.most)
    core.flusher.join(found)
    core.flusher.start()
    return found


def append(core: RemoteCore, wanted: Append, run_id: str | None) -> Call[list[Block]]:
    """An append in the run that it is made in."""
    if wanted.expect is not None:
        core.check_cursor(wanted.expect, wanted.context.context_id)
    return requesting.append(wanted, run_id)


def check_start(core: RemoteCore, wanted: Wanted | StoreWanted) -> None:
    """Refuses a place to begin at that is no cursor."""
    if isinstance(wanted, StoreWanted):
        core.check_store_cursor(wanted.after)
    elif wanted.after is not None and wanted.after != NOW:
        core.check_cursor(wanted.after, wanted.context_id)
