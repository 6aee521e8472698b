"""Conversations that are kept, in a real browser."""

import re
from collections.abc import Callable

import pytest
from gradio_client import Client
from playwright.sync_api import Locator, Page, expect

from tests.app_process import RunningApp
from tests.browser.chat_page import ChatPage
from tests.browser.models import ENDLESS, SMALL_CONTEXT


class ChatsPage(ChatPage):
    """The Chat tab with the list beside it."""

    def entry(self, title: str) -> Locator:
        return self.page.locator("#chat-list li").filter(has_text=title)

    def open(self, title: str) -> None:
        self.entry(title).locator("[data-act=open]").click()

    def press(self, label: str) -> None:
        self.page.locator("#chat-list").get_by_role("button", name=label, exact=True).click()

    def new(self) -> None:
        self.page.locator("#new-chat").click()
        expect(self.questions).to_have_count(0)

    def link(self, name: str) -> Locator:
        return self.page.locator("#log .stats a").filter(has_text=name)

    def edit(self, row: Locator, text: str) -> None:
        row.hover()
        row.get_by_label("Edit").click()
        box = self.page.locator("#log textarea")
        box.fill(text)
        self.page.locator("#log").get_by_label(re.compile("Submit|Save")).click()


@pytest.fixture
def chat(page: Page) -> ChatsPage:
    return ChatsPage(page)


@pytest.fixture
def other(open_page: Callable[[], Page]) -> ChatsPage:
    """A second tab."""
    return ChatsPage(open_page())


def test_a_chat_is_listed_found_and_opened_again(chat: ChatsPage) -> None:
    chat.ask("What is a token, my dear quokka?")
    chat.wait_for_answers(1)
    chat.new()
    chat.ask("How do I download a model?")
    chat.wait_for_answers(1)
    search = chat.page.locator("#chat-search").get_by_role("textbox")
    search.press_sequentially("quokka")
    expect(chat.page.locator("#chat-list li")).to_have_count(1)
    chat.open("quokka")
    expect(chat.questions).to_have_text("What is a token, my dear quokka?")
    expect(chat.stats).to_have_count(1)
    search.press_sequentially("zzz")
    expect(chat.page.locator("#chat-list")).to_contain_text("not into the texts of attached files")


def test_a_chat_is_there_after_a_reload(chat: ChatsPage) -> None:
    chat.ask("What is a wombat token?")
    chat.wait_for_answers(1)
    chat.page.reload()
    chat.open("wombat")
    expect(chat.questions).to_have_text("What is a wombat token?")
    chat.page.wait_for_selector("#model-status .ready")
    chat.ask("Tell me more")
    chat.wait_for_answers(2)


def test_a_chat_is_renamed_pinned_deleted_and_brought_back(chat: ChatsPage) -> None:
    chat.ask("What is a numbat?")
    chat.wait_for_answers(1)
    expect(chat.entry("numbat")).to_have_count(1)
    chat.press("Rename")
    title = chat.page.locator("#chat-list input")
    expect(title).to_be_focused()
    title.fill("<b>Mine</b>")
    title.press("Enter")
    expect(chat.entry("<b>Mine</b>")).to_have_count(1)
    chat.press("Pin")
    expect(chat.entry("Mine")).to_contain_text("pinned")
    chat.press("Delete")
    expect(chat.page.locator("#chat-list")).to_contain_text("Deleted “<b>Mine</b>”")
    expect(chat.questions).to_have_count(0)
    chat.press("Undo")
    chat.open("Mine")
    expect(chat.questions).to_have_text("What is a numbat?")
    chat.press("Delete")


def test_an_edited_question_is_asked_again_and_both_versions_stay(chat: ChatsPage) -> None:
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    chat.edit(chat.page.locator("#log .user-row").first, "What is a prompt?")
    expect(chat.questions).to_have_text("What is a prompt?")
    expect(chat.page.locator("#log")).to_contain_text("2 of 2")
    expect(chat.send_button).to_be_visible()
    chat.link("‹").first.click()
    expect(chat.questions).to_have_text("What is a token?")
    chat.link("›").first.click()
    expect(chat.questions).to_have_text("What is a prompt?")


def test_an_answer_can_be_changed_and_stays_as_it_was_changed(chat: ChatsPage) -> None:
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    chat.edit(chat.page.locator("#log .bot-row").first, "Something I wrote")
    expect(chat.answers).to_have_text("Something I wrote")
    expect(chat.page.locator("#log")).to_contain_text("edited by you")
    chat.link("‹").click()
    expect(chat.answers).not_to_have_text("Something I wrote")


def test_a_stopped_answer_goes_on_where_it_ended(chat: ChatsPage) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever")
    chat.wait_for_words()
    chat.stop_button.click()
    chat.wait_for_answers(1)
    begun = chat.answers.inner_text()
    chat.link("Continue").click()
    expect(chat.stop_button).to_be_visible()
    expect(chat.answers).not_to_have_text(begun)
    chat.stop_button.click()
    chat.wait_for_answers(1)
    assert chat.answers.inner_text().startswith(begun)


def test_an_answer_goes_on_when_its_tab_is_closed_and_is_found_again(
    chat: ChatsPage, other: ChatsPage
) -> None:
    other.choose_model(ENDLESS)
    expect(other.status).to_have_text("ready")
    other.ask("Go on for ever, platypus")
    other.wait_for_words()
    other.page.context.close()
    chat.page.reload()
    expect(chat.page.locator("#chat-list")).to_contain_text("writing…")
    chat.page.locator("#chat-list li").filter(has_text="writing…").locator(
        "[data-act=open]"
    ).first.click()
    expect(chat.questions).to_have_text("Go on for ever, platypus")
    chat.stop_button.click()
    chat.wait_for_answers(1)
    assert "stopped by you" in chat.stats.inner_text()


def test_a_stale_tab_overwrites_nothing_and_keeps_what_was_typed(
    chat: ChatsPage, other: ChatsPage
) -> None:
    chat.ask("What is a bilby?")
    chat.wait_for_answers(1)
    other.page.reload()
    other.open("bilby")
    expect(other.stats).to_have_count(1)
    other.ask("From the other tab")
    other.wait_for_answers(2)
    chat.ask("From the stale tab")
    expect(chat.toast).to_contain_text("changed in another tab")
    expect(chat.box).to_have_value("From the stale tab")
    expect(chat.questions).to_have_count(2)
    chat.box.press("Enter")
    chat.wait_for_answers(3)


def test_a_stale_tab_that_edits_shows_what_is_new_and_keeps_the_text(
    chat: ChatsPage, other: ChatsPage
) -> None:
    chat.ask("What is a potoroo?")
    chat.wait_for_answers(1)
    other.page.reload()
    other.open("potoroo")
    expect(other.stats).to_have_count(1)
    other.ask("From the other tab")
    other.wait_for_answers(2)
    chat.edit(chat.page.locator("#log .user-row").first, "What is a token?")
    expect(chat.toast).to_contain_text("changed in another tab")
    expect(chat.box).to_have_value("What is a token?")
    expect(chat.questions).to_have_count(2)
    expect(chat.questions.first).to_have_text("What is a potoroo?")


def test_a_stale_tab_comes_to_follow_the_answer_written_for_another(
    chat: ChatsPage, other: ChatsPage
) -> None:
    chat.ask("What is a quoll?")
    chat.wait_for_answers(1)
    other.page.reload()
    other.open("quoll")
    expect(other.stats).to_have_count(1)
    other.choose_model(ENDLESS)
    expect(other.status).to_have_text("ready")
    other.ask("Go on for ever")
    expect(other.stop_button).to_be_visible()
    expect(other.page.locator("#chat-list")).to_contain_text("writing…")
    chat.ask("From the stale tab")
    expect(chat.questions).to_have_count(2)
    expect(chat.box).to_have_value("From the stale tab")
    chat.stop_button.click()
    chat.wait_for_answers(2)
    other.wait_for_answers(2)


def test_a_new_chat_is_listed_under_its_question_while_its_answer_is_written(
    chat: ChatsPage,
) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever, thylacine")
    expect(chat.entry("Go on for ever, thylacine")).to_contain_text("writing…")
    chat.stop_button.click()
    chat.wait_for_answers(1)
    expect(chat.entry("thylacine")).not_to_contain_text("writing…")


def test_an_answer_in_progress_does_not_leak_into_another_chat(chat: ChatsPage) -> None:
    chat.choose_model(ENDLESS)
    expect(chat.status).to_have_text("ready")
    chat.ask("Go on for ever, dingo")
    expect(chat.stop_button).to_be_visible()
    chat.new()
    expect(chat.send_button).to_be_visible()
    chat.choose_model("Pomona Guide")
    expect(chat.status).to_have_text("ready")
    chat.ask("Hello")
    chat.wait_for_answers(1)
    expect(chat.questions).to_have_text("Hello")
    chat.page.locator("#chat-list li").filter(has_text="writing…").locator(
        "[data-act=open]"
    ).first.click()
    expect(chat.questions).to_have_text("Go on for ever, dingo")
    chat.stop_button.click()
    chat.wait_for_answers(1)


def test_an_opened_chat_brings_its_model_and_settings_and_a_new_one_leaves_them(
    chat: ChatsPage, app: RunningApp
) -> None:
    system = chat.page.locator("#system-prompt textarea")
    temperature = chat.page.locator("#temperature [type=number]")
    chat.choose_model(SMALL_CONTEXT)
    chat.page.locator("#settings-button").click()
    expect(temperature).to_have_value("0.7")
    system.fill("Be kind")
    temperature.fill("1.1")
    temperature.press("Tab")
    longest = chat.page.locator("#max-tokens [type=number]")  # so that the context holds two
    longest.fill("8")
    longest.press("Tab")
    chat.ask("Hello wambenger")
    chat.wait_for_answers(1)
    Client(app.url, verbose=False).predict(SMALL_CONTEXT, api_name="/unload")
    chat.page.reload()
    chat.page.wait_for_selector("#model-status .ready")
    chat.page.locator("#settings-button").click()
    expect(temperature).to_have_value("0")
    system.fill("Of my own")
    chat.open("wambenger")
    expect(system).to_have_value("Be kind")
    expect(temperature).to_have_value("1.1")
    expect(chat.page.locator("#settings-note")).to_contain_text("this chat was last asked with")
    expect(chat.page.locator("#model input")).to_have_value(re.compile("small-context"))
    expect(chat.status).to_have_text("loads with your next message")
    chat.ask("And?")
    chat.wait_for_answers(2)
    expect(chat.status).to_have_text("ready")
    chat.new()
    expect(system).to_have_value("Of my own")
    expect(temperature).to_have_value("0")
