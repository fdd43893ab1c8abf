"""Changes as the events of other protocols: pure, without I/O, a clock or a server.

An encoder takes what a subscription yields and gives events as dicts, whatever the cursor the subscription starts from.
"""

from chatstore.encoders.agui import AguiEncoder, AguiEvent
from chatstore.encoders.agui_ids import Place, place_of
from chatstore.encoders.ai_sdk import AiSdkEncoder
from chatstore.encoders.ai_sdk_messages import ui_messages
from chatstore.encoders.durable_streams import context_message, run_message
from chatstore.encoders.openai_chunks import OpenAIChunkEncoder
from chatstore.encoders.ragna_lines import RagnaLinesEncoder

__all__ = [
    "AguiEncoder",
    "AguiEvent",
    "AiSdkEncoder",
    "OpenAIChunkEncoder",
    "Place",
    "RagnaLinesEncoder",
    "context_message",
    "place_of",
    "run_message",
    "ui_messages",
]
