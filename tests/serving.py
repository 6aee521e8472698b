"""Routes of ours behind the web server that Gradio uses, without the page."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute


@contextmanager
def serving(
    *routes: BaseRoute, on_server: Callable[[uvicorn.Server], object] = lambda _: None
) -> Iterator[str]:
    """Serve routes on a free port of this computer; gives the address.

    The system holds little of what a client does not read, so that the server notices soon.
    """
    config = uvicorn.Config(
        Starlette(routes=routes), log_level="critical", lifespan="off", ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    on_server(server)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    line.bind(("127.0.0.1", 0))
    port = line.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([line],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(5)
