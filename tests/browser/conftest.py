"""A real browser on the real app."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.app_process import RunningApp, running_app
from tests.browser.models import install_models
from tests.chromium import find_chromium, launch_arguments

TIMEOUT_MS = 30_000
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
def page(browser: Browser, app: RunningApp) -> Iterator[Page]:
    """A fresh visitor, whose page must not have logged an error when the test ends."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app.url)
    page.wait_for_selector("#model-status .ready")
    yield page
    context.close()
    assert errors == []
