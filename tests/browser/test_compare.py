"""Several models asked the same, side by side, in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.models import ENDLESS, SMALL_CONTEXT, WIDE, WIDE_TOO

GUIDE = "Pomona Guide"
WAITING = re.compile("Loading|Reading|Thinking|before you|^$")


class ComparePage(ChatPage):
    """The Chat tab with answers in columns."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.columns = page.locator("#compare .compare-column")
        self.column_stats = page.locator("#compare .stats")
        self.names = page.locator("#compare .who")

    def compare_with(self, *names: str, blind: bool = False) -> None:
        """Open the choice, which has the picker's model, and add others."""
        self.page.locator("#compare-button").click()
        chosen = self.page.locator("#compare-models .token")
        expect(chosen).to_have_count(1)
        for count, name in enumerate(names, start=2):
            self.page.locator("#compare-models input").click()
            self.page.get_by_role("option", name=name).click()
            expect(chosen).to_have_count(count)
        self.page.locator("#compare-models input").press("Escape")
        if blind:
            self.page.locator("#compare-blind input").check()

    def text_of(self, column: Locator) -> Locator:
        return column.get_by_test_id("bot").first

    def choose(self, place: int) -> None:
        self.columns.nth(place).get_by_role("button", name="Go on with this one").click()


@pytest.fixture
def chat(page: Page) -> ComparePage:
    return ComparePage(page)


def test_two_models_answer_in_columns_and_one_goes_on(chat: ComparePage) -> None:
    chat.choose_model(SMALL_CONTEXT)
    expect(chat.status).to_have_text("ready")
    chat.compare_with(GUIDE)
    chat.ask("What is a token, dear dugong?")
    expect(chat.column_stats).to_have_count(2)
    expect(chat.names).to_have_text(["small-context", GUIDE])
    for column in chat.columns.all():
        expect(column.locator(".stats")).to_have_text(re.compile(r"\d+ tokens.* first after"))
    expect(chat.page.locator("#compare-question")).to_contain_text("dear dugong")
    chat.ask("And then?")
    expect(chat.toast).to_contain_text("Choose the answer to go on with")
    second = chat.text_of(chat.columns.nth(1)).inner_text()
    chat.choose(1)
    expect(chat.stats).to_have_text(re.compile(f"2 of 2.*{GUIDE}"))
    expect(chat.answers).to_have_text(second)
    expect(chat.page.locator("#model input")).to_have_value(re.compile(GUIDE))
    chat.box.press("Enter")
    chat.wait_for_answers(2)
    chat.page.locator("#log .stats a").filter(has_text="‹").click()
    expect(chat.stats).to_have_count(1)
    expect(chat.stats).to_have_text(re.compile("1 of 2.*small-context"))


def test_names_are_hidden_until_one_is_chosen(chat: ComparePage) -> None:
    chat.compare_with(SMALL_CONTEXT, blind=True)
    chat.ask("What is a token?")
    expect(chat.column_stats).to_have_count(2)
    expect(chat.names).to_have_text(["Model A", "Model B"])
    expect(chat.page.locator("#compare")).not_to_contain_text(re.compile("Guide|small-context"))
    chat.choose(0)
    expect(chat.toast).to_contain_text(re.compile("You chose .*(Guide|small).* model B was "))
    expect(chat.stats).to_contain_text(re.compile("Guide|small-context"))


def test_stop_ends_all_answers_and_keeps_what_was_written(chat: ComparePage) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.compare_with(GUIDE)
    chat.ask("Go on for ever")
    expect(chat.text_of(chat.columns.first)).not_to_have_text(WAITING)
    expect(chat.page.locator("#compare-1 .compare-choose")).to_be_disabled()
    chat.stop_button.click()
    expect(chat.column_stats).to_have_count(2)
    expect(chat.column_stats.first).to_contain_text("stopped by you")
    expect(chat.send_button).to_be_visible()
    chat.page.locator("#compare-back").click()
    chat.wait_for_answers(1)


def test_a_closed_tab_comes_back_to_columns_that_are_still_written(
    chat: ComparePage, open_page: Callable[[], Page]
) -> None:
    first = ComparePage(open_page())
    first.choose_model(ENDLESS)
    expect(first.status).to_have_text("ready")
    first.compare_with(GUIDE)
    first.ask("Go on for ever, dear echidna")
    expect(first.text_of(first.columns.first)).not_to_have_text(WAITING)
    first.page.context.close()
    chat.page.reload()
    chat.page.locator("#chat-list li").filter(has_text="echidna").get_by_role(
        "button"
    ).first.click()
    expect(chat.names).to_have_text(["endless", GUIDE])
    chat.stop_button.click()
    expect(chat.column_stats.first).to_contain_text("stopped by you")
    chat.choose(0)
    expect(chat.stats).to_have_text(re.compile("1 of 2.*endless"))
    expect(chat.send_button).to_be_visible()


def test_versions_of_an_answer_are_put_side_by_side(chat: ComparePage) -> None:
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    chat.retry()
    expect(chat.stats).to_contain_text("2 of 2")
    expect(chat.send_button).to_be_visible()
    chat.page.locator("#log .stats a").filter(has_text="Side by side").click()
    expect(chat.names).to_have_text([f"{GUIDE}, 1", f"{GUIDE}, 2"])
    chat.choose(0)
    expect(chat.stats).to_contain_text("1 of 2")


def test_a_new_chat_takes_the_columns_away(chat: ComparePage) -> None:
    chat.compare_with(SMALL_CONTEXT)
    chat.ask("What is a token?")
    expect(chat.column_stats).to_have_count(2)
    chat.page.locator("#new-chat").click()
    expect(chat.columns).to_have_count(0)
    chat.ask("Hello")
    chat.wait_for_answers(1)


def test_one_model_is_no_comparison(chat: ComparePage) -> None:
    chat.compare_with()
    chat.ask("What is a token?")
    expect(chat.toast).to_contain_text("2 to 3 models can be compared")
    expect(chat.box).to_have_value("What is a token?")
    chat.page.locator("#compare-button").click()
    chat.box.press("Enter")
    chat.wait_for_answers(1)


def test_models_that_do_not_fit_together_answer_one_after_another_and_the_page_says_so(
    chat: ComparePage,
) -> None:
    chat.choose_limited(f"{WIDE} ·", 4)
    chat.compare_with(WIDE_TOO)
    chat.ask("What is a dunnart?")
    question = chat.page.locator("#compare-question")
    expect(question).to_contain_text("do not fit into memory together, so they answer one after")
    expect(chat.column_stats).to_have_count(2)
    expect(chat.names).to_have_text(["wide", "wide-too"])
    chat.choose(0)
    expect(chat.stats).to_contain_text("1 of 2")
