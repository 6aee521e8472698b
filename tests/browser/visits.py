"""Visits of a real browser to the real app, and answers ended that a visit has left behind."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.app_process import RunningApp

TIMEOUT_MS = 30_000
READY = "#model-status .ready"
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextmanager
def visit(browser: Browser, url: str, ready: str = READY, **looks: Any) -> Iterator[Page]:
    """A fresh visitor, whose page must not have logged an error at the end.

    ``looks`` are options of the browser's context, a desk's screen where they name none.
    """
    context = browser.new_context(**{"viewport": DESK, **looks})
    with visit_from(context, url, ready) as page:
        yield page
    context.close()


@contextmanager
def visit_from(context: BrowserContext, url: str, ready: str = READY) -> Iterator[Page]:
    """A page of a context, which keeps what it has loaded, and nothing else that it was given."""
    context.clear_cookies()
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.wait_for_selector(ready)
    yield page
    page.close()
    assert errors == []


def end_answers(browser: Browser, app: RunningApp) -> None:
    """Press Stop in every chat in which a model still writes: it would slow what comes next."""
    if not (chats := _chats_being_written(app)):
        return
    with visit(browser, app.url) as page:
        for chat_id in chats:
            page.locator(f'#chat-list [data-act=open][data-id="{chat_id}"]').click()
            end_at = time.monotonic() + TIMEOUT_MS / 1000
            while chat_id in _chats_being_written(app) and time.monotonic() < end_at:
                page.evaluate("document.querySelector('#message .stop-button')?.click()")
                page.wait_for_timeout(100)
    assert _chats_being_written(app) == []


def _chats_being_written(app: RunningApp) -> list[str]:
    file = f"file:{app.data_dir / 'chats.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(file, uri=True)) as chats:
        rows = chats.execute(
            "SELECT DISTINCT chat_id FROM messages JOIN chats USING (chat_id)"
            " WHERE state = 'writing' AND deleted_at IS NULL"
        )
        return [chat_id for (chat_id,) in rows]
