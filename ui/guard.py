"""The boundary of roles: every handler asks the one policy object before it does anything.

Who may call a handler is decided here, on the server, whichever way it is called: by the page, by
its number, by its name, with or without the queue. **A handler is the owner's alone unless it is
marked**::

    view.box.submit(open_to_guests(shows_errors(handlers.send)), ...)

``build_app`` and ``build_guest_app`` end with ``guard(demo, access)``, which walks over all
handlers that were wired, so nobody can forget to ask. Marking is not enough for guests to see a
handler: they get the page of ``ui.guest_app``, where only what guests may do is wired at all.
"""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from engine.access import Access, Visitor
from engine.errors import AccessError

VISITOR_KEY = "pomona.visitor"
_MARK = "is_open_to_guests"


def open_to_guests(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a handler as one that guests may call; everything else is for the owner."""
    marked = _asking(handler, lambda: None)  # one of its own: others may wire the same function
    setattr(marked, _MARK, True)
    return marked


def is_open_to_guests(handler: Any) -> bool:
    """Whether a handler, or one that it wraps, was marked."""
    return bool(getattr(handler, _MARK, False))


def visitor_now() -> Visitor | None:
    """Whoever sent the event that is being handled; None outside of one."""
    request = LocalContext.request.get(None)
    http = getattr(request, "request", None)
    visitor = http.scope.get(VISITOR_KEY) if http is not None else None
    return visitor if isinstance(visitor, Visitor) else None


def guard(demo: gr.Blocks, access: Access) -> None:
    """Let every handler of a page ask ``access`` first."""
    for wired in demo.fns.values():
        if wired.fn is not None:
            wired.fn = _guarded(wired.fn, access)


def _guarded(handler: Callable[..., Any], access: Access) -> Callable[..., Any]:
    check = access.check_guest if is_open_to_guests(handler) else access.check_owner

    def ask() -> None:
        try:
            check(visitor_now())
        except AccessError as error:
            raise gr.Error(error.text, print_exception=False) from error

    return _asking(handler, ask)


def _asking(handler: Callable[..., Any], ask: Callable[[], None]) -> Callable[..., Any]:
    """The handler with a question before it; of the same kind, since Gradio looks at that."""
    if inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            ask()
            async with aclosing(handler(*args, **kwargs)) as values:
                async for value in values:
                    yield value

        return stream
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            ask()
            yield from handler(*args, **kwargs)

        return generate
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            ask()
            return await handler(*args, **kwargs)

        return wait

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        ask()
        return handler(*args, **kwargs)

    return call
