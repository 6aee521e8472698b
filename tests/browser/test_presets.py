"""Presets and the context meter, in a real browser."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.models import SMALL_CONTEXT


@pytest.fixture
def chat(page: Page) -> ChatPage:
    return ChatPage(page)


def choose_preset(chat: ChatPage, name: str) -> None:
    chat.page.locator("#preset input").click()
    chat.page.get_by_role("option", name=name, exact=True).click()


def test_a_preset_is_saved_chosen_exported_deleted_and_imported(
    chat: ChatPage, tmp_path: Path
) -> None:
    page = chat.page
    page.locator("#settings-button").click()
    prompt = page.locator("#system-prompt textarea")
    prompt.fill("Answer in verse")
    page.locator("#max-tokens input").fill("5")
    page.locator("#max-tokens input").press("Tab")
    page.locator("#presets button").first.click()
    name = page.locator("#preset-name").get_by_role("textbox")
    name.fill("Poet")
    page.locator("#preset-save").click()
    expect(page.locator("#preset input")).to_have_value("Poet")
    choose_preset(chat, "No preset")
    expect(prompt).to_have_value("")
    page.reload()
    page.wait_for_selector("#model-status .ready")
    choose_preset(chat, "Poet")
    page.locator("#settings-button").click()
    expect(prompt).to_have_value("Answer in verse")
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    assert chat.stats.inner_text().startswith("5 tokens")
    page.locator("#presets button").first.click()
    with page.expect_download() as download:
        page.locator("#preset-export").click()
    file = tmp_path / "presets.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["presets"][0]["name"] == "Poet"
    name.fill("Poet")
    page.locator("#preset-delete").click()
    expect(page.locator("#preset input")).to_have_value("No preset")
    page.locator("#presets input[type=file]").set_input_files(file)
    expect(chat.toast).to_contain_text("1 preset imported")
    choose_preset(chat, "Poet")
    expect(prompt).to_have_value("Answer in verse")


def test_the_meter_says_what_is_used_and_warns_before_it_does_not_fit(
    chat: ChatPage, tmp_path: Path
) -> None:
    meter = chat.page.locator("#context-meter")
    chat.choose_model(SMALL_CONTEXT)
    expect(chat.status).to_have_text("ready")
    chat.type("Hello")
    expect(meter).to_have_text(re.compile(r"\d+ of 128 tokens"))
    chat.type("word " * 60)
    expect(meter).to_contain_text("does not fit")
    chat.type("Hi")
    expect(meter).not_to_contain_text("does not fit")
    (tmp_path / "long.txt").write_text("word " * 60)
    chat.page.locator("#composer-row input[type=file]").set_input_files(tmp_path / "long.txt")
    expect(meter).to_contain_text("does not fit")


def test_the_meter_says_what_would_be_left_out_before_it_is(chat: ChatPage) -> None:
    meter = chat.page.locator("#context-meter")
    chat.choose_limited(SMALL_CONTEXT, 4)
    for count in range(1, 4):
        chat.ask(f"question {count} of three")
        chat.wait_for_answers(count)
    chat.type("and this is one question more, which does not fit with them")
    expect(meter).to_contain_text("does not fit")
    chat.page.locator("#settings-more button").first.click()
    chat.page.get_by_label("Leave out the middle").check()
    expect(meter).to_contain_text(
        re.compile("The next answer will not see [24] of 7 messages, from “question 1 of three”")
    )
    chat.box.press("Enter")
    chat.wait_for_answers(4)
    expect(chat.stats.last).to_contain_text(re.compile("did not see [24] of 7 messages"))


def test_figures_that_no_longer_hold_are_shown_as_old_until_there_are_new_ones(
    chat: ChatPage,
) -> None:
    meter = chat.page.locator("#context-meter")
    chat.type("Hello")
    expect(meter).to_have_text(re.compile(r"\d+ of [\d,]+ tokens"))
    stale = chat.page.locator("#context-meter [data-stale]")
    expect(stale).to_have_count(0)
    before = meter.inner_text()
    chat.box.press_sequentially(" my dear meter", delay=20)
    expect(stale).to_have_count(1)
    expect(stale).to_have_count(0)
    assert meter.inner_text() != before
    chat.box.press_sequentially("?")
    chat.box.press("Backspace")  # the same figures again are new ones too
    expect(stale).to_have_count(0)


def test_an_answer_ends_before_a_stop_string(chat: ChatPage) -> None:
    chat.ask("What is quantisation?")
    chat.wait_for_answers(1)
    word = chat.answers.inner_text().split()[2]
    chat.page.locator("#settings-button").click()
    chat.page.locator("#settings-more button").first.click()
    chat.page.locator("#stop-strings textarea").fill(word)
    chat.retry()
    expect(chat.stats).to_contain_text("2 of 2")
    expect(chat.send_button).to_be_visible()
    expect(chat.answers).not_to_contain_text(word)
