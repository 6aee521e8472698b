"""The Chat tab as a person uses it."""

import re

from playwright.sync_api import Locator, Page, expect

# Until nothing in the log has changed for a while, or for ten seconds.
_REST_JS = """() => new Promise((rest) => {
  const start = () => setTimeout(() => { watch.disconnect(); rest(); }, 300);
  const watch = new MutationObserver(() => { clearTimeout(timer); timer = start(); });
  watch.observe(document.querySelector('#log'), {childList: true, subtree: true});
  let timer = start();
  setTimeout(() => { watch.disconnect(); rest(); }, 10_000);
})"""


class ChatPage:
    """What a person sees and does on the Chat tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.locator("#message textarea")
        self.questions = page.get_by_test_id("user")
        self.stats = page.locator("#log .stats")
        self.stop_button = page.locator("#message .stop-button")
        self.send_button = page.locator("#message .submit-button")
        self.status = page.locator("#model-status .pill")
        self.toast = page.locator(".toast-body")

    @property
    def answers(self) -> Locator:
        """Answers, without the lines of figures under them."""
        return self.page.get_by_test_id("bot").filter(has_not=self.page.locator(".stats"))

    def type(self, text: str) -> None:
        """Put text into the box, key by key at its end so that the page notices."""
        self.box.fill(text[:-1])
        self.box.press_sequentially(text[-1:])

    def ask(self, text: str) -> None:
        """Type and send with Enter."""
        self.type(text)
        self.box.press("Enter")

    def wait_for_answers(self, count: int) -> None:
        """Wait until ``count`` answers are complete."""
        expect(self.stats).to_have_count(count)
        expect(self.send_button).to_be_visible()

    def wait_for_words(self) -> None:
        """Wait until the endless model has begun: no line on what goes before is so long."""
        expect(self.answers.last).to_have_text(re.compile("[a-z ]{40}"))

    def rest(self) -> None:
        """Wait until the log is drawn no more: a press would miss a button drawn anew."""
        self.page.evaluate(_REST_JS)

    def retry(self) -> None:
        """Ask for another version."""
        self.rest()
        self.page.locator("#log").get_by_label("Retry").last.click()

    def choose_limited(self, name: str, max_tokens: int) -> None:
        """Pick a model that recommends nothing; once its settings have come, cut its answers."""
        self.choose_model(name)
        expect(self.status).to_have_text("ready")
        self.page.locator("#settings-button").click()
        expect(self.page.locator("#settings-note")).to_contain_text("Pomona's own")
        self.page.locator("#max-tokens input").fill(str(max_tokens))
        self.page.locator("#max-tokens input").press("Tab")

    def choose_model(self, name: str) -> None:
        """Pick a model from the list."""
        self.page.locator("#model input").click()
        self.page.get_by_role("option", name=name).click()
