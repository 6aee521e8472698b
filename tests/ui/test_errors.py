"""Errors become words at the edge."""

import logging

import gradio as gr
import pytest

from engine.errors import Damaged
from ui.errors import UNEXPECTED, reports_errors


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
