"""Other servers and the key for programs, as a person sets them up in Manage."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.app_process import RunningApp
from tests.browser.chat_page import ChatPage
from tests.scripted_server import KEY, SCRIPTS, Scripted, scripted_server


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted_server() as server:
        yield server


def fill(page: Page, name: str, text: str) -> None:
    page.locator(f"#server-{name} :is(input, textarea)").fill(text)


def add_server(page: Page, name: str, url: str, key: str = "") -> None:
    for field, text in (("name", name), ("url", url), ("key", key)):
        fill(page, field, text)
    page.locator("#server-add").click()


def test_a_server_is_added_chatted_with_and_removed(page: Page, server: Scripted) -> None:
    page.get_by_role("tab", name="Manage").click()
    add_server(page, "lab", server.url, KEY)
    entry = page.locator("#servers .server")
    expect(entry).to_contain_text(f"{len(SCRIPTS)} models")
    expect(page.locator("#server-key input")).to_have_value("")
    page.get_by_role("tab", name="Chat", exact=True).click()
    chat = ChatPage(page)
    chat.choose_model("well · lab")
    expect(chat.status).to_have_text("on lab")
    expect(page.locator("#log")).to_contain_text("is sent to “lab”")
    chat.ask("Hello?")
    chat.wait_for_answers(1)
    expect(chat.answers.last).to_contain_text("Hello wörld")
    expect(chat.stats.last).to_contain_text("7 tokens")
    chat.choose_model("dies · lab")
    chat.ask("And then?")
    expect(chat.toast).to_contain_text("connection to “lab” broke")
    expect(page.locator("#log")).to_contain_text("what arrived")
    page.get_by_role("tab", name="Manage").click()
    page.locator("#server-remove").click()
    expect(entry).to_have_count(0)
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "Hello?"}]


def test_an_answer_that_is_asked_anew_and_breaks_off_takes_nothing_from_the_old_one(
    page: Page, server: Scripted
) -> None:
    page.get_by_role("tab", name="Manage").click()
    add_server(page, "den", server.url, KEY)
    expect(page.locator("#servers .server")).to_have_count(1)
    page.get_by_role("tab", name="Chat", exact=True).click()
    chat = ChatPage(page)
    chat.choose_model("well · den")
    chat.ask("Hello, dear phascogale?")
    chat.wait_for_answers(1)
    old = chat.answers.last.inner_text()
    chat.choose_model("dies · den")
    expect(chat.status).to_have_text("on den")
    chat.retry()
    expect(chat.toast).to_contain_text("connection to “den” broke")
    page.reload()
    page.locator("#chat-list [data-act=open]").filter(has_text="phascogale").click()
    expect(chat.answers.last).to_have_text("what arrived")
    expect(chat.stats).to_have_text(re.compile("2 of 2.*cut by an error"))
    page.locator("#log .stats a").filter(has_text="‹").click()
    expect(chat.answers.last).to_have_text(old)
    expect(chat.stats).to_contain_text("1 of 2")
    page.get_by_role("tab", name="Manage").click()
    page.locator("#server-remove").click()
    expect(page.locator("#servers .server")).to_have_count(0)


def test_what_makes_no_sense_is_told_and_stays_to_be_mended(page: Page) -> None:
    page.get_by_role("tab", name="Manage").click()
    add_server(page, "<b>x</b>", "http://127.0.0.1:9")
    expect(page.locator(".toast-body")).to_contain_text("A name has 1 to 40 letters")
    expect(page.locator("#server-name :is(input, textarea)")).to_have_value("<b>x</b>")
    expect(page.locator("#servers .server")).to_have_count(0)


def test_the_key_is_hidden_shown_and_renewed(page: Page, app: RunningApp) -> None:
    page.get_by_role("tab", name="Manage").click()
    key, address = (page.locator(f"#api-{one} :is(input, textarea)") for one in ("key", "address"))
    expect(address).to_have_value(f"{app.url}/v1")
    expect(key).to_have_value("")
    page.locator("#api-key-show").click()
    expect(key).to_have_value(re.compile("pomona-.{40}"))
    old = key.input_value()
    page.locator("#api-key-renew").click()
    page.locator("#key-dialog-confirm").click()
    expect(key).not_to_have_value(old)
    new = key.input_value()
    statuses = [
        httpx.get(f"{app.url}/v1/models", headers={"authorization": f"Bearer {one}"}).status_code
        for one in (old, new)
    ]
    assert statuses == [401, 200]
    page.locator("#api-key-show").click()
    expect(key).to_have_value("")
