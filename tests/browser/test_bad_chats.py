"""A file of conversations that is damaged, locked, newer or on a full disk, for a person."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.chats import Chats
from tests.app_process import RunningApp, running_app
from tests.browser.test_attachments import AttachingPage
from tests.browser.visits import visit

DAMAGED = b"my chats " * 1_000


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app whose file of conversations was damaged when it started."""
    folder: Path = tmp_path_factory.mktemp("damaged")
    (folder / "data").mkdir()
    (folder / "data" / "chats.sqlite3").write_bytes(DAMAGED)
    with running_app(folder) as app:
        yield app


@pytest.fixture
def chat(page: Page) -> AttachingPage:
    return AttachingPage(page)


def notice(chat: AttachingPage) -> str:
    return chat.page.locator("#chat-list [role=alert]").inner_text()


def test_damage_is_told_and_what_was_there_is_kept_aside(
    chat: AttachingPage, app: RunningApp
) -> None:
    (aside,) = app.data_dir.glob("chats.sqlite3.broken-*")
    assert aside.read_bytes() == DAMAGED
    assert f"damaged. They are kept as {aside.name}; a new list was begun" in notice(chat)


def test_a_lock_loses_neither_the_message_nor_its_file_and_uploads_do_not_stay(
    chat: AttachingPage, app: RunningApp, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("A note that stays here.")
    chat.attach(note)
    expect(chat.chips).to_have_count(1)
    uploads = app.data_dir / "cache" / "uploads"
    assert uploads.is_dir() and uploads.stat().st_mode & 0o077 == 0
    assert [one for one in uploads.rglob("*") if one.is_file() and one.stat().st_size] == []
    with closing(sqlite3.connect(app.data_dir / "chats.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        chat.ask("What is a token?")
        expect(chat.toast).to_contain_text("Another program keeps the file locked")
        expect(chat.box).to_have_value("What is a token?")
        expect(chat.chips).to_have_count(1)
        other.execute("ROLLBACK")
    chat.box.press("Enter")
    chat.wait_for_answers(1)
    expect(chat.files).to_have_count(1)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of another process")
def test_a_disk_that_takes_no_more_loses_nothing(chat: AttachingPage, app: RunningApp) -> None:
    chat.ask("What is a potoroo?")
    chat.wait_for_answers(1)
    answer = chat.answers.inner_text()
    written = (app.data_dir / "chats.sqlite3-wal").stat().st_size
    limits = {"full": (written, resource.RLIM_INFINITY), "free": (resource.RLIM_INFINITY,) * 2}
    resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, limits["full"])
    try:
        chat.ask("And a bettong?")
        expect(chat.toast).to_contain_text("could not be saved")
        expect(chat.toast).to_contain_text("it may be full")
        expect(chat.box).to_have_value("And a bettong?")
    finally:
        resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, limits["free"])
    chat.box.press("Enter")
    chat.wait_for_answers(2)
    chat.page.reload()
    chat.page.locator("#chat-list [data-act=open]").filter(has_text="potoroo").click()
    expect(chat.questions).to_have_text(["What is a potoroo?", "And a bettong?"])
    expect(chat.answers.first).to_have_text(answer)


def test_chats_of_a_newer_pomona_stay_untouched_and_people_can_still_chat(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "chats.sqlite3"
    file.parent.mkdir()
    Chats(file).close()
    with closing(sqlite3.connect(file, isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version = 1000")
    before = file.read_bytes()
    with running_app(tmp_path) as app, visit(browser, app.url) as page:
        chat = AttachingPage(page)
        assert "written by a newer Pomona and are left untouched" in notice(chat)
        chat.ask("What is a token?")
        chat.wait_for_answers(1)
        assert "Chats of today are not saved" in notice(chat)
    assert file.read_bytes() == before
