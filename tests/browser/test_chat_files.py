"""Conversations leave the page as files and come in again, in a real browser."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_chats import ChatsPage


class FilesPage(ChatsPage):
    """The list of chats with its files."""

    def save(self, kind: str, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.get_by_label(f"Save as {kind}").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def bring(self, path: Path) -> None:
        self.page.locator("#chats input[type=file]").set_input_files(path)


@pytest.fixture
def chat(page: Page) -> FilesPage:
    return FilesPage(page)


def test_a_chat_leaves_as_markdown_html_and_json_and_the_json_comes_in_again(
    chat: FilesPage, tmp_path: Path
) -> None:
    chat.ask("What is a pademelon?")
    chat.wait_for_answers(1)
    answer = chat.answers.inner_text()
    markdown = chat.save("Markdown", tmp_path)
    assert markdown.name == "What is a pademelon.md"
    assert "## You\n\nWhat is a pademelon?" in markdown.read_text(encoding="utf-8")
    html = chat.save("HTML", tmp_path)
    saved = chat.save("JSON", tmp_path)
    chat.press("Delete")
    expect(chat.questions).to_have_count(0)
    chat.bring(saved)
    expect(chat.questions).to_have_text("What is a pademelon?")
    expect(chat.answers).to_have_text(answer)
    expect(chat.entry("pademelon")).to_have_count(1)
    chat.ask("Tell me more")
    chat.wait_for_answers(2)
    chat.page.goto(html.as_uri())
    expect(chat.page.locator("main")).to_contain_text("What is a pademelon?")


def test_messages_as_openai_has_them_come_in(chat: FilesPage, tmp_path: Path) -> None:
    said = ("user", "What is a <b>kowari</b>?"), ("assistant", "A marsupial.")
    path = tmp_path / "messages.json"
    path.write_text(json.dumps([{"role": role, "content": text} for role, text in said]))
    chat.bring(path)
    expect(chat.toast).to_contain_text("The chat was imported")
    expect(chat.answers).to_have_text("A marsupial.")
    expect(chat.entry("<b>kowari</b>")).to_have_count(1)


def test_files_that_are_cut_off_foreign_or_huge_say_so_and_change_nothing(
    chat: FilesPage, tmp_path: Path
) -> None:
    chat.ask("What is a ningaui?")
    chat.wait_for_answers(1)
    raw = chat.save("JSON", tmp_path).read_bytes()
    files = {
        "cut.json": (raw[: len(raw) // 2], "a part of it is missing"),
        "foreign.json": (b'{"recipes": ["<b>soup</b>"]}', "holds no chat that Pomona knows"),
        "picture.json": (b"\x89PNG\r\n\x1a\n\xff\xfe", "holds no text"),
    }
    for name, (content, words) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        chat.bring(path)
        expect(chat.toast.filter(has_text=words)).to_be_visible()
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(60_000_000)
    chat.bring(huge)
    expect(chat.toast.filter(has_text="has 60 MB; an import may have 50 MB")).to_be_visible()
    expect(chat.questions).to_have_text("What is a ningaui?")
    expect(chat.entry("ningaui")).to_have_count(1)
