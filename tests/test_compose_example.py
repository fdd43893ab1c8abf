"""The example for Docker says the same as the page that shows it. It is read here, not run."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy.engine import make_url

ROOT = Path(__file__).parents[1]
EXAMPLE = (ROOT / "examples" / "compose.yaml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "postgres.md").read_text(encoding="utf-8")
LINE = re.compile(r"^(?P<indent> *)(?:- (?P<item>.+)|(?P<key>\w+):(?: (?P<value>.+))?)$")


def read(text: str) -> dict[str, str]:
    """What the file says, by path. Of YAML it uses lines of a key, with a value or with more lines below it."""
    found, path = {}, [(-1, "")]
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(^| )#.*$", "", line).rstrip()
        if not bare:
            continue
        parts = LINE.match(bare)
        assert parts is not None, f"line {number} is neither a key nor an item: {line}"
        indent = len(parts["indent"])
        while path[-1][0] >= indent:
            path.pop()
        assert (indent == 0 and len(path) == 1) or indent == max(path[-1][0], 0) + 2, f"line {number}: {line}"
        path.append((indent, parts["key"] or "item"))
        name = ".".join(key for _, key in path[1:])
        assert name not in found, f"line {number}: {name} is there twice"
        found[name] = (parts["item"] or parts["value"] or "").strip().strip('"')
    return found


SAYS = read(EXAMPLE)
OF_SERVER = {key.removeprefix("services.postgres."): value for key, value in SAYS.items()}


def test_it_is_a_server_with_a_volume_and_a_check_of_its_health() -> None:
    assert OF_SERVER["image"] == "postgres:18"
    volume, _, place = OF_SERVER["volumes.item"].partition(":")
    assert f"volumes.{volume}" in SAYS
    assert place == "/var/lib/postgresql"
    user, database = OF_SERVER["environment.POSTGRES_USER"], OF_SERVER["environment.POSTGRES_DB"]
    assert f"pg_isready -U {user} -d {database}" in OF_SERVER["healthcheck.test"]
    assert not re.search(r"/|\.(io|com|org)", OF_SERVER["image"]), "no registry is named"


def test_the_url_in_it_and_on_the_page_is_that_of_its_server() -> None:
    shown = set(re.findall(r"postgresql://[^\s\"`')]*@localhost[^\s\"`')]*", EXAMPLE + PAGE))
    assert len(shown) == 1, "one URL everywhere"
    [url] = map(make_url, shown)
    host, published, inside = OF_SERVER["ports.item"].split(":")
    assert (host, inside) == ("127.0.0.1", "5432")
    assert (url.username, url.password, url.database, str(url.port)) == (
        OF_SERVER["environment.POSTGRES_USER"],
        OF_SERVER["environment.POSTGRES_PASSWORD"],
        OF_SERVER["environment.POSTGRES_DB"],
        published,
    )


def test_the_page_shows_its_commands() -> None:
    commands = re.findall(r"^# \d\. ((?:docker|chatstore) .*)$", EXAMPLE, re.MULTILINE)
    assert len(commands) == 2
    assert all(f"`{command}`" in PAGE for command in commands)
    assert "`examples/compose.yaml`" in PAGE
