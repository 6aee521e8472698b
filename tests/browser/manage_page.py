"""The Discover and Manage tabs as a person uses them."""

import re

from playwright.sync_api import Locator, Page, expect


class ManagePage:
    """What a person sees and does on the Manage tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.head = page.locator("#downloads-head")
        self.jobs = page.locator(".job-row")
        self.dialog = page.locator("#delete-dialog")
        self.actions = page.locator("#actions")
        self.toast = page.locator(".toast-body")

    def open(self) -> None:
        """Go to the tab."""
        self.page.get_by_role("tab", name="Manage").click()
        expect(self.head).not_to_be_empty()

    def job(self, repo_id: str) -> Locator:
        """The row of a download."""
        return self.jobs.filter(has_text=repo_id)

    def percent(self, repo_id: str) -> int:
        """How far a download's bar is."""
        bar = self.job(repo_id).get_by_role("progressbar")
        return int(bar.get_attribute("aria-valuenow") or "0")

    def press(self, repo_id: str, button: str) -> None:
        """Press a button of a download's row."""
        self.job(repo_id).get_by_role("button", name=button).click()

    def row(self, repo_id: str) -> Locator:
        """The cell with the name of an installed model."""
        cells = self.page.locator("#installed [role=gridcell] .m-name")
        return cells.filter(has_text=re.compile(f"^{re.escape(repo_id)}$"))

    def choose(self, repo_id: str) -> None:
        """Open the actions of an installed model."""
        self.row(repo_id).click()
        expect(self.actions.locator("h3")).to_have_text(repo_id)


class DiscoverPage:
    """What a person sees and does on the Discover tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.source = page.locator("#source")
        self.search = page.locator("#search input, #search textarea")
        self.names = page.locator("#models [role=gridcell] .m-name")
        self.chips = page.locator("#chips button")
        self.title = page.locator("#detail-head h3")
        self.download = page.locator("#download")
        self.progress = page.locator("#download-progress")

    def open(self) -> None:
        """Go to the tab and wait for what the Hub says."""
        self.page.get_by_role("tab", name="Discover").click()
        expect(self.source).to_contain_text(re.compile("model.* · .*Hub"))

    def find(self, text: str) -> None:
        """Search."""
        self.search.fill(text)
        self.page.keyboard.press("Enter")

    def choose(self, repo_id: str) -> None:
        """Open the details of a model in the table."""
        self.names.filter(has_text=repo_id).first.click()
        expect(self.title).to_have_text(repo_id)
