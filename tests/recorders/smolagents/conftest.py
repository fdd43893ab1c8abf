"""These tests run in an environment of their own, made from requirements.txt by `.ci/recorders`."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("smolagents")
except PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
