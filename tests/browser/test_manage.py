"""Downloading, using and deleting models in a real browser, with a loopback Hub."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_process import RunningApp, running_app
from tests.browser.chat_page import ChatPage
from tests.browser.manage_page import DiscoverPage, ManagePage
from tests.browser.visits import visit
from tests.loopback_hub import LoopbackHub
from tests.models import write_model

PEAR, SLOW, OTHER, GATED, BASE = "pear/Pear", "slow/Slow", "slow/Other", "shut/Gated", "old/Base"
FIG = "fig/Fig"
READY, LOADED, DOOMED, DAMAGED = "tiny/ready", "tiny/loaded", "tiny/doomed", "tiny/damaged"
WEIGHTS = {"safetensors": {"parameters": {"F32": 40_000}, "total": 40_000}}
CHATS = {
    "config": {"model_type": "llama", "tokenizer_config": {"chat_template": "x"}},
    **WEIGHTS,
}


@dataclass
class Place:
    """A running app, where its models are, and its Hub."""

    app: RunningApp
    models: Path
    hub: LoopbackHub


def bodies(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, hubs = tmp_path_factory.mktemp("manage"), tmp_path_factory.mktemp("hub")
    models = folder / "models"
    for name in (READY, LOADED, DOOMED, DAMAGED):
        write_model(models / name, ends=True)
    (models / DAMAGED / "model.safetensors").unlink()
    card = {"README.md": b"# A card"}
    with LoopbackHub() as hub:
        hub.add_model(PEAR, bodies(write_model(hubs / "pear", ends=True)) | card, **CHATS)
        large = bodies(write_model(hubs / "slow", layers=4, hidden=128)) | card
        hub.add_model(FIG, bodies(write_model(hubs / "fig", seed=3)) | card, **CHATS)
        hub.add_model(SLOW, large, **CHATS)
        hub.add_model(OTHER, large, **CHATS)
        hub.add_model(GATED, large, gated="manual", **CHATS)
        base = bodies(write_model(hubs / "base", template=None))
        hub.add_model(BASE, base, config={"model_type": "llama", "tokenizer_config": {}}, **WEIGHTS)
        for name in (SLOW, OTHER):
            hub.fault(f"/{name}", times=None, drip_s=0.1, drip_bytes=2_000)
        environment = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        with running_app(folder, environment=environment) as app:
            yield Place(app, models, hub)


@pytest.fixture
def page(browser: Browser, place: Place) -> Iterator[Page]:
    with visit(browser, place.app.url, viewport={"width": 1440, "height": 1000}) as page:
        yield page


@pytest.fixture
def manage(page: Page) -> ManagePage:
    return ManagePage(page)


@pytest.fixture
def discover(page: Page) -> DiscoverPage:
    return DiscoverPage(page)


def start(page: Page, repo_id: str) -> None:
    """Download a model from Discover."""
    discover = DiscoverPage(page)
    discover.open()
    discover.choose(repo_id)
    discover.download.click()
    expect(discover.download).to_have_text(re.compile("Downloading|Waiting"))


def end(manage: ManagePage, repo_id: str) -> None:
    """Cancel a download and take it off the list."""
    manage.press(repo_id, "Cancel")
    expect(manage.job(repo_id)).to_contain_text("cancelled")
    manage.press(repo_id, "Remove")
    expect(manage.job(repo_id)).to_have_count(0)


def test_a_model_is_searched_downloaded_loaded_and_chatted_with(
    page: Page, discover: DiscoverPage, manage: ManagePage, place: Place
) -> None:
    place.hub.fault(f"/{PEAR}", times=None, drip_s=0.05, drip_bytes=5_000)
    discover.open()
    discover.find("pear")
    expect(discover.source).to_contain_text("1 model ·")
    discover.choose(PEAR)
    expect(discover.download).to_have_text(re.compile(r"^\s*Download \d+ KB\s*$"))
    discover.download.click()
    expect(discover.progress.get_by_role("progressbar")).to_have_attribute(
        "aria-valuenow", re.compile(r"^[1-9]\d?$")
    )
    expect(discover.download).to_have_text("Installed")
    page.locator("#d-chat").click()
    chat = ChatPage(page)
    expect(chat.status).to_have_text("ready")
    expect(page.locator("#model input")).to_have_value(re.compile(PEAR))
    chat.ask("Hello")
    chat.wait_for_answers(1)
    manage.open()
    expect(manage.job(PEAR)).to_contain_text("done, ready to chat")
    manage.choose(PEAR)
    expect(manage.actions).to_contain_text("1 answer in all")
    assert (place.models / PEAR / "model.safetensors").exists()


def test_a_download_is_paused_resumed_and_cancelled_by_its_buttons(
    page: Page, manage: ManagePage, place: Place
) -> None:
    start(page, SLOW)
    page.locator("#d-manage").click()
    job = manage.job(SLOW)
    expect(job.get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", "0")
    manage.press(SLOW, "Pause")
    expect(job).to_contain_text("paused")
    paused_at = manage.percent(SLOW)
    assert 0 < paused_at < 100
    manage.press(SLOW, "Resume")
    expect(job).to_contain_text("downloading")
    expect(job.get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", str(paused_at))
    assert manage.percent(SLOW) > paused_at
    end(manage, SLOW)
    assert not (place.models / SLOW).exists()


def test_each_row_has_its_own_buttons_and_the_focus_stays(page: Page, manage: ManagePage) -> None:
    start(page, SLOW)
    start(page, OTHER)
    manage.open()
    expect(manage.job(OTHER)).to_contain_text("downloading")
    manage.press(OTHER, "Pause")
    expect(manage.job(OTHER)).to_contain_text("paused")
    expect(manage.job(SLOW)).to_contain_text("downloading")
    pause = manage.job(SLOW).get_by_role("button", name="Pause")
    pause.focus()
    before = manage.percent(SLOW)
    expect(manage.job(SLOW).get_by_role("progressbar")).not_to_have_attribute(
        "aria-valuenow", str(before)
    )
    expect(pause).to_be_focused()
    end(manage, OTHER)
    end(manage, SLOW)


def test_nothing_is_asked_of_the_server_when_nothing_moves(page: Page, manage: ManagePage) -> None:
    asked: list[str] = []
    manage.open()
    expect(manage.row(READY)).to_be_visible()
    page.wait_for_timeout(500)
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)
    assert asked == []


def test_a_tab_that_is_left_falls_silent(page: Page, manage: ManagePage) -> None:
    start(page, SLOW)
    manage.open()
    expect(manage.job(SLOW).get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", "0")
    page.get_by_role("tab", name="Chat").click()
    asked = ["before the tab was left"]
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(20):  # what was asked before may take a while; a timer asks each second
        asked.clear()
        page.wait_for_timeout(1500)
        if not asked:
            break
    assert asked == []
    manage.open()
    end(manage, SLOW)


def test_delete_asks_first_and_escape_keeps_the_model(
    page: Page, manage: ManagePage, place: Place
) -> None:
    manage.open()
    manage.choose(DOOMED)
    page.locator("#m-delete").click()
    expect(manage.dialog).to_have_attribute("role", "dialog")
    expect(manage.dialog).to_contain_text(f"Delete {DOOMED}?")
    expect(manage.dialog).to_contain_text("model.safetensors")
    expect(manage.dialog).to_contain_text(str(place.models / DOOMED))
    keep = manage.dialog.get_by_role("button", name="Keep it")
    expect(keep).to_be_focused()
    page.keyboard.press("Tab")
    expect(manage.dialog.get_by_role("button", name="Delete")).to_be_focused()
    page.keyboard.press("Tab")
    expect(keep).to_be_focused()
    page.keyboard.press("Escape")
    expect(manage.dialog).to_have_count(0)
    expect(page.locator("#m-delete")).to_be_focused()
    assert (place.models / DOOMED / "model.safetensors").exists()
    page.locator("#m-delete").click()
    manage.dialog.get_by_role("button", name=re.compile(r"^Delete \d")).click()
    expect(manage.row(DOOMED)).to_have_count(0)
    expect(manage.dialog).to_have_count(0)
    expect(manage.actions).to_have_count(0)
    assert not (place.models / DOOMED).exists()
    page.get_by_role("tab", name="Chat").click()
    page.locator("#model input").click()
    expect(page.get_by_role("option", name=READY)).to_be_visible()
    expect(page.get_by_role("option", name=DOOMED)).to_have_count(0)


def test_a_model_is_loaded_and_unloaded_and_its_memory_is_told(
    page: Page, manage: ManagePage
) -> None:
    manage.open()
    manage.choose(LOADED)
    page.locator("#m-load").click()
    expect(page.locator("#m-unload")).to_be_visible()
    expect(page.locator("#memory")).to_contain_text(LOADED)
    expect(page.locator("#m-delete")).to_be_disabled()
    expect(page.locator("#actions-note")).to_contain_text("unload it first")
    page.locator("#m-unload").click()
    expect(page.locator("#m-load")).to_be_visible()
    expect(page.locator("#memory")).not_to_contain_text(LOADED)


def test_chat_with_it_leads_to_a_chat_with_that_model(page: Page, manage: ManagePage) -> None:
    manage.open()
    manage.choose(READY)
    page.locator("#m-chat").click()
    chat = ChatPage(page)
    expect(page.locator("#model input")).to_have_value(re.compile(READY))
    expect(chat.status).to_have_text("ready")
    chat.ask("Hello")
    chat.wait_for_answers(1)


def test_a_damaged_model_says_what_is_wrong_and_offers_repair(
    page: Page, manage: ManagePage
) -> None:
    manage.open()
    cells = page.locator("#installed .virtual-row").filter(has_text=DAMAGED)
    expect(cells.locator(".badge").filter(has_text="damaged").last).to_be_visible()
    manage.choose(DAMAGED)
    expect(manage.actions.locator("li")).not_to_have_count(0)
    expect(page.locator("#m-repair")).to_have_text("Repair")
    expect(page.locator("#m-chat")).to_be_disabled()
    expect(page.locator("#m-load")).to_be_disabled()


def test_a_spoiled_file_is_found_and_mended_and_a_newer_revision_is_fetched(
    page: Page, discover: DiscoverPage, manage: ManagePage, place: Place
) -> None:
    discover.open()
    discover.choose(FIG)
    discover.download.click()
    expect(discover.download).to_have_text("Installed")
    weights = place.models / FIG / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    manage.open()
    manage.choose(FIG)
    note = page.locator("#actions-note")
    page.get_by_role("button", name="Check the files").click()
    expect(note).to_contain_text("Not as downloaded: model.safetensors")
    page.get_by_role("button", name="Repair").click()
    expect(manage.job(FIG).filter(has_text="done").first).to_be_visible()
    page.get_by_role("button", name="Check the files").click()
    expect(note).to_contain_text("Every file is as it was downloaded")
    assert weights.read_bytes() == whole
    renewed = {p.name: p.read_bytes() for p in (place.models / FIG).iterdir() if p.name[0] != "."}
    newest = place.hub.add_model(FIG, renewed | {"README.md": b"# Better"}, **CHATS)
    page.locator("#check-updates").click()
    expect(manage.actions).to_contain_text(newest[:10])
    page.locator("#m-update").click()
    expect(page.locator("#m-update")).to_have_count(0)
    expect(manage.actions.locator("tr").filter(has_text="Revision")).to_contain_text(newest[:10])
    assert (place.models / FIG / "README.md").read_bytes() == b"# Better"


def test_the_guide_cannot_be_deleted(page: Page, manage: ManagePage) -> None:
    manage.open()
    manage.choose("pomona/guide")
    expect(page.locator("#m-delete")).to_be_disabled()
    expect(page.locator("#actions-note")).to_contain_text("comes with Pomona")


def test_a_gated_model_says_why_it_is_not_downloaded(discover: DiscoverPage) -> None:
    discover.open()
    discover.page.locator("#chat-only input").click()
    discover.choose(GATED)
    expect(discover.download).to_be_disabled()
    expect(discover.progress).to_contain_text("ask for permission first")


def test_a_download_that_would_disappoint_is_asked_about_once(
    page: Page, discover: DiscoverPage, place: Place
) -> None:
    discover.open()
    page.locator("#chat-only input").click()
    discover.choose(BASE)
    discover.download.click()
    dialog = page.locator("#download-dialog")
    expect(dialog).to_contain_text("no chat template")
    expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert not (place.models / BASE).exists()
    expect(discover.download).to_be_enabled()
    discover.download.click()
    dialog.get_by_role("button", name="Download all the same").click()
    expect(discover.download).to_have_text("Installed")
    assert (place.models / BASE / "config.json").exists()


def test_the_idle_choice_is_kept(page: Page, manage: ManagePage) -> None:
    manage.open()
    box = page.locator("#idle-unload input")
    expect(box).to_have_value("never")
    box.click()
    page.get_by_role("option", name="after 15 minutes").click()
    page.wait_for_timeout(500)
    page.reload()
    page.wait_for_selector("#model-status .ready")
    manage.open()
    expect(box).to_have_value("after 15 minutes")
