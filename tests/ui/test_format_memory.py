"""The plot of a model's memory, as markup."""

import re

from engine.estimates import KVCacheSize, MemoryEstimate
from ui.format_memory import format_memory_plot

GB = 10**9


def estimate(context_tokens: int, budget_bytes: int | None) -> MemoryEstimate:
    return MemoryEstimate(
        4 * GB, KVCacheSize(0, 1_000_000), context_tokens, GB, budget_bytes
    )  # fmt: skip


def widths(markup: str) -> list[float]:
    return [float(width) for width in re.findall(r"width:([\d.]+)%", markup)]


def test_every_context_has_its_total_and_its_fit_in_words() -> None:
    plot = format_memory_plot([estimate(2_000, 10 * GB), estimate(8_000, 10 * GB)])
    text = re.sub(r"<[^>]*>", " ", plot)
    assert re.search(r"2,000 tokens\s+7.0 GB\s+fits", text)
    assert re.search(r"8,000 tokens\s+13.0 GB\s+too large", text)
    assert "of 10.0 GB for models on this computer" in text
    assert "weights 4.0 GB, context 8.0 GB, working 1.0 GB" in plot


def test_bars_are_to_scale_and_stay_inside() -> None:
    plot = format_memory_plot([estimate(2_000, 10 * GB), estimate(8_000, 10 * GB)])
    first, second = widths(plot)[:3], widths(plot)[3:]
    assert round(sum(second)) == 100 and abs(sum(first) - 100 * 7 / 13) < 0.1
    assert f"left:{100 * 10 / 13:.2f}%" in plot


def test_a_small_model_on_a_large_computer_can_still_be_seen() -> None:
    plot = format_memory_plot([estimate(1_000, 500 * GB)])
    assert round(sum(widths(plot))) == 50 and "left:" not in plot


def test_what_is_not_known_draws_nothing() -> None:
    assert format_memory_plot([]) == ""
    plot = format_memory_plot([estimate(1_000, None)])
    assert "unknown" in plot and "this computer" not in plot
