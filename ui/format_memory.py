"""The memory that a model takes by context, as a small plot of markup. Pure."""

import html
from collections.abc import Sequence

from engine.estimates import MemoryEstimate
from ui.format import FIT_KINDS, badge, format_bytes

_PARTS = ("weights", "context", "working")


def format_memory_plot(memory: Sequence[MemoryEstimate]) -> str:
    """A bar per context, split into its parts, beside the line of what this computer has.

    Every length is said in words too: the bars are for the eye alone.
    """
    if not memory:
        return ""
    budget_bytes = memory[0].budget_bytes
    most_bytes = max(estimate.total_bytes or 0 for estimate in memory)
    scale_bytes = max(most_bytes, min(budget_bytes or 0, 2 * most_bytes), 1)
    bars = "".join(_bar(estimate, scale_bytes) for estimate in memory)
    legend = "".join(f'<li><i class="{part}"></i><span>{part}</span></li>' for part in _PARTS)
    if budget_bytes:
        legend += f"<li>of {format_bytes(budget_bytes)} for models on this computer</li>"
    return (
        '<div class="detail"><h4>Memory by context</h4><table class="bars">'
        f'{bars}</table><div class="stack"><ul>{legend}</ul></div></div>'
    )


def _bar(estimate: MemoryEstimate, scale_bytes: int) -> str:
    sizes = (estimate.weights_bytes, estimate.kv_bytes or 0, estimate.working_bytes or 0)
    parts = "".join(
        f'<i class="{part}" style="width:{100 * size / scale_bytes:.2f}%"></i>'
        for part, size in zip(_PARTS, sizes, strict=True)
    )
    budget_bytes, line = estimate.budget_bytes, ""
    if budget_bytes and budget_bytes <= scale_bytes:
        line = f'<b style="left:{100 * budget_bytes / scale_bytes:.2f}%"></b>'
    words = ", ".join(
        f"{part} {format_bytes(size)}" for part, size in zip(_PARTS, sizes, strict=True)
    )
    fit = badge(estimate.fit, FIT_KINDS[estimate.fit])
    return (
        f"<tr><th>{estimate.context_tokens:,} tokens</th>"
        f'<td title="{html.escape(words)}"><div class="scale" aria-hidden="true">{parts}{line}'
        f"</div></td><td>{format_bytes(estimate.total_bytes or 0)}</td><td>{fit}</td></tr>"
    )
