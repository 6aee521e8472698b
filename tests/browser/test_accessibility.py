"""Every tab by keyboard, for screen readers, and in other scripts than Latin."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_process import RunningApp
from tests.browser.axe import grave_findings
from tests.browser.chat_page import ChatPage
from tests.browser.manage_page import DiscoverPage, ManagePage
from tests.browser.models import SMALL_CONTEXT
from tests.browser.visits import visit

SAID = [
    {"role": "user", "content": "What is `code`? **Say** it"},
    {"role": "assistant", "content": "- one\n\n| a |\n|---|\n| 1 |\n\n```py\nx\n```",
     "reasoning_content": "Let me think about it"},
]  # fmt: skip
# What can be pressed or written into, seen on the page, and not yet reached by Tab.
_UNREACHED_JS = """() => {
  const asked = 'button, input, textarea, a[href], select';
  const seen = [...document.querySelectorAll(asked)].filter((one) =>
    one.checkVisibility() && !one.disabled && one.type !== 'file' && one.tabIndex >= 0);
  const missed = seen.filter((one) => !one.pomonaReached && one.type !== 'radio');
  return missed.map((one) => one.outerHTML.slice(0, 160));
}"""
# The element that has the keyboard: its name, and whether anything around it shows that.
_FOCUSED_JS = """() => {
  const one = document.activeElement;
  if (one === document.body || one.pomonaReached) return null;
  one.pomonaReached = true;
  const shows = (part) => {
    const style = getComputedStyle(part);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
      || style.boxShadow !== 'none';
  };
  const around = [one, one.closest('.block'), one.closest('.virtual-row')];
  const name = one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.title
    || one.textContent || '';
  return {html: one.outerHTML.slice(0, 160), name: name.trim(),
          isShown: around.some((part) => part && shows(part))};
}"""


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, browser: Browser, app: RunningApp) -> Iterator[Page]:
    with visit(browser, app.url, color_scheme=request.param, reduced_motion="reduce") as page:
        yield page


def bring(page: Page, folder: Path) -> None:
    """Show a conversation with code, a table and reasoning."""
    path = folder / "said.json"
    path.write_text(json.dumps(SAID))
    page.locator("#chats input[type=file]").set_input_files(path)
    expect(page.locator("#log .thought-group")).to_be_visible()


def test_axe_finds_nothing_grave_on_any_tab(themed: Page, tmp_path: Path) -> None:
    assert grave_findings(themed) == []
    ChatPage(themed).choose_model(SMALL_CONTEXT)
    bring(themed, tmp_path)
    themed.locator("#settings-button").click()
    themed.locator("#settings-more button").first.click()
    (tmp_path / "long.txt").write_text("word " * 9_000)
    themed.locator("#composer-row input[type=file]").set_input_files(tmp_path / "long.txt")
    expect(themed.locator("#attached .warning")).to_be_visible()
    assert grave_findings(themed) == []
    discover, manage = DiscoverPage(themed), ManagePage(themed)
    discover.open()
    themed.locator("#models [role=gridcell]").first.click()
    expect(themed.locator("#detail-head h3")).to_be_visible()
    assert grave_findings(themed) == []
    manage.open()
    manage.choose("tiny/small-context")
    expect(themed.locator("#m-chat")).to_be_visible()
    assert grave_findings(themed) == []


@pytest.mark.parametrize("tab", ("Chat", "Discover", "Manage"))
def test_tab_reaches_everything_shows_where_it_is_and_it_has_a_name(
    page: Page, tmp_path: Path, tab: str
) -> None:
    if tab == "Chat":
        bring(page, tmp_path)
        page.locator("#settings-button").click()
        expect(page.locator("#settings")).to_be_visible()
        page.get_by_test_id("toast-close").click()
        expect(page.locator(".toast-body")).to_have_count(0)
    else:
        page.get_by_role("tab", name=tab).click()
        page.locator("#models, #installed").locator("[role=gridcell]").first.wait_for()
    page.wait_for_timeout(400)
    page.evaluate("document.activeElement.blur()")
    bad = []
    for _ in range(120):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED_JS)
        if focused and not (focused["name"] and focused["isShown"]):
            bad.append(focused)
    assert bad == []
    assert page.evaluate(_UNREACHED_JS) == []


def test_what_is_said_in_passing_lies_over_no_button(page: Page, tmp_path: Path) -> None:
    bring(page, tmp_path)
    toast = page.locator(".toast-body").bounding_box()
    button = page.locator("#settings-button").bounding_box()
    assert toast and button and toast["y"] + toast["height"] < button["y"]


def test_a_row_of_a_table_is_chosen_by_keyboard(page: Page) -> None:
    page.get_by_role("tab", name="Manage").focus()
    page.keyboard.press("Enter")
    page.locator("#installed [role=gridcell]").first.wait_for()
    page.locator("#manage-refresh").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#m-chat")).to_be_visible()


def test_the_keyboard_stays_where_it_was_when_the_list_or_the_log_is_drawn_anew(
    page: Page,
) -> None:
    chat = ChatPage(page)
    chat.ask("What is a bandicoot?")
    chat.wait_for_answers(1)
    pin = page.locator("#chat-list [data-act=pin]")
    chat.rest()
    pin.focus()
    page.keyboard.press("Enter")
    expect(pin).to_have_text("Unpin")
    expect(pin).to_be_focused()
    chat.rest()
    page.get_by_label("Retry").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#log")).to_contain_text("2 of 2")
    expect(chat.send_button).to_be_visible()
    chat.rest()
    page.locator("#log .stats a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#log")).to_contain_text("1 of 2")
    expect(page.locator("#log .stats a").first).to_be_focused()
    chat.rest()
    page.locator("#chat-list [data-act=delete]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chat-list [data-act=undo]")).to_be_focused()


def test_enter_that_ends_a_composition_sends_nothing(page: Page) -> None:
    chat = ChatPage(page)
    chat.type("にほ")
    for kind in ("keydown", "keypress"):
        page.evaluate(
            """(kind) => document.activeElement.dispatchEvent(new KeyboardEvent(
                kind, {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))""",
            kind,
        )
    client = page.context.new_cdp_session(page)
    client.send("Input.imeSetComposition", {"text": "ん", "selectionStart": 1, "selectionEnd": 1})
    client.send("Input.insertText", {"text": "ん"})
    expect(chat.box).to_have_value("にほん")
    expect(chat.questions).to_have_count(0)
    chat.box.press("Enter")
    expect(chat.questions).to_have_text("にほん")
    chat.wait_for_answers(1)


def test_writing_from_right_to_left_stands_on_the_right(page: Page) -> None:
    chat = ChatPage(page)
    chat.type("مرحبا بالعالم")
    direction = "one => getComputedStyle(one).direction"
    assert chat.box.evaluate(direction) == "rtl"
    chat.box.press("Enter")
    chat.wait_for_answers(1)
    expect(chat.questions).to_have_attribute("dir", "auto")
    assert chat.questions.evaluate(direction) == "rtl"
    assert chat.answers.evaluate(direction) == "ltr"


def test_an_answer_is_announced_once_it_is_whole(page: Page) -> None:
    chat = ChatPage(page)
    log = page.locator("#log [role=log]")
    chat.choose_model("tiny/endless")
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever, bettong")
    expect(log).to_have_attribute("aria-busy", "true")
    expect(chat.stop_button).to_have_accessible_name("Stop the answer")
    chat.stop_button.click()
    expect(log).to_have_attribute("aria-busy", "false")
    expect(chat.send_button).to_have_accessible_name("Send")


def test_reduced_motion_stops_animations(themed: Page) -> None:
    themed.get_by_role("tab", name="Manage").click()
    themed.locator("#installed [role=gridcell]").first.wait_for()
    moving = "document.getAnimations().filter(one => one.playState === 'running').length"
    themed.wait_for_function(f"{moving} === 0")
