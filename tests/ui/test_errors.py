"""Errors become words at the edge."""

import logging
from collections.abc import AsyncIterator

import gradio as gr
import pytest

from engine.errors import Damaged
from ui.errors import UNEXPECTED, reports_errors, shows_errors


def fails_as_known() -> None:
    raise Damaged("<b>x.safetensors</b> is broken.", "Download it again.")


def fails_unexpectedly() -> None:
    raise KeyError("hf_secret")


def test_a_program_gets_the_sentence_and_the_hint_as_plain_text() -> None:
    with pytest.raises(gr.Error) as caught:
        reports_errors(fails_as_known)()
    assert caught.value.message == "<b>x.safetensors</b> is broken. Download it again."


def test_anything_else_is_one_plain_sentence_and_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error) as caught:
        reports_errors(fails_unexpectedly)()
    assert caught.value.message == UNEXPECTED
    assert "KeyError" in caplog.text


def test_a_stream_that_fails_before_its_first_value_leaves_the_outputs_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gr, "Warning", lambda *_, **__: None)

    async def fails_at_once() -> AsyncIterator[str]:
        fails_as_known()
        yield "never"

    first = shows_errors(fails_at_once)().__anext__()
    with pytest.raises(StopIteration) as given:  # by hand: the browser's tests run a loop already
        first.send(None)
    assert given.value.value == gr.skip()
