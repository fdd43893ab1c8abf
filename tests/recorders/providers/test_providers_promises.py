"""What every recorder promises, of the streams of OpenAI's and Anthropic's packages, raw and of their helpers."""

from __future__ import annotations

import pytest
from recorder_promises import RecorderPromises, StreamPromises, Subject

pytestmark = pytest.mark.slow


class TestChat(RecorderPromises):
    subject = Subject("sdk_events:whole_chat", begun=3, partial="Hel", ends=10)


@pytest.mark.slow
class TestChatHelper(StreamPromises):
    subject = Subject("sdk_events:whole_chat_helper", begun=4, partial="Hel", ends=21)


@pytest.mark.slow
class TestResponses(RecorderPromises):
    subject = Subject("sdk_events:whole_response", begun=10, partial="Hel")


@pytest.mark.slow
class TestResponsesHelper(StreamPromises):
    subject = Subject("sdk_events:whole_response_helper", begun=10, partial="Hel")


@pytest.mark.slow
class TestMessages(RecorderPromises):
    subject = Subject("sdk_events:whole_message", begun=7, partial="Hel")


@pytest.mark.slow
class TestMessagesHelper(StreamPromises):
    subject = Subject("sdk_events:whole_message_helper", begun=9, partial="Hel")
