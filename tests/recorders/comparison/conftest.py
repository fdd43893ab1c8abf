"""These tests run in an environment of their own, made from requirements.txt by `.ci/recorders`."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("dbos", "durable-streams", "google-adk", "langchain-community", "langgraph", "openai-agents", "redis")

try:
    for package in PACKAGES:
        version(package)
except PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
