"""Following what retention removes meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from chatstore import BlockAdded, BlockDraft, ChatStore, Retain
from chatstore.errors import CursorExpired
from chatstore.operations import log
from chatstore.operations.log import LogPage


def test_who_is_overtaken_by_retention_is_told_and_nobody_else_is_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    script = (
        "import sys\n"
        "from chatstore import BlockDraft, ChatStore, Retain\n"
        "with ChatStore(sys.argv[1], retain=Retain(blocks=1)) as store:\n"
        "    for name in ('a', 'b'):\n"
        "        store.history(name).append([BlockDraft(text=str(n)) for n in range(5 if name == 'b' else 40)])\n"
        "    store.prune()\n"
    )
    with ChatStore(path, wake="none") as store:
        for name in ("a", "b"):
            store.history(name).append_user_message("before")
        seen, expired = [], False
        with store.history("a").subscribe(after="now", timeout=3) as overtaken:
            subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
            try:
                seen += [change.index for change in overtaken if isinstance(change, BlockAdded)]
            except CursorExpired:
                expired = True
        assert seen == list(range(1, 1 + len(seen)))  # no gap, however far it came
        assert expired or len(seen) == 40
        assert [change.index for change in store.history("b").subscribe(follow=False)] == [5]


def test_news_that_retention_has_removed_are_not_passed_over(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "chat.db", retain=Retain(blocks=1)) as store:
        blocks = store.history("a").append([BlockDraft(text=str(number)) for number in range(40)])
        assert store.prune() == 39
        cursors = store._open().cursors
        assert store._read(lambda conn: log.news(conn, "a", cursors, after=1, limit=128)) == LogPage([], 1, 40)
        page = store._read(lambda conn: log.news(conn, "a", cursors, after=39, limit=128))
        assert [entry.block for entry in page.entries] == blocks[-1:]
