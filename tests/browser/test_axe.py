"""axe-core finds nothing serious in Compare, for guests, at signing in, and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_process import RunningApp
from tests.browser.axe import grave_findings
from tests.browser.manage_page import DiscoverPage, ManagePage
from tests.browser.models import SMALL_CONTEXT
from tests.browser.test_compare import ComparePage
from tests.browser.visits import PHONE, visit
from tests.ui.strangers import shared_app

SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder: Path = tmp_path_factory.mktemp("shared")
    with shared_app(folder) as app:
        yield app


@pytest.fixture(params=SCHEMES)
def phone(request: pytest.FixtureRequest, browser: Browser, app: RunningApp) -> Iterator[Page]:
    looks = {"viewport": PHONE, "color_scheme": request.param, "reduced_motion": "reduce"}
    with visit(browser, app.url, **looks) as page:
        yield page


@pytest.mark.parametrize("scheme", SCHEMES)
def test_compare_and_presets(browser: Browser, app: RunningApp, scheme: str) -> None:
    with visit(browser, app.url, color_scheme=scheme, reduced_motion="reduce") as page:
        chat = ComparePage(page)
        page.locator("#settings-button").click()
        page.locator("#presets button").first.click()
        expect(page.locator("#preset-save")).to_be_visible()
        chat.compare_with(SMALL_CONTEXT)
        assert grave_findings(page) == []
        page.locator("#preset input").click()
        expect(page.get_by_role("option", name="No preset")).to_be_visible()
        assert grave_findings(page) == []
        page.keyboard.press("Escape")
        chat.ask("What is a token?")
        expect(chat.column_stats).to_have_count(2)
        assert grave_findings(page) == []


def test_every_tab_on_a_phone(phone: Page) -> None:
    chat, discover, manage = ComparePage(phone), DiscoverPage(phone), ManagePage(phone)
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    assert grave_findings(phone) == []
    phone.locator("#chats-button").click()
    expect(phone.locator("#chat-search")).to_be_visible()
    assert grave_findings(phone) == []
    phone.locator("#chats-button").click()
    phone.locator("#settings-button").click()
    expect(phone.locator("#temperature")).to_be_visible()
    assert grave_findings(phone) == []
    discover.open()
    phone.locator("#models [role=gridcell]").first.click()
    expect(phone.locator("#detail-head h3")).to_be_visible()
    assert grave_findings(phone) == []
    manage.open()
    manage.choose(SMALL_CONTEXT)
    expect(phone.locator("#m-chat")).to_be_visible()
    assert grave_findings(phone) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", (390, 1440))
def test_the_guests_page_and_signing_in(
    browser: Browser, shared: RunningApp, scheme: str, width: int
) -> None:
    looks = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with visit(browser, shared.url, "#message textarea", **looks) as page:
        assert grave_findings(page) == []
        chat = ComparePage(page)
        chat.ask("What is a token?")
        chat.wait_for_answers(1)
        assert grave_findings(page) == []
        page.get_by_role("link", name="Owner? Sign in").click()
        page.locator("#password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert grave_findings(page) == []
