"""Where a store can be: any path that the file system takes, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatstore import (
    AsyncChatStore,
    ChatStore,
    InvalidInput,
    OpenError,
    StoreNotFound,
)


def test_a_store_that_is_not_there_is_not_made_unasked(path: Path) -> None:
    with pytest.raises(StoreNotFound):
        ChatStore(path, create=False)
    assert [*path.parent.iterdir()] == []


def test_a_missing_parent_directory_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="directory"):
        ChatStore(tmp_path / "no" / "such" / "chat.db")
    assert [*tmp_path.iterdir()] == []


def test_a_file_as_parent_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OpenError):
        ChatStore(tmp_path / "file" / "chat.db")


@pytest.mark.parametrize(
    "name",
    [
        "two words.db",
        "a?b.db",
        "a#b.db",
        "100%.db",
        "%20.db",
        "new\nline.db",
        "ünï💬.db",
        "a'b\"c.db",
        "-rf",
        "file:chat.db",
        "a:b@c.db",
        "~",
        "no.suffix.",
        "chat.db?mode=memory",
        "x" * 200 + ".db",
        b"\xff\xfe.db".decode(errors="surrogateescape"),
    ],
    ids=ascii,
)
def test_a_file_of_any_name_is_made_there_and_found_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with ChatStore(path) as store:
        block = store.history("c").append_user_message("x")
        assert store.path == path
    assert path.is_file()
    with ChatStore(str(path), create=False) as store:
        assert store.history("c").get_messages() == [block]
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.stat().st_mode & 0o777 == 0o600


def test_relative_paths_links_urls_and_slashes_name_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "chat.db"
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "directory").symlink_to(tmp_path)
    with ChatStore("chat.db") as store:
        block = store.history("c").append_user_message("x")
        for same in (
            "./chat.db",
            path,
            "link.db",
            "directory/chat.db",
            "chat.db/",
            f"sqlite:///{path}",
            "sqlite:///chat.db",
        ):
            with ChatStore(same, create=False) as again:
                assert again.path == path
                assert again.identity == store.identity
                assert again.history("c").get_messages() == [block]


def test_a_second_name_of_the_file_is_refused_until_it_is_gone(path: Path) -> None:
    with ChatStore(path) as store:
        block = store.history("c").append_user_message("x")
    second = path.with_name("second.db")
    second.hardlink_to(path)
    for name in (path, second):
        with pytest.raises(OpenError, match="hard link"):
            ChatStore(name)
    second.unlink()
    with ChatStore(path) as store:
        assert store.history("c").get_messages() == [block]


def test_a_name_left_by_a_process_that_was_killed_while_it_made_the_store_is_none(path: Path) -> None:
    ChatStore(path).close()
    left = path.with_name(f".{path.name}-abcdefgh")
    left.mkdir()
    (left / "new.db").hardlink_to(path)
    with ChatStore(path) as store:
        store.history("c").append_user_message("x")


def test_a_link_to_nothing_makes_the_store_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "chat.db")
    with ChatStore(tmp_path / "link.db") as store:
        store.history("c").append_user_message("x")
    assert (tmp_path / "chat.db").is_file()
    assert (tmp_path / "link.db").is_symlink()


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").symlink_to(tmp_path / "b.db")
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")
    with pytest.raises(OpenError):
        ChatStore(tmp_path / "a.db")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.db", "b.db"]


@pytest.mark.parametrize(
    "location",
    [
        "",
        ":memory:",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///chat.db?mode=ro",
        "ftp://example.org/chat.db",
        "nonsense://x",
        "sqlite://host:port/x",
        "a\0b",
        "\ud800",
        "~no such user/chat.db",
        "file:chat.db",
        "file:/tmp/chat.db?mode=ro",
        pytest.param(r"C:\x\chat.db", marks=pytest.mark.skipif(os.name == "nt", reason="a path there")),
        pytest.param("c:/x/chat.db", marks=pytest.mark.skipif(os.name == "nt", reason="a path there")),
        b"chat.db",
        5,
        None,
    ],
    ids=ascii,
)
def test_a_location_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: object) -> None:
    monkeypatch.chdir(tmp_path)
    for face in (ChatStore, AsyncChatStore):
        with pytest.raises(InvalidInput):
            face(location)  # type: ignore[arg-type]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("length", [252, 255, 256, 4096, 100_000])
def test_a_name_too_long_for_the_file_system_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises((OpenError, InvalidInput)):
        ChatStore(tmp_path / ("x" * length))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "options",
    [
        {"busy_timeout": -1},
        {"busy_timeout": float("nan")},
        {"busy_timeout": "soon"},
        {"busy_timeout": None},
        {"wake": "telepathy"},
        {"wake": None},
    ],
    ids=str,
)
def test_an_option_that_is_none_is_refused_before_anything_is_made(path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        ChatStore(path, **options)  # type: ignore[arg-type]
    assert [*path.parent.iterdir()] == []
