"""The edge where errors become words: one decorator for every handler.

An EngineError becomes its sentence and hint. Anything else is logged with its traceback and shown
as one plain sentence. The page gets a toast and keeps what it shows: an exception that reaches
Gradio would cover every output with the word "Error". Toasts render markup, so it is escaped.
"""

import functools
import html
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from engine.errors import EngineError

logger = logging.getLogger(__name__)
UNEXPECTED = "Something went wrong inside Pomona. The log has the details."
TOAST_S = 12


def show_toast(error: EngineError) -> None:
    """Show an error on the page of the visitor whose event is being handled."""
    gr.Warning(html.escape(error.text), duration=TOAST_S, title="Sorry")


@contextmanager
def telling_errors(tell: Callable[[EngineError], None]) -> Iterator[None]:
    """Tell of whatever goes wrong inside: an EngineError as it is, anything else as one of ours."""
    try:
        yield
    except EngineError as error:
        tell(error)
    except gr.Error:
        raise
    except Exception as error:
        logger.exception("a handler failed")
        unexpected = EngineError(UNEXPECTED)
        unexpected.__cause__ = error
        tell(unexpected)


def _guard(tell: Callable[[EngineError], None], handler: Callable[..., Any]) -> Any:
    if inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            has_shown = False
            with telling_errors(tell):
                async for value in handler(*args, **kwargs):
                    has_shown = True
                    yield value
            if not has_shown:  # Gradio would empty every output
                yield gr.skip()

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with telling_errors(tell):
            return handler(*args, **kwargs)
        return gr.skip()

    return call


def shows_errors(handler: Callable[..., Any]) -> Any:
    """Make a toast of the errors of a handler of the page; its outputs stay as they are."""
    return _guard(show_toast, handler)


def reports_errors(handler: Callable[..., Any]) -> Any:
    """Raise the errors of an endpoint to the program that called it, as plain text."""
    return _guard(_raise_plain, handler)


def _raise_plain(error: EngineError) -> None:
    raise gr.Error(error.text, print_exception=False) from error
