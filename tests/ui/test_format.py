"""Words and numbers on the page."""

import html

import pytest

from engine.records import GenerationStats
from ui.format import (
    format_bytes,
    format_duration,
    format_left_out,
    format_pill,
    format_progress,
    format_stats,
    format_status,
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 KB"),
        (640_400, "640 KB"),
        (999_499, "999 KB"),
        (999_600, "1 MB"),
        (23_000_000, "23 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.0 GB"),
        (4_640_000_000, "4.6 GB"),
        (404_000_000_000, "404.0 GB"),
    ],
)
def test_sizes_are_decimal_and_never_show_four_digits_of_a_unit(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.314, "0.31 s"), (3.14, "3.1 s"), (12, "12 s"), (185, "3 min 5 s")],
)
def test_durations_lose_precision_as_they_grow(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_the_quiet_line_says_what_the_answer_cost_and_why_it_ended() -> None:
    stats = GenerationStats(
        prompt_tokens=1200, reused_tokens=1100, output_tokens=42,
        time_to_first_token_s=0.314, decode_per_s=55.4,
    )  # fmt: skip
    assert format_stats(stats, "length") == (
        "42 tokens · 55 tokens/s · first after 0.31 s · 1,100 of 1,200 prompt tokens reused"
        " · cut at max tokens"
    )
    assert "cut" not in format_stats(stats, "stop")
    assert "stopped by you" in format_stats(stats, "cancelled")
    assert "context" in format_stats(stats, "context")


def test_an_answer_of_one_token_has_no_speed() -> None:
    line = format_stats(GenerationStats(prompt_tokens=3, output_tokens=1), "stop")
    assert line.startswith("1 token ·") and "tokens/s" not in line


@pytest.mark.parametrize("render", [format_status, format_pill, lambda t: format_progress(t, 0.5)])
def test_markup_from_outside_shows_as_text(render: object) -> None:
    assert callable(render)
    shown = render('<img src=x onerror="alert(1)">')
    assert "<img" not in shown and "&lt;img" in shown


def test_a_progress_bar_stays_within_its_ends() -> None:
    assert "width:0%" in format_progress("x", -1)
    assert "width:100%" in format_progress("x", 7)


def test_the_line_says_which_messages_the_model_did_not_see() -> None:
    note = {"count": 4, "of": 9, "first": "How do I", "last": "Like so"}
    assert format_left_out(note) == "did not see 4 of 9 messages, from “How do I” to “Like so”"
    marked = html.unescape(format_left_out({**note, "first": "*a* [b](c) <i>"}))
    assert "“*a* [b](c) <i>”" in marked
    assert not set("*[<") & set(format_left_out({**note, "first": "*a* [b](c) <i>"}))


def test_the_line_says_what_a_draft_model_gained() -> None:
    def line(gain: float) -> str:
        stats = GenerationStats(prompt_tokens=3, output_tokens=1, draft_gain=gain)
        return format_stats(stats, "stop")

    assert "1.6 times as fast with its draft model" in line(1.62)
    assert "made it slower, 0.7 times as fast" in line(0.7)
    assert "draft" not in line(0)
