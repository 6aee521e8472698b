"""Finding a model in a real browser, with a loopback Hub."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from engine.hub import load_bundled
from tests.app_process import RunningApp, running_app
from tests.browser.visits import visit
from tests.loopback_hub import LoopbackHub

EVIL_CARD = (
    b"---\nlicense: mit\n---\n# A fine card\n<script>document.title='owned'</script>\n"
    b"<img src=x onerror=\"document.title='owned'\">\n![pixel](http://127.0.0.9:1/far.png)\n"
)
CONFIG = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "vocab_size": 300,
          "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128,
          "max_position_embeddings": 8192}  # fmt: skip
FILES = {"config.json": json.dumps(CONFIG).encode(), "tokenizer.json": b"{}",
         "model.safetensors": b"\0" * 4000, "README.md": EVIL_CARD}  # fmt: skip
CHATS = {
    "config": {"model_type": "llama", "tokenizer_config": {"chat_template": "x"}},
    "safetensors": {"parameters": {"BF16": 2000}, "total": 2000},
}


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        server.add_model("pear/Pear-4bit", FILES, downloads=10, likes=900, **CHATS)
        server.add_model("plum/Plum-8bit", FILES, downloads=7000, likes=1, **CHATS)
        server.add_model("fig/Fig-embed", FILES, downloads=5, pipeline_tag="feature-extraction",
                         **CHATS)  # fmt: skip
        for picks in load_bundled().picks.values():
            for pick in picks:  # there, but not among what a search finds
                server.add_model(pick.repo_id, FILES, tags=[], library_name="", **CHATS)
        yield server


@pytest.fixture(scope="module")
def finder(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    environment = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
    with running_app(tmp_path_factory.mktemp("finder"), environment=environment) as app:
        yield app


@pytest.fixture
def discover(browser: Browser, finder: RunningApp) -> Iterator[Page]:
    with visit(browser, finder.url) as page:
        page.get_by_role("tab", name="Discover").click()
        expect(page.locator("#source")).to_contain_text(re.compile("2 models · .*Hub"))
        expect(names(page)).to_have_count(2)
        yield page


def names(page: Page) -> Locator:
    """Names in the table, from the top."""
    return page.locator("#models [role=gridcell] .m-name")


def test_the_table_shows_what_fits_and_will_chat_with_badges(discover: Page) -> None:
    expect(discover.locator("#source")).to_contain_text("2 models")
    expect(names(discover)).to_have_text(["plum/Plum-8bit", "pear/Pear-4bit"])
    badges = discover.locator("#models [role=gridcell] > div > span > .b-ok")
    expect(badges.filter(has_text="fits").first).to_be_visible()
    expect(badges.filter(has_text="will chat").first).to_be_visible()
    expect(discover.locator("#chips button")).to_have_text(["fits this computer", "will chat"])


def test_a_filter_changes_the_rows_and_the_chips(discover: Page) -> None:
    discover.locator("#chat-only input").click()
    expect(discover.locator("#source")).to_contain_text("3 models")
    expect(discover.locator("#models")).to_contain_text("will not chat")
    expect(discover.locator("#chips button")).to_have_text(["fits this computer"])


def test_a_chip_takes_its_filter_away(discover: Page) -> None:
    discover.locator("#search input, #search textarea").fill("fig")
    discover.keyboard.press("Enter")
    expect(discover.locator("#source")).to_contain_text("0 models ·")
    expect(discover.locator("#nothing-found")).to_contain_text("1 matches “fig” without them")
    expect(discover.locator("#models")).not_to_be_visible()
    discover.get_by_role("button", name="will chat remove this filter").click()
    expect(discover.locator("#chat-only input")).not_to_be_checked()
    expect(discover.locator("#source")).to_contain_text("1 model ·")
    discover.get_by_role("button", name="“fig” remove this filter").click()
    expect(discover.locator("#search input, #search textarea")).to_have_value("")
    expect(discover.locator("#source")).to_contain_text("3 models ·")
    expect(names(discover)).to_have_count(3)
    expect(discover.locator("#chips button")).to_have_text(["fits this computer"])


def test_on_a_phone_a_row_is_a_name_with_its_badges(discover: Page) -> None:
    discover.set_viewport_size({"width": 390, "height": 844})
    row = discover.locator("#models .virtual-row").filter(has_text="pear/Pear-4bit")
    expect(row.locator(".m-line")).to_contain_text("fits will chat")
    expect(row.locator("[role=gridcell]:visible")).to_have_count(1)
    assert discover.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_the_filters_fold_away(discover: Page) -> None:
    discover.set_viewport_size({"width": 390, "height": 844})
    quantisation = discover.locator("#f-quantisation")
    expect(quantisation).not_to_be_visible()
    discover.get_by_text("More filters").click()
    expect(quantisation).to_be_visible()
    assert discover.evaluate("document.documentElement.scrollWidth") <= 390
    discover.get_by_text("More filters").click()
    expect(quantisation).not_to_be_visible()


def test_sorting_puts_the_most_downloaded_first(discover: Page) -> None:
    discover.locator("#sort input").click()
    discover.get_by_role("option", name="likes").click()
    expect(discover.locator("#models [role=gridcell]").first).to_contain_text("Pear")
    discover.locator("#sort input").click()
    discover.get_by_role("option", name="downloads").click()
    expect(discover.locator("#models [role=gridcell]").first).to_contain_text("Plum")


def test_searching_narrows_the_table(discover: Page) -> None:
    discover.locator("#search input, #search textarea").fill("plum")
    discover.keyboard.press("Enter")
    expect(discover.locator("#source")).to_contain_text("1 model ·")
    expect(names(discover)).to_have_text(["plum/Plum-8bit"])


def test_a_row_opens_the_details_and_its_card_is_only_text(discover: Page) -> None:
    discover.locator("#models .m-name").filter(has_text="pear/Pear-4bit").last.click()
    facts = discover.locator("#facts")
    expect(discover.locator("#detail-head")).to_contain_text("pear/Pear-4bit")
    expect(facts).to_contain_text("Score")
    expect(discover.locator("#download")).to_contain_text("Download")
    expect(facts).to_contain_text("8,192 tokens")
    plot = discover.locator("#memory-plot tr")
    expect(plot).to_have_count(2)
    expect(plot.last).to_have_text(re.compile(r"8,192 tokens\s*\d+ MB\s*fits"))
    discover.get_by_text("Files", exact=True).click()
    expect(discover.locator("#files")).to_contain_text("model.safetensors")
    discover.get_by_text("Model card").click()
    card = discover.locator("#card")
    expect(card).to_contain_text("A fine card")
    assert card.locator("img, script").count() == 0
    assert discover.title() == "Pomona"
    discover.locator("#detail-close").click()
    expect(facts).not_to_be_visible()


@pytest.mark.parametrize("tab", ["Discover", "Manage"])
def test_a_good_first_model_leads_to_its_details(discover: Page, tab: str) -> None:
    discover.set_viewport_size({"width": 390, "height": 844})
    discover.get_by_role("tab", name=tab).click()
    pick = discover.locator(f"#tab-{tab.lower()} .pick").first
    name = pick.locator("b").inner_text()
    pick.get_by_role("button", name=f"Details of {name}").click()
    expect(discover.locator("#detail-head h3")).to_have_text(re.compile(f"/{re.escape(name)}$"))
    expect(discover.locator("#detail-head")).to_be_in_viewport()
    expect(discover.locator("#download")).to_be_enabled()


def test_a_slow_hub_opens_the_panel_on_what_is_known(discover: Page, hub: LoopbackHub) -> None:
    hub.fault("/api/models/pear", delay_s=1.5)
    discover.locator("#models .m-name").filter(has_text="pear/Pear-4bit").last.click()
    head = discover.locator("#detail-head")
    expect(head).to_contain_text("Asking the Hugging Face Hub")
    expect(head.locator("h3")).to_have_text("pear/Pear-4bit")
    expect(discover.locator("#download")).to_be_disabled()
    expect(discover.locator("#download")).to_be_enabled()
    expect(head).not_to_contain_text("Asking")


def test_a_model_that_is_gone_from_the_hub_says_so(discover: Page, hub: LoopbackHub) -> None:
    hub.fault("/api/models/plum", times=None, status=404)
    discover.locator("#models .m-name").filter(has_text="plum/Plum-8bit").last.click()
    expect(discover.locator(".toast-body")).to_contain_text("no model plum/Plum-8bit")
    expect(discover.locator("#detail-head")).not_to_be_visible()
    hub.clear()


def test_a_wait_that_the_hub_asks_for_is_shown(discover: Page, hub: LoopbackHub) -> None:
    hub.fault("/api/models", status=429, headers={"retry-after": "2"})
    discover.locator("#search input, #search textarea").fill("pear-4")
    discover.keyboard.press("Enter")
    expect(discover.locator("#source")).to_contain_text("The Hub asked us to wait 2 s")
    expect(discover.locator("#source")).to_contain_text("1 model ·")


def test_when_the_hub_fails_the_rows_stay_and_the_page_says_why(
    discover: Page, hub: LoopbackHub
) -> None:
    expect(names(discover)).to_have_count(2)
    hub.fault("/api/models", times=None, status=503)
    try:
        discover.locator("#search input, #search textarea").fill("another")
        discover.keyboard.press("Enter")
        expect(discover.locator("#retry")).to_be_visible()
        expect(discover.locator("#source .notice")).to_contain_text("The Hub has trouble")
        expect(names(discover)).to_have_count(2)
        hub.clear()
        discover.locator("#retry").click()
        expect(discover.locator("#nothing-found")).to_contain_text("No model matches")
    finally:
        hub.clear()
