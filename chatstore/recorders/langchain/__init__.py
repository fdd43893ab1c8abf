"""What agents, graphs and models of LangChain and LangGraph do, as they tell it to callbacks.

    handler = HistoryCallbackHandler(store.history("support-42"))
    agent.invoke({"messages": [("user", "What is the weather?")]}, {"callbacks": [handler]})

`AsyncHistoryCallbackHandler` is for `ainvoke` and `astream`, with a history of an AsyncChatStore. Needs the extra
`langchain`.
"""

from __future__ import annotations

from chatstore.errors import MissingExtra

try:
    from chatstore.recorders.langchain.async_handler import AsyncHistoryCallbackHandler
    from chatstore.recorders.langchain.handler import HistoryCallbackHandler
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] == "chatstore":
        raise
    raise MissingExtra(f"{_error.name} is not installed: pip install 'chatstore[langchain]'") from _error

__all__ = ["AsyncHistoryCallbackHandler", "HistoryCallbackHandler"]
