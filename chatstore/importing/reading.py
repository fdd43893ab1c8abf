"""The reader of each format, loaded with its first use."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from chatstore.importing.detecting import Format
from chatstore.importing.entries import Reader

DATABASES: Final = frozenset({Format.openai_agents, Format.langchain})
"""Those that are read in their place."""


def reader_of(format: Format) -> Reader:
    """What reads files of a format; not that of OpenAI chat messages, which `chatstore.formats` reads."""
    module = import_module(f"chatstore.importing.{format.value.replace('-', '_')}")
    return cast("Reader", module.read)
