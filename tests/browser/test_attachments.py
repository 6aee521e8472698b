"""Files that go with a message, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.models import SMALL_CONTEXT
from tests.engine.documents import locked_pdf_bytes, pdf_bytes


class AttachingPage(ChatPage):
    """The Chat tab with files."""

    def attach(self, *files: Path) -> None:
        self.page.locator("#composer-row input[type=file]").set_input_files(list(files))

    @property
    def chips(self) -> Locator:
        return self.page.locator("#attached .files li:not(.busy)")

    @property
    def files(self) -> Locator:
        return self.page.locator("#log .files a")


@pytest.fixture
def chat(page: Page) -> AttachingPage:
    return AttachingPage(page)


def put(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def test_files_go_with_the_message_and_stay_when_it_is_edited(
    chat: AttachingPage, tmp_path: Path
) -> None:
    notes = put(tmp_path, "notes.md", b"Quokkas live on Rottnest Island. " * 9)
    chat.attach(notes, put(tmp_path, "paper.pdf", pdf_bytes(["A page of the paper"])))
    expect(chat.chips).to_have_count(2)
    expect(chat.chips.first).to_contain_text("notes.md about")
    chat.page.get_by_label("Remove paper.pdf").click()
    expect(chat.chips).to_have_count(1)
    chat.ask("What is this?")
    expect(chat.chips).to_have_count(0)
    chat.wait_for_answers(1)
    assert int(chat.stats.inner_text().split(" prompt")[0].split()[-1]) > 80
    expect(chat.files).to_have_count(1)
    chat.files.click()
    expect(chat.page.locator("#log code")).to_contain_text("Quokkas live")
    chat.files.click()
    expect(chat.page.locator("#log code")).to_have_count(0)
    row = chat.page.locator("#log .user-row").last
    row.hover()
    row.get_by_label("Edit").click()
    chat.page.locator("#log textarea").fill("And this?")
    chat.page.locator("#log").get_by_label("Submit").click()
    expect(chat.page.locator("#log")).to_contain_text("2 of 2")
    expect(chat.files).to_contain_text("notes.md")


def test_a_warning_comes_before_a_message_does_not_fit_and_nothing_is_lost(
    chat: AttachingPage, tmp_path: Path
) -> None:
    chat.attach(put(tmp_path, "long.txt", b"word " * 2_000))
    warning = chat.page.locator("#attached .warning")
    expect(warning).to_contain_text("does not read files")
    chat.choose_model(SMALL_CONTEXT)
    expect(warning).to_contain_text(re.compile(r"This will not fit: (about )?[\d,]+ tokens.* 128"))
    chat.ask("Sum it up")
    expect(chat.toast).to_contain_text("at most 128")
    expect(chat.box).to_have_value("Sum it up")
    expect(chat.chips).to_have_count(1)
    chat.page.get_by_label("Remove long.txt").click()
    expect(chat.page.locator("#attached")).not_to_be_visible()


def test_a_file_that_cannot_be_read_says_why_and_the_others_stay(
    chat: AttachingPage, tmp_path: Path
) -> None:
    chat.type("My question")
    chat.attach(
        put(tmp_path, "good.txt", b"fine"),
        put(tmp_path, "locked.pdf", locked_pdf_bytes("hidden", "secret")),
        put(tmp_path, "b<b onclick=x>.txt", b"\0\1\2"),
    )
    expect(chat.toast.filter(has_text="locked with a password")).to_be_visible()
    expect(chat.toast.filter(has_text="holds no text")).to_be_visible()
    expect(chat.page.locator(".toast-body b[onclick]")).to_have_count(0)
    expect(chat.chips).to_have_count(1)
    expect(chat.box).to_have_value("My question")


def test_a_file_of_fifty_megabytes_is_refused_with_a_sentence_and_the_others_stay(
    chat: AttachingPage, tmp_path: Path
) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    chat.attach(path, put(tmp_path, "small.txt", b"fine"))
    expect(chat.toast).to_contain_text("“huge.txt” has 50 MB; a file may have 20 MB")
    expect(chat.chips).to_have_count(1)


def test_a_file_dropped_on_the_chat_is_attached(chat: AttachingPage) -> None:
    dropped = chat.page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(['a,b'], 'dropped.csv'));
          return data;
        }"""
    )
    chat.page.dispatch_event("#log", "drop", {"dataTransfer": dropped})
    expect(chat.chips).to_contain_text("dropped.csv")
