"""The end of a link: by the owner's button, and by the clock."""

import asyncio
import time
from pathlib import Path

import httpx

from tests.ui.strangers import PASSWORD, shared_app, stranger


def test_the_owners_button_ends_the_link_and_everybodys_session(tmp_path: Path) -> None:
    async def talk(url: str) -> None:
        async with stranger(url) as ann, stranger(url) as mine, stranger(url) as elsewhere:
            for one in (mine, elsewhere):
                await one.client.post("/login", data={"password": PASSWORD})
                await one.arrive()
            assert "chat" in await ann.ask("Hello")
            await mine.join("end")
            assert "let in no longer" in str(await mine.messages())
            page = await ann.client.get("/", headers={"accept": "text/html"})
            assert page.status_code == 403 and "This link has ended" in page.text
            for answer in (
                await ann.join("ask", "Hello", None, "pomona/guide"),
                await ann.client.get("/config"), await elsewhere.client.get("/config"),
            ):  # fmt: skip
                assert answer.status_code == 403
            assert (await mine.client.get("/config")).status_code == 200
            again = await elsewhere.client.post("/login", data={"password": PASSWORD})
            assert again.status_code == 200

    with shared_app(tmp_path) as app:
        asyncio.run(talk(app.url))


def test_a_link_ends_by_itself(tmp_path: Path) -> None:
    with shared_app(tmp_path, "--guest-hours", "0.003") as app:
        deadline = time.monotonic() + 30
        while httpx.get(app.url, timeout=30).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert "This link has ended" in httpx.get(app.url, timeout=30).text
        assert httpx.get(f"{app.url}/login", timeout=30).status_code == 200
