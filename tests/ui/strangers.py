"""Guests of a shared app as their browsers speak to it: a cookie, a session, a queue."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.app_process import RunningApp, running_app

PASSWORD = "correct horse battery"
GUIDE = "pomona/guide"
TIMEOUT_S = 60


@contextmanager
def shared_app(folder: Path, *arguments: str) -> Iterator[RunningApp]:
    """A shared app whose owner's password is PASSWORD."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "password").write_text(PASSWORD + "\n")
    with running_app(
        folder, ["--owner-password-file", str(folder / "password"), *arguments]
    ) as app:
        yield app


class Stranger:
    """One browser with the guests' page open."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.session = secrets.token_hex(6)
        self.numbers: dict[str, int] = {}

    async def arrive(self) -> None:
        """Load the page and its list of handlers."""
        (await self.client.get("/")).raise_for_status()
        config = (await self.client.get("/config")).raise_for_status().json()
        self.numbers = {one["api_name"]: one["id"] for one in config["dependencies"]}

    def body(self, name: str, *data: Any) -> dict[str, Any]:
        """A call of a handler, as the page sends it."""
        return {"data": data, "fn_index": self.numbers[name], "session_hash": self.session}

    async def join(self, name: str, *data: Any) -> httpx.Response:
        """Join the queue."""
        return await self.client.post("/gradio_api/queue/join", json=self.body(name, *data))

    async def messages(self) -> list[dict[str, Any]]:
        """Everything that the queue says to this session until all is done."""
        found = []
        url = f"/gradio_api/queue/data?session_hash={self.session}"
        async with self.client.stream("GET", url) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    found.append(json.loads(line[5:]))
                    if found[-1]["msg"] in ("close_stream", "unexpected_error"):
                        break
        return found

    async def ask(self, text: str) -> str:
        """Ask from the page; returns everything that came, as text."""
        answer = await self.join("ask", text, None, GUIDE)
        if answer.status_code != 200:
            return answer.text
        return json.dumps(await self.messages())


@asynccontextmanager
async def stranger(url: str) -> AsyncIterator[Stranger]:
    """A browser that has just arrived."""
    # The server hangs up on idle connections; a browser then asks again, this client would not.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits) as client:
        one = Stranger(client)
        await one.arrive()
        yield one
