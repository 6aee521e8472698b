"""A file of conversations that is damaged or locked, as a person meets it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.app_process import running_app
from tests.browser.test_attachments import AttachingPage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the file of conversations is damaged."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chats.sqlite3").write_bytes(b"my chats " * 1_000)
    return tmp_path


@pytest.fixture
def chat(browser: Browser, folder: Path) -> Iterator[AttachingPage]:
    with running_app(folder) as app:
        page = browser.new_page()
        page.goto(app.url)
        page.wait_for_selector("#model-status .ready")
        yield AttachingPage(page)
        page.close()


def test_damage_is_told_a_lock_loses_nothing_and_uploads_do_not_stay(
    chat: AttachingPage, folder: Path
) -> None:
    (aside,) = (folder / "data").glob("chats.sqlite3.broken-*")
    assert aside.read_bytes() == b"my chats " * 1_000
    notice = chat.page.locator("#chat-list [role=alert]")
    expect(notice).to_contain_text(f"damaged. They are kept as {aside.name}; a new list was begun")
    note = folder / "note.txt"
    note.write_text("A note that stays here.")
    chat.attach(note)
    expect(chat.chips).to_have_count(1)
    uploads = folder / "data" / "cache" / "uploads"
    assert uploads.is_dir() and uploads.stat().st_mode & 0o077 == 0
    assert [one for one in uploads.rglob("*") if one.is_file() and one.stat().st_size] == []
    other = sqlite3.connect(folder / "data" / "chats.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    chat.ask("What is a token?")
    expect(chat.toast).to_contain_text("Another program keeps the file locked")
    expect(chat.box).to_have_value("What is a token?")
    expect(chat.chips).to_have_count(1)
    other.execute("ROLLBACK")
    other.close()
    chat.box.press("Enter")
    chat.wait_for_answers(1)
    expect(chat.files).to_have_count(1)
