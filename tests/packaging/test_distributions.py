"""The built distributions: what is in them, and that they work where there is no checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGE = (".ci", "chatstore", "examples", "migrations", "tests")
SOURCES = (*PACKAGE, "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "pyproject.toml")

CREATE_AND_MIGRATE = """
import sqlite3, sys
from chatstore import ChatStore
from chatstore.databases.sqlite_file import APPLICATION_ID
from chatstore.migrate import migrate, migrations_directory
from chatstore.schema import SCHEMA_VERSION

with ChatStore("new.db") as store:
    store.history("a").append_user_message("Good morning")
with sqlite3.connect("old.db") as conn:
    conn.execute(f"PRAGMA application_id={APPLICATION_ID}")
conn.close()
assert migrate("old.db") == (0, SCHEMA_VERSION)
ChatStore("old.db", create=False).close()
print(migrations_directory())
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, and the wheel that was built from it."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT, cwd=directory)
    return directory


def test_the_wheel_has_the_package_and_the_migrations_and_nothing_else(distributions: Path) -> None:
    expected = {f"chatstore/{name}" for name in files(ROOT / "chatstore")}
    expected |= {f"chatstore/_migrations/{name}" for name in files(ROOT / "migrations")}
    with ZipFile(wheel(distributions)) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "chatstore/py.typed" in names


def test_the_wheel_has_the_licence_and_the_command(distributions: Path) -> None:
    with ZipFile(wheel(distributions)) as archive:
        contents = {name.partition(".dist-info/")[2]: archive.read(name).decode() for name in archive.namelist()}
    assert contents["licenses/LICENSE"] == (ROOT / "LICENSE").read_text()
    assert "chatstore = chatstore.cli:main" in contents["entry_points.txt"]


def test_the_source_distribution_is_complete(distributions: Path) -> None:
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {str(Path(source, name)) for source in SOURCES for name in files(ROOT / source)}
    assert expected - names == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_installed_wheel_works_where_there_is_no_checkout(distributions: Path, tmp_path: Path) -> None:
    python = environment(tmp_path, wheel(distributions))
    assert "tail" in run(python.parent / "chatstore", "--help", cwd=tmp_path)
    directory = run(python, "-c", CREATE_AND_MIGRATE, cwd=tmp_path).strip()
    assert Path(directory).parts[-3:] == ("site-packages", "chatstore", "_migrations")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_editable_install_uses_the_migrations_of_its_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    copy_sources(checkout)
    python = environment(tmp_path, "-e", checkout)
    assert "tail" in run(python.parent / "chatstore", "--help", cwd=tmp_path)
    directory = run(python, "-c", CREATE_AND_MIGRATE, cwd=tmp_path).strip()
    assert Path(directory) == checkout / "migrations"


def files(directory: Path) -> set[str]:
    """The files below a directory, or the one that it is; without what Python and tools leave there."""
    if directory.is_file():
        return {""}
    paths = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory)) for path in paths if path.suffix != ".db"}


def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("*.whl")
    return path


def environment(directory: Path, *requirement: str | Path) -> Path:
    """The Python of a fresh virtual environment with this installed."""
    run(sys.executable, "-m", "venv", directory / "venv", cwd=directory)
    python = directory / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", *requirement, cwd=directory)
    return python


def copy_sources(checkout: Path) -> None:
    checkout.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints. It sees nothing of the checkout or of the environment that the tests run in."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "CHATSTORE_STORE")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
