"""A file of conversations that is damaged, locked, full or newer loses nothing."""

import sqlite3
from pathlib import Path

import pytest

from engine.chats import Chats, schema
from engine.errors import ChatsUnavailable
from tests.engine.chatting import Opening, exchange, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


def filled(path: Path) -> bytes:
    chats = Chats(path)
    for n in range(50):
        exchange(chats, f"question {n} " * 40, "answer " * 200)
    chats.close()
    return path.read_bytes()


@pytest.mark.parametrize("damage", ("not a database", "torn", "zeroed", "truncated"))
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(
    path: Path, damage: str, opening: Opening
) -> None:
    raw = filled(path)
    middle = len(raw) // 2
    broken = {
        "not a database": b"hello " * 5_000,
        "torn": raw[:4096] + b"\xff" * 8_192 + raw[12_288:],
        "zeroed": raw[:middle] + bytes(len(raw) - middle),
        "truncated": raw[: middle // 4096 * 4096],
    }[damage]
    path.write_bytes(broken)
    chats = opening(path)
    (aside,) = path.parent.glob("chats.sqlite3.broken-*")
    assert aside.read_bytes() == broken
    assert aside.name in chats.problem
    mine = exchange(chats, "new", "one")
    chats.close()
    assert said(opening(path), mine.chat_id) == ["new", "one"]


def test_a_file_of_a_newer_pomona_is_left_untouched(path: Path, opening: Opening) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    chats = opening(path)
    assert "newer Pomona" in chats.problem
    assert chats.list() == ()
    mine = exchange(chats, "hello there", "hi")
    assert said(chats, mine.chat_id) == ["hello there", "hi"]
    chats.close()
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_still_lets_people_chat(
    tmp_path: Path, opening: Opening
) -> None:
    chats = opening(tmp_path / "gone" / "chats.sqlite3")
    assert "not saved" in chats.problem
    assert said(chats, exchange(chats, "a", "b").chat_id) == ["a", "b"]


def test_a_file_that_others_lock_is_a_sentence_and_nothing_is_half_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, opening: Opening
) -> None:
    monkeypatch.setattr(schema, "LOCK_WAIT_S", 0.1)
    chats = opening(path)
    first = exchange(chats, "apple", "red")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ChatsUnavailable, match="could not be saved") as failed:
        chats.add(first.chat_id, first.revision, first.message_id, "user", "more")
    assert "locked" in failed.value.hint
    assert said(chats, first.chat_id) == ["apple", "red"]
    other.execute("ROLLBACK")
    other.close()
    chats.add(first.chat_id, first.revision, first.message_id, "user", "more")
    assert said(chats, first.chat_id) == ["apple", "red", "more"]


def test_a_full_disk_is_a_sentence_and_what_was_there_stays(path: Path, opening: Opening) -> None:
    chats = opening(path)
    first = exchange(chats, "apple", "red")
    (pages,) = chats._file.connection.execute("PRAGMA page_count").fetchone()
    chats._file.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ChatsUnavailable) as failed:
        chats.add(first.chat_id, first.revision, first.message_id, "user", "long " * 50_000)
    assert "disk is full" in failed.value.hint
    assert said(chats, first.chat_id) == ["apple", "red"]
    chats._file.connection.execute("PRAGMA max_page_count = 1000000")
    chats.add(first.chat_id, first.revision, first.message_id, "user", "long " * 50_000)
    assert len(chats.read(first.chat_id).messages) == 3
