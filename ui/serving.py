"""How the apps are put behind the gate, and who answers what."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import gradio as gr
from fastapi import FastAPI

from engine.access import Access
from ui.edges import rest_between_polls
from ui.gate import Gate, GuestSide
from ui.guest_app import build_guest_app, serve_guest_app
from ui.guest_requests import GuestRequests
from ui.hosts import Hosts
from ui.sharing import Sharing

MOST_JOINS = 100
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def behind_gate(access: Access, hosts: Hosts, sharing: Sharing | None = None) -> Lifespan:
    """A lifespan for the owner's app that puts it and the guests' behind the gate.

    Starlette has built its stack by then and has not served anything yet, so the gate comes before
    every other middleware, Gradio's own included.
    """
    guest_demo = build_guest_app(sharing.guests, access) if sharing is not None else None

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
                rest_between_polls(guest_demo)
                side = GuestSide(guests, _requests(guest_demo), lambda: _places(guest_demo))
                app.middleware_stack = Gate(owner, access, hosts, side)
            yield

    return lifespan


def _requests(demo: gr.Blocks) -> GuestRequests:
    names = {str(one.api_name) for one in demo.fns.values() if one.api_visibility == "public"}
    return GuestRequests(names, set(demo.fns))


def _places(demo: gr.Blocks) -> int:
    """How many events may still wait in a page's queue."""
    queue = demo._queue
    return MOST_JOINS if queue.max_size is None else queue.max_size - len(queue)
