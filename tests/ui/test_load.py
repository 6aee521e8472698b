"""Many visitors at once: nothing goes wrong, nothing is left over, and it still ends when told to.

The long form, with its memory, is ``python -m tests.visitors``.
"""

import asyncio
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

from engine.chats import Chats
from tests.browser.models import ENDLESS
from tests.models import write_model
from tests.ui.strangers import GUIDE, PASSWORD, Stranger, shared_app, stranger
from tests.visitors import Footprint, chat_for

# Kept by the server between requests, however many there were: AnyIO's, asyncio's, and a few more.
POOL_THREADS = 40 + min(32, (os.cpu_count() or 1) + 4) + 8


def test_fifty_visitors_chat_and_a_third_leave_in_the_middle(tmp_path: Path) -> None:
    with shared_app(tmp_path) as app:
        pid = app.process.pid
        before = Footprint.of(pid)
        report = asyncio.run(chat_for(app.url, pid, visitors=50, seconds=4, pause_s=(0.2, 2.0)))
        assert report.errors == []
        assert report.answers >= 50 and report.left > 0 and report.after is not None
        assert report.after.files <= before.files + 4
        assert report.after.threads <= before.threads + POOL_THREADS
        log = (tmp_path / "data" / "logs" / "pomona.log").read_text()
        assert "Traceback" not in log and "Traceback" not in (tmp_path / "stderr.txt").read_text()


async def ask_as_owner(owner: Stranger, text: str, model: str) -> None:
    """Send from the owner's page, with every other input as the page shows it at first."""
    await owner.client.post("/login", data={"password": PASSWORD})
    await owner.arrive()
    await owner.join("list_models", None)  # what may be chosen
    await owner.messages()
    config = (await owner.client.get("/config")).json()
    parts = {part["id"]: part["props"] for part in config["components"]}
    send = next(one for one in config["dependencies"] if one["api_name"] == "send")
    given: dict[str, Any] = {"message": text, "model": model}
    data = [
        given.get(parts[number].get("elem_id"), parts[number].get("value"))
        for number in send["inputs"]
    ]
    body = {"data": data, "fn_index": send["id"], "session_hash": owner.session}
    (await owner.client.post("/gradio_api/queue/join", json=body)).raise_for_status()


def wait_for_words(path: Path) -> None:
    """Wait until something of an answer is on the disk."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for _ in range(600):
            if connection.execute("SELECT 1 FROM drafts WHERE text != ''").fetchone():
                return
            time.sleep(0.1)
        raise AssertionError("no answer was begun")
    finally:
        connection.close()


def test_it_ends_when_told_to_under_load_and_keeps_the_owners_words(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / ENDLESS, layers=6, hidden=512)

    async def load(url: str) -> None:
        crowd = [asyncio.create_task(keep_asking(url)) for _ in range(20)]
        async with stranger(url) as owner:
            await ask_as_owner(owner, "My word is wombat", ENDLESS)
            await asyncio.to_thread(wait_for_words, tmp_path / "data" / "chats.sqlite3")
            app.process.send_signal(signal.SIGINT)
            status = await asyncio.to_thread(app.process.wait, 20)
        for one in crowd:
            one.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        assert status == 0

    async def keep_asking(url: str) -> None:
        async with stranger(url) as guest:
            while True:
                await guest.ask("What is a token?")

    with shared_app(tmp_path, "--guest-model", GUIDE) as app:
        asyncio.run(load(app.url))
    chats = Chats(tmp_path / "data" / "chats.sqlite3")
    try:
        (chat,) = chats.list()
        said, answer = chats.read(chat.chat_id).messages
        assert said.text == "My word is wombat" and answer.text
    finally:
        chats.close()
