"""A Pomona that is killed in the middle of an answer, in a real browser."""

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.app_process import running_app
from tests.browser.chat_page import ChatPage
from tests.browser.models import ENDLESS, install_models


def test_a_kill_leaves_the_answer_up_to_its_last_second_marked_and_ready_to_go_on(
    browser: Browser, tmp_path: Path
) -> None:
    install_models(tmp_path / "models")
    context = browser.new_context()
    with running_app(tmp_path) as app:
        chat = ChatPage(context.new_page())
        chat.page.goto(app.url)
        chat.page.wait_for_selector("#model-status .ready")
        chat.choose_model(ENDLESS)
        expect(chat.status).to_have_text("ready")
        chat.ask("Go on for ever, numbat")
        expect(chat.answers).not_to_have_text(re.compile("Loading|Reading|Thinking|^.{0,20}$"))
        seen = chat.answers.inner_text()
        chat.page.wait_for_timeout(1_000)
        app.process.kill()
        app.process.wait()
    with running_app(tmp_path) as app:
        chat.page.goto(app.url)
        chat.page.wait_for_selector("#model-status .ready")
        chat.page.locator("#chat-list li").filter(has_text="numbat").get_by_role(
            "button"
        ).first.click()
        expect(chat.stats).to_contain_text("cut: Pomona ended while this was written")
        assert chat.answers.inner_text().startswith(seen[:20])
        assert len(chat.answers.inner_text()) >= len(seen)
        expect(chat.status).to_contain_text("loads with your next message")
        chat.page.locator("#log .stats a").filter(has_text="Continue").click()
        chat.stop_button.click()
        expect(chat.stats).to_contain_text("stopped by you")
        assert chat.answers.inner_text().startswith(seen[:20])
    context.close()
