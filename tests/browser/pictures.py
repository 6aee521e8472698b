"""Take the README's pictures anew: ``python -m tests.browser.pictures``."""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.app_process import ROOT, running_app
from tests.browser.chat_page import ChatPage
from tests.chromium import find_chromium, launch_arguments

PICTURES = ROOT / "assets" / "pictures"
_QUESTIONS = ("How do I download a model?", "What does quantisation mean?")
_SHOTS = {
    "chat-light": (1440, 900, "light"),
    "chat-dark": (1440, 900, "dark"),
    "chat-phone": (390, 844, "light"),
    "settings-light": (1440, 900, "light"),
    "discover-light": (1440, 900, "light"),
    "discover-dark": (1440, 900, "dark"),
    "discover-phone": (390, 844, "light"),
}


def main() -> None:
    """Start the app, ask the Guide, and save a picture per shot."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder)) as app:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), args=launch_arguments()
            )
            for name in _SHOTS:
                _take(browser, app.url, name)
            browser.close()


def _take(browser: Browser, url: str, name: str) -> None:
    width, height, scheme = _SHOTS[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#model-status .ready")
    if name.startswith("discover"):
        _show_discover(page, with_details=width > 1000)
    else:
        _show_chat(page, with_settings=name.startswith("settings"))
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")
    context.close()


def _show_chat(page: Page, with_settings: bool) -> None:
    chat = ChatPage(page)
    for count, question in enumerate(_QUESTIONS, start=1):
        chat.ask(question)
        chat.wait_for_answers(count)
    if with_settings:
        page.locator("#settings-button").click()
        page.locator("#settings").wait_for()


def _show_discover(page: Page, with_details: bool) -> None:
    page.get_by_role("tab", name="Discover").click()
    page.locator("#models [role=gridcell]").first.wait_for()
    page.wait_for_timeout(1500)
    if with_details:
        page.locator("#models [role=gridcell]").first.click()
        page.locator("#facts h3").wait_for()
        page.wait_for_timeout(1500)


if __name__ == "__main__":
    main()
