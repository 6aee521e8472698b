"""How the apps are put behind the gate, and who answers what."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import gradio as gr
from fastapi import FastAPI

from engine.access import Access
from ui.gate import Gate, GuestSide
from ui.guest_app import serve_guest_app
from ui.guest_requests import GuestRequests
from ui.hosts import Hosts

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def behind_gate(access: Access, hosts: Hosts, guest_demo: gr.Blocks | None = None) -> Lifespan:
    """A lifespan for the owner's app that puts it and the guests' behind the gate.

    Starlette has built its stack by then and has not served anything yet, so the gate comes before
    every other middleware, Gradio's own included.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        owner = app.middleware_stack
        assert owner is not None
        async with AsyncExitStack() as stack:
            if guest_demo is None:
                app.middleware_stack = Gate(owner, access, hosts)
            else:
                guests = serve_guest_app(guest_demo)
                await stack.enter_async_context(guests.router.lifespan_context(guests))
                side = GuestSide(guests, _requests(guest_demo), lambda: _is_full(guest_demo))
                app.middleware_stack = Gate(owner, access, hosts, side)
            yield

    return lifespan


def _requests(demo: gr.Blocks) -> GuestRequests:
    names = {str(one.api_name) for one in demo.fns.values() if one.api_visibility == "public"}
    return GuestRequests(names, set(demo.fns))


def _is_full(demo: gr.Blocks) -> bool:
    queue = demo._queue
    return queue.max_size is not None and len(queue) >= queue.max_size
