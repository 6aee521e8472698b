"""How an answer looks: Markdown, code and LaTeX, and reasoning apart from it."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.models import THINKER

ANSWER = (
    "# A title\n\n**bold** and `code`\n\n```python\nprint(1)\n```\n\n$$e^{i\\pi}+1=0$$\n\n"
    "inline \\(a^2\\)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
)


@pytest.fixture
def chat(page: Page) -> ChatPage:
    return ChatPage(page)


def test_an_answer_shows_markdown_code_and_latex(chat: ChatPage) -> None:
    chat.ask("What is a token?")
    chat.wait_for_answers(1)
    row = chat.page.locator("#log .bot-row").first
    row.hover()
    row.get_by_label("Edit").click()
    chat.page.locator("#log textarea").fill(ANSWER)
    chat.page.locator("#log").get_by_label(re.compile("Submit|Save")).click()
    expect(chat.answers.locator("h1")).to_have_text("A title")
    expect(chat.answers.locator("strong")).to_have_text("bold")
    expect(chat.answers.locator("pre code")).to_contain_text("print(1)")
    expect(chat.answers.locator(".katex")).to_have_count(2)
    expect(chat.answers.locator("table td").last).to_have_text("2")


def test_reasoning_is_a_closed_block_with_its_duration_and_no_part_of_the_answer(
    chat: ChatPage,
) -> None:
    chat.choose_limited(THINKER, 300)
    chat.ask("Hello")
    chat.wait_for_answers(1)
    thought = chat.page.locator("#log .thought-group")
    expect(thought).to_have_text(re.compile(r"^\s*Thought\s*\(\d+(\.\d+)?\s?s\)\s*$"))
    thought.get_by_role("button").first.click()
    expect(thought).not_to_have_text(re.compile(r"\)\s*$"))
    expect(chat.stats).to_contain_text("300 tokens")
