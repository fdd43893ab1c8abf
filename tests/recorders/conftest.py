"""The promises of all recorders explain themselves where they fail."""

import pytest

pytest.register_assert_rewrite("recorder_plays", "recorder_promises", "stored_streams")
