"""A real browser on the real app."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.app_process import RunningApp, running_app
from tests.browser.models import install_models
from tests.browser.visits import DESK, TIMEOUT_MS, end_answers, visit, visit_from
from tests.chromium import find_chromium, launch_arguments

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=launch_arguments()
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One app for all browser tests, with a few models installed."""
    folder = tmp_path_factory.mktemp("app")
    install_models(folder / "models")
    with running_app(folder) as app:
        yield app


@pytest.fixture
def open_page(browser: Browser, app: RunningApp) -> Iterator[Callable[[], Page]]:
    """Opens fresh visits, and ends every answer that they leave behind."""
    with ExitStack() as visits:
        yield lambda: visits.enter_context(visit(browser, app.url))
    end_answers(browser, app)


@pytest.fixture(scope="package")
def desk(browser: Browser) -> Iterator[BrowserContext]:
    """Keeps the page's scripts from test to test: two thirds of the time to open it."""
    with browser.new_context(viewport=DESK) as context:
        yield context


@pytest.fixture
def page(desk: BrowserContext, browser: Browser, app: RunningApp) -> Iterator[Page]:
    """A visitor, whose answers are ended with the test."""
    with visit_from(desk, app.url) as page:
        yield page
    end_answers(browser, app)
