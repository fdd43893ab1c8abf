"""These tests run in an environment of their own, made from requirements.txt by `.ci/recorders`."""

import warnings
from importlib.metadata import PackageNotFoundError, version

try:
    version("openai-chatkit")
except PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
else:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it deprecates classes of its own, which it uses
        import chatkit.server  # noqa: F401
