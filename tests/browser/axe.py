"""What axe-core says of a page."""

from importlib import resources
from typing import Any

from playwright.sync_api import Page

_AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def grave_findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical on the page as it is now."""
    if not page.evaluate("!!window.axe"):
        page.evaluate(_AXE)
    page.wait_for_timeout(400)  # names are given a moment after something was drawn
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['impact']} {one['id']}: {node['html'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
        if one["impact"] in ("serious", "critical")
    ]
