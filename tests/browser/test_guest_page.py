"""A shared Pomona in two browsers: a guest's, and the owner's who signs in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_process import RunningApp
from tests.browser.chat_page import ChatPage
from tests.browser.visits import PHONE, visit
from tests.ui.strangers import PASSWORD, shared_app


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder: Path = tmp_path_factory.mktemp("shared")
    with shared_app(folder) as app:
        yield app


@pytest.fixture
def guest(browser: Browser, shared: RunningApp) -> Iterator[Page]:
    """A stranger with a phone."""
    with visit(browser, shared.url, "#message textarea", viewport=PHONE) as page:
        yield page


def test_a_guest_asks_again_walks_between_answers_and_begins_anew(guest: Page) -> None:
    chat = ChatPage(guest)
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    chat.retry()
    expect(guest.locator("#log")).to_contain_text("2 of 2")
    chat.wait_for_answers(1)
    guest.locator("#log .stats a").filter(has_text="‹").click()
    expect(guest.locator("#log")).to_contain_text("1 of 2")
    guest.reload()
    expect(chat.questions).to_have_text("What is a token?")
    guest.locator("#new-chat").click()
    expect(chat.questions).to_have_count(0)
    assert guest.evaluate("document.documentElement.scrollWidth") <= 390
    expect(guest.get_by_role("tab")).to_have_count(0)


def test_the_owner_signs_in_sees_everything_and_signs_out(guest: Page) -> None:
    guest.get_by_role("link", name="Owner? Sign in").click()
    guest.locator("#password").fill("wrong")
    guest.get_by_role("button", name="Sign in").click()
    expect(guest.get_by_role("alert")).to_have_text("That is not the owner's password.")
    guest.locator("#password").fill(PASSWORD)
    guest.get_by_role("button", name="Sign in").click()
    guest.get_by_role("tab", name="Manage").click()
    expect(guest.locator("#sharing")).to_contain_text("Guests chat at this address")
    guest.get_by_role("link", name="Sign out").click()
    guest.get_by_role("button", name="Sign out").click()
    guest.wait_for_selector("#guest-top")
    expect(guest.get_by_role("tab")).to_have_count(0)
