"""Talking to models in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_process import RunningApp
from tests.browser.chat_page import ChatPage
from tests.browser.models import BROKEN, ENDLESS, SMALL_CONTEXT
from tests.browser.visits import PHONE, visit


@pytest.fixture
def chat(page: Page) -> ChatPage:
    return ChatPage(page)


def test_the_guide_answers_and_the_quiet_line_says_what_it_cost(chat: ChatPage) -> None:
    chat.ask("How do I download a model?")
    chat.wait_for_answers(1)
    expect(chat.questions).to_have_text("How do I download a model?")
    assert len(chat.answers.inner_text()) > 10
    line = chat.stats.inner_text()
    assert re.search(r"\d+ tokens · \d+(\.\d)? tokens/s · first after .* prompt tokens", line)
    expect(chat.box).to_have_value("")


def test_the_second_turn_reuses_the_first(chat: ChatPage) -> None:
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    chat.ask("Tell me more")
    chat.wait_for_answers(2)
    assert "prompt tokens reused" in chat.stats.nth(1).inner_text()


def test_an_empty_message_does_nothing(chat: ChatPage) -> None:
    chat.box.press("Enter")
    chat.type("   ")
    chat.box.press("Enter")
    chat.ask("Hello")
    chat.wait_for_answers(1)
    expect(chat.questions).to_have_count(1)


def test_shift_enter_breaks_the_line_and_enter_sends(chat: ChatPage) -> None:
    chat.type("one")
    chat.box.press("Shift+Enter")
    chat.box.press_sequentially("two")
    expect(chat.box).to_have_value("one\ntwo")
    expect(chat.questions).to_have_count(0)
    chat.box.press("Enter")
    chat.wait_for_answers(1)
    expect(chat.questions).to_contain_text("two")


def test_stop_ends_the_answer_and_keeps_what_was_written(chat: ChatPage) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever")
    chat.wait_for_words()
    seen = chat.answers.inner_text()
    chat.stop_button.click()
    chat.wait_for_answers(1)
    assert "stopped by you" in chat.stats.inner_text()
    kept = chat.answers.inner_text()
    assert kept.startswith(seen)
    chat.page.reload()
    chat.page.locator("#chat-list [data-act=open]").first.click()
    expect(chat.answers).to_have_text(kept)


def test_a_second_enter_while_an_answer_is_written_asks_nothing_twice(chat: ChatPage) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever")
    expect(chat.stop_button).to_be_visible()
    chat.type("And this?")
    chat.box.press("Enter")
    expect(chat.toast).to_contain_text("One answer at a time")
    expect(chat.box).to_have_value("And this?")
    expect(chat.questions).to_have_count(1)
    chat.stop_button.click()
    chat.wait_for_answers(1)


def test_another_model_is_loaded_and_answers(chat: ChatPage) -> None:
    chat.ask("Thank you")  # the answer is short, and must fit into the next model's context
    chat.wait_for_answers(1)
    chat.choose_model(SMALL_CONTEXT)
    expect(chat.status).to_have_text("ready")
    chat.ask("Hello again")
    chat.wait_for_answers(2)
    expect(chat.questions).to_have_count(2)


def test_settings_start_from_the_model_and_say_so(chat: ChatPage) -> None:
    chat.page.locator("#settings-button").click()
    note = chat.page.locator("#settings-note")
    expect(note).to_contain_text("what this model's makers recommend")
    temperature = chat.page.locator("#temperature input[type=number]")
    expect(temperature).to_have_value("0")
    chat.choose_model(SMALL_CONTEXT)
    expect(note).to_contain_text("Pomona's own")
    expect(temperature).to_have_value("0.7")
    temperature.fill("1.1")
    chat.page.locator("#settings-reset").click()
    expect(temperature).to_have_value("0.7")


def test_max_tokens_cuts_the_answer_and_the_line_says_so(chat: ChatPage) -> None:
    chat.page.locator("#settings-button").click()
    chat.page.locator("#max-tokens input").fill("3")
    chat.page.locator("#max-tokens input").press("Tab")
    chat.ask("What is quantisation?")
    chat.wait_for_answers(1)
    assert chat.stats.inner_text().startswith("3 tokens")
    assert "cut at max tokens" in chat.stats.inner_text()


def test_a_message_longer_than_the_context_is_refused_and_kept(chat: ChatPage) -> None:
    chat.choose_model(SMALL_CONTEXT)
    expect(chat.status).to_have_text("ready")
    long = "word " * 400
    chat.ask(long)
    expect(chat.toast).to_contain_text(re.compile(r"\d+ tokens long.*at most 128"))
    expect(chat.box).to_have_value(long)
    expect(chat.questions).to_have_count(0)
    expect(chat.send_button).to_be_visible()


def test_a_chat_that_outgrows_the_context_goes_on_without_its_middle(chat: ChatPage) -> None:
    chat.choose_limited(SMALL_CONTEXT, 4)
    chat.page.get_by_text("More", exact=True).click()
    chat.page.get_by_label("Leave out the middle").check()
    for n in range(5):
        chat.ask(f"question {n} of five")
        chat.wait_for_answers(n + 1)
    expect(chat.stats.nth(0)).not_to_contain_text("did not see")
    expect(chat.stats.nth(4)).to_contain_text(re.compile("did not see [246] of 9 messages, from “"))


def test_a_broken_model_says_what_is_wrong_and_the_others_go_on(chat: ChatPage) -> None:
    chat.choose_model(BROKEN)
    expect(chat.status).to_contain_text("could not be loaded")
    expect(chat.toast).to_contain_text("bytes instead of")
    assert chat.toast.inner_text().count("bytes instead of") == 1
    expect(chat.page.get_by_text("Error", exact=True)).to_have_count(0)
    chat.ask("Hello?")
    expect(chat.box).to_have_value("Hello?")
    chat.choose_model("Pomona Guide")
    expect(chat.status).to_have_text("ready")
    chat.box.press("Enter")
    chat.wait_for_answers(1)


def test_regenerate_answers_the_same_question_with_the_settings_of_now(chat: ChatPage) -> None:
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    chat.page.locator("#settings-button").click()
    chat.page.locator("#max-tokens input").fill("3")
    chat.page.locator("#max-tokens input").press("Tab")
    chat.retry()
    expect(chat.stats).to_have_text(re.compile(r"2 of 2 .* 3 tokens .*reused"))
    expect(chat.send_button).to_be_visible()
    expect(chat.questions).to_have_count(1)


def test_new_chat_empties_the_log_and_stops_the_answer(chat: ChatPage) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever")
    expect(chat.stop_button).to_be_visible()
    chat.page.locator("#new-chat").click()
    expect(chat.questions).to_have_count(0)
    expect(chat.send_button).to_be_visible()
    chat.choose_model("Pomona Guide")
    expect(chat.status).to_have_text("ready")
    chat.ask("Hello")
    chat.wait_for_answers(1)
    expect(chat.questions).to_have_count(1)


def test_an_example_is_asked_with_one_click(chat: ChatPage) -> None:
    expect(chat.page.locator("#log .example")).to_have_count(3)
    chat.page.locator("#log .example").first.click()
    chat.wait_for_answers(1)
    expect(chat.questions).to_have_count(1)


def test_markup_in_a_message_shows_as_text_and_runs_nothing(chat: ChatPage) -> None:
    run = "document.title = 1"
    chat.ask(f'<img src=x onerror="{run}"> <script>{run}</script>')
    chat.wait_for_answers(1)
    assert chat.page.title() == "Pomona"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, app: RunningApp, scheme: str
) -> None:
    with visit(browser, app.url, viewport=PHONE, color_scheme=scheme) as page:
        chat = ChatPage(page)
        chat.ask("What is quantisation?")
        chat.wait_for_answers(1)
        for name in ("Discover", "Manage", "Chat"):
            page.get_by_role("tab", name=name).click()
            width, height = page.evaluate(
                "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            )
            assert width <= 390, name
        assert height <= 844
        for part in (chat.box, chat.send_button, page.locator("#model input")):
            expect(part).to_be_in_viewport()
