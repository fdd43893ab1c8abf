"""`chatstore erase`."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from data_support import report
from typer.testing import Result

from chatstore import ChatStore, ContextErased
from chatstore.operations import erasing

Run = Callable[..., Result]


def test_a_context_is_gone_and_the_others_stay(store: ChatStore, run: Run) -> None:
    for name in ("a", "b"):
        store.history(name).append_user_message("text")
    erased = run("erase", "a", "--yes")
    assert (erased.exit_code, erased.stdout) == (0, "a erased: 1 blocks\n")
    assert [context.context_id for context in store.contexts()] == ["b"]
    with pytest.raises(ContextErased):
        store.history("a").get_messages()


def test_it_is_named_by_its_keys_too(store: ChatStore, run: Run) -> None:
    store.history({"user": "u1"}).append_user_message("text")
    assert run("erase", "--key", "user=u1", "--yes").exit_code == 0
    assert store.contexts() == []


def test_what_repairs_left_beside_the_store_is_named(store: ChatStore, run: Run) -> None:
    store.history("a").append_user_message("secret")
    store.history("b").append_user_message("text")
    with closing(sqlite3.connect(store.path)) as conn:
        conn.execute("UPDATE blocks SET text = 'other'")
        conn.commit()
    run("check", "--repair")
    before, damaged = sorted({*store.path.parent.glob("*.db.*")})
    said = run("erase", "a", "--yes").stderr.splitlines()
    assert [line.split(" was left by a repair")[0] for line in said] == [str(before), str(damaged)]


def test_without_somebody_to_ask_nothing_is_erased(store: ChatStore, run: Run) -> None:
    store.history("a").append_user_message("text")
    refused = run("erase", "a")
    assert refused.exit_code == 1
    assert "--yes" in refused.output
    assert store.history("a").count() == 1


def test_what_is_not_there_is_said(store: ChatStore, run: Run) -> None:
    refused = run("erase", "nobody", "--yes")
    assert refused.exit_code == 1
    assert "nobody" in refused.output


def test_what_another_began_to_erase_is_erased_to_the_end(store: ChatStore, run: Run, path: Path) -> None:
    history = store.history("a")
    history.append_user_message("a secret")
    store._open().committer.run(partial(erasing.erase, context=history._context))
    erased = run("erase", "a", "--yes")
    assert (erased.exit_code, erased.stdout) == (0, "a was erased before; nothing of it is left\n")
    assert store.check().problems == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_byte_of_500_secrets_is_left_in_any_file(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    secrets = [f"secret-{number:04d}-{'x' * chance.randrange(60)}" for number in range(500)]
    left: list[str] = []
    with ChatStore(path) as store:
        for place, secret in enumerate(secrets):
            kept, erased = store.history(f"kept {place % 7}"), store.history({"user": f"{secret}-user"})
            kept.append_user_message(f"kept {place}")
            erased.append_user_message(secret, author=f"{secret}-author", data={"in": secret}, key=f"{secret}-key")
            with erased.run(), erased.open_message() as block:
                block.write(f"{secret}-piece ")
                block.flush()
                block.write(f"{secret}-more" + "x" * chance.choice([0, 0, 5_000]))
            left.append(secret)
            while chance.random() < 0.5 and left:  # between the others' writes, which move it about
                store.history({"user": f"{left.pop(chance.randrange(len(left)))}-user"}).erase()
        for secret in left:
            store.history({"user": f"{secret}-user"}).erase()
        found = [
            (file.name, secret)
            for file in path.parent.iterdir()
            for content in [file.read_bytes()]  # by the test: the store's own locks are guarded
            for secret in secrets
            if secret.encode() in content
        ]
        report(f"secrets: {len(secrets)} erased, {len(found)} found in {len([*path.parent.iterdir()])} files")
        assert found == []
        assert sum(store.history(f"kept {place}").count() for place in range(7)) == 500
