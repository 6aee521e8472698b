"""Take the README's pictures anew: ``python -m tests.browser.pictures [chat compare ...]``."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.app_process import ROOT, running_app
from tests.browser.chat_page import ChatPage
from tests.browser.manage_page import DiscoverPage, ManagePage
from tests.browser.test_compare import ComparePage
from tests.browser.visits import READY, visit
from tests.chromium import find_chromium, launch_arguments
from tests.loopback_hub import LoopbackHub
from tests.models import write_model, write_script
from tests.ui.strangers import shared_app

PICTURES = ROOT / "assets" / "pictures"
TIMEOUT_MS = 120_000
_QUESTIONS = ("How do I download a model?", "What does quantisation mean?")
_SHOTS = {
    "chat-light": (1440, 900, "light"),
    "chat-dark": (1440, 900, "dark"),
    "chat-phone": (390, 844, "light"),
    "settings-light": (1440, 900, "light"),
    "discover-light": (1440, 900, "light"),
    "discover-dark": (1440, 900, "dark"),
    "discover-phone": (390, 844, "light"),
    "compare-light": (1440, 900, "light"),
    "compare-phone": (390, 844, "dark"),
    "guest-light": (1440, 900, "light"),
    "guest-phone": (390, 844, "dark"),
    "sign-in-light": (1440, 900, "light"),
    "manage-light": (1440, 900, "light"),
    "manage-dark": (1440, 900, "dark"),
    "manage-phone": (390, 844, "dark"),
}
_INSTALLED = {"orchard/Pear-Instruct": 640, "orchard/Quince-mini": 256, "orchard/Plum-Chat": 448}
_COMPARED = "orchard/Quince-mini-4bit"
_SAYS = (
    "Quantisation", " keeps", " the", " numbers", " of", " a", " model", " with", " fewer", " bits",
    " each.", " Four", " instead", " of sixteen", " make", " it", " about", " a quarter", " as",
    " large,", " so", " that", " it fits", " into", " less", " memory", " and answers", " faster;",
    " a little", " of its", " accuracy", " is", " lost", " on the", " way.",
)  # fmt: skip
_COMING = {"orchard/Apple-Instruct": 190_000_000, "orchard/Cherry-Chat": 120_000_000}
_FACTS = {
    "config": {"model_type": "llama", "tokenizer_config": {"chat_template": "x"}},
    "safetensors": {"parameters": {"F32": 40_000_000}, "total": 40_000_000},
}


def main(wanted: Sequence[str]) -> None:
    """Start the apps, ask, compare, download, and save a picture per shot that is wanted."""
    PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=TIMEOUT_MS)
    shots = [name for name in _SHOTS if not wanted or name.startswith(tuple(wanted))]
    ours = [name for name in shots if not name.startswith(("manage", "guest", "sign-in"))]
    guests = [name for name in shots if name.startswith(("guest", "sign-in"))]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as place:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=launch_arguments()
        )
        folder = Path(place)
        if ours:
            write_script(folder / "ours" / "models" / _COMPARED, _SAYS)
            with running_app(folder / "ours") as app:
                for name in ours:
                    _take(browser, app.url, name)
        if guests:
            with shared_app(folder / "shared") as app:
                for name in guests:
                    _take(browser, app.url, name, "#message textarea")
        if "manage-light" in shots:
            with LoopbackHub() as hub:
                _take_manage(browser, folder / "manage", hub)
        browser.close()


def _take_manage(browser: Browser, folder: Path, hub: LoopbackHub) -> None:
    """With three models installed and two on their way, slowly."""
    for name, hidden in _INSTALLED.items():
        write_model(folder / "models" / name, layers=4, hidden=hidden, ends=True)
    files = write_model(folder / "hub")
    bodies = {path.name: path.read_bytes() for path in files.iterdir()}
    for name, size_bytes in _COMING.items():
        hub.add_model(name, {**bodies, "model.safetensors": bytes(size_bytes)}, **_FACTS)
        hub.fault(f"/{name}", times=None, drip_s=0.05, drip_bytes=size_bytes // 9_000)
    environment = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
    with running_app(folder, environment=environment) as app:
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(app.url)
        page.wait_for_selector("#model-status .ready")
        discover, manage = DiscoverPage(page), ManagePage(page)
        discover.open()
        for name in _COMING:
            discover.choose(name)
            discover.download.click()
            page.locator("#d-manage").wait_for()
        manage.open()
        manage.choose("orchard/Pear-Instruct")
        page.locator("#m-chat").click()
        page.locator("#model-status .ready").wait_for()
        chat = ChatPage(page)
        chat.ask("Hello")
        chat.wait_for_answers(1)
        page.wait_for_timeout(8_000)
        page.close()
        for name in _SHOTS:
            if name.startswith("manage"):
                _take(browser, app.url, name)


def _take(browser: Browser, url: str, name: str, ready: str = READY) -> None:
    width, height, scheme = _SHOTS[name]
    looks = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    with visit(browser, url, ready, **looks) as page:
        page.set_default_timeout(TIMEOUT_MS)
        _show(page, name, is_wide=width > 1000)
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / f"{name}.png")


def _show(page: Page, name: str, is_wide: bool) -> None:
    match name.split("-")[0]:
        case "manage":
            _show_manage(page, with_actions=is_wide)
        case "discover":
            _show_discover(page, with_details=is_wide)
        case "compare":
            _show_compare(page)
        case "sign":
            page.get_by_role("link", name="Owner? Sign in").click()
            page.locator("#password").wait_for()
        case shown:
            _show_chat(page, with_settings=shown == "settings")


def _show_compare(page: Page) -> None:
    chat = ComparePage(page)
    chat.compare_with(_COMPARED)
    chat.ask(_QUESTIONS[1])
    expect(chat.column_stats).to_have_count(2)


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
        page.locator("#detail-head h3").wait_for()
        page.wait_for_timeout(1500)


def _show_manage(page: Page, with_actions: bool) -> None:
    manage = ManagePage(page)
    manage.open()
    manage.row("orchard/Pear-Instruct").wait_for()
    if with_actions:
        manage.choose("orchard/Plum-Chat")
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    main(sys.argv[1:])
