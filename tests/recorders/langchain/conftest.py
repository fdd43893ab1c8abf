"""These tests run in an environment of their own, made from requirements.txt by `.ci/recorders`."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("langchain")  # its core alone comes with other packages
except PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
else:
    from pathlib import Path

    import pytest
    from scripted_chat import FACES, Recorded

    @pytest.fixture(params=FACES)
    def recorded(request: pytest.FixtureRequest, path: Path) -> Recorded:
        """A history to record into, of a ChatStore and of an AsyncChatStore."""
        return Recorded(str(request.param), path)
