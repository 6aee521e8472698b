"""What stands between the network and Gradio's routes."""

import os
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

QUEUE_POLL_S = 0.06
_QUEUE_POLLS = ("sleep_when_free", "progress_update_sleep_when_free")

_SPOKEN = b'"protocol":"sse_v3"'
_TOLD = b'"protocol":"sse_v2.1"'


def rest_between_polls(demo: gr.Blocks) -> None:
    """Let Gradio's queue look for work every 60 ms instead of every one.

    An idle page then takes under 1% of a core. The names are Gradio's own secrets
    (``gradio.queueing.Queue``): where they are gone, nothing is changed.
    """
    for name in _QUEUE_POLLS:
        if isinstance(getattr(demo._queue, name, None), float):
            setattr(demo._queue, name, max(QUEUE_POLL_S, getattr(demo._queue, name)))


def keep_uploads_in(folder: Path) -> None:
    """Let Gradio put what is uploaded here for as long as it is read; what a crash left goes.

    Its own choice is a folder that everybody on this computer can look into. Who has set
    ``GRADIO_TEMP_DIR`` has chosen another one.
    """
    if os.environ.setdefault("GRADIO_TEMP_DIR", str(folder)) == str(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def hang_up(server: Any, scope: Scope) -> None:
    """Cut the connection of a request, with what is still to be sent on it.

    An orderly close would wait for as long as the other side reads nothing. ``server`` is
    uvicorn's, and what it calls its connections its own secret: where that is gone, they stay.
    """
    for connection in list(getattr(getattr(server, "server_state", None), "connections", ())):
        if getattr(connection, "scope", None) is scope:
            connection.transport.abort()


class PlainPathsForClients:
    """Lets gradio_client read answers that have a ``path`` in them.

    gradio_client 2.7 takes every JSON object with a ``path`` for a file and downloads it, except
    from servers that say they speak sse_v2.1 (``Endpoint.download_files`` compares with that
    version alone). For it the two versions differ in nothing else, so /config, which only programs
    fetch, names that one. The page has its configuration built in and is not affected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != "/config":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await _send_whole(send, start, body.replace(_SPOKEN, _TOLD))

        await self._app(scope, receive, collect)


async def _send_whole(send: Send, start: Message, body: bytes) -> None:
    headers: list[Any] = [h for h in start["headers"] if h[0].lower() != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})
