"""The edge where errors become words: one decorator for every handler.

An EngineError becomes its sentence and hint. Anything else is logged with its traceback and shown
as one plain sentence. Toasts render markup, so what goes there is escaped.
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


def as_toast(error: EngineError) -> gr.Error:
    """The toast for an error, escaped."""
    return gr.Error(html.escape(error.text), duration=12, print_exception=False, title="Sorry")


def _as_api_error(error: EngineError) -> gr.Error:
    return gr.Error(error.text, print_exception=False)


@contextmanager
def _translated(shape: Callable[[EngineError], gr.Error]) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise shape(error) from error
    except gr.Error:
        raise
    except Exception as error:
        logger.exception("a handler failed")
        raise gr.Error(UNEXPECTED, print_exception=False) from error


def _guard(shape: Callable[[EngineError], gr.Error], handler: Callable[..., Any]) -> Any:
    if inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with _translated(shape):
                async for value in handler(*args, **kwargs):
                    yield value

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _translated(shape):
            return handler(*args, **kwargs)

    return call


def shows_errors(handler: Callable[..., Any]) -> Any:
    """For handlers of the page: errors become escaped toasts."""
    return _guard(as_toast, handler)


def reports_errors(handler: Callable[..., Any]) -> Any:
    """For endpoints called by programs: errors become plain text."""
    return _guard(_as_api_error, handler)
