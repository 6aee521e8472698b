"""From records to what the page shows. Pure; whatever came from outside is escaped here."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from engine.records import (
    FinishReason,
    Fit,
    GenerationStats,
    LocalModel,
    MachineReport,
)

GUIDE_TITLE = "Pomona Guide"
FIT_KINDS: dict[Fit, str] = {"fits": "ok", "tight": "mid", "too large": "no", "unknown": "dim"}
_BACKENDS = {"metal": "Apple GPU", "cuda": "NVIDIA GPU", "cpu": "CPU"}
_ENDINGS: dict[FinishReason, str] = {
    "stop": "",
    "length": "cut at max tokens",
    "context": "cut: the context is full",
    "cancelled": "stopped by you",
}


def format_bytes(size_bytes: float) -> str:
    """Decimal units, as disks are sold: ``4.6 GB``, ``23 MB``, ``640 KB``."""
    if size_bytes >= 999.5e6:
        return f"{size_bytes / 1e9:.1f} GB"
    if size_bytes >= 999.5e3:
        return f"{size_bytes / 1e6:.0f} MB"
    return f"{size_bytes / 1e3:.0f} KB" if size_bytes >= 1000 else f"{size_bytes:.0f} bytes"


def format_duration(seconds: float) -> str:
    """``0.31 s``, ``12 s``, ``3 min 5 s``."""
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def format_rate(per_s: float) -> str:
    """Tokens per second, without false precision."""
    return f"{per_s:.1f} tokens/s" if per_s < 10 else f"{per_s:.0f} tokens/s"


def format_stats(stats: GenerationStats, reason: FinishReason) -> str:
    """The quiet line under an answer."""
    parts = [f"{stats.output_tokens:,} token{'s' if stats.output_tokens != 1 else ''}"]
    if stats.decode_per_s:
        parts.append(format_rate(stats.decode_per_s))
    if stats.output_tokens:
        parts.append(f"first after {format_duration(stats.time_to_first_token_s)}")
    if stats.reused_tokens:
        parts.append(f"{stats.reused_tokens:,} of {stats.prompt_tokens:,} prompt tokens reused")
    else:
        parts.append(f"{stats.prompt_tokens:,} prompt tokens")
    if stats.draft_gain >= 1:
        parts.append(f"{stats.draft_gain:.1f} times as fast with its draft model")
    elif stats.draft_gain:
        parts.append(f"its draft model made it slower, {stats.draft_gain:.1f} times as fast")
    if ending := _ENDINGS[reason]:
        parts.append(ending)
    return " · ".join(parts)


def format_left_out(left_out: Mapping[str, Any]) -> str:
    """Which messages an answer's model did not see: a run of them, by how it begins and ends."""
    count, of = int(left_out.get("count", 0)), int(left_out.get("of", 0))
    first, last = (literal(str(left_out.get(name, ""))) for name in ("first", "last"))
    return f"did not see {count:,} of {of:,} messages, from “{first}” to “{last}”"


def literal(text: str) -> str:
    """Text that neither HTML nor Markdown takes for markup."""
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in text)


def model_title(repo_id: str, is_guide: bool) -> str:
    """A model's short name: without the organisation."""
    return GUIDE_TITLE if is_guide else repo_id.rpartition("/")[2]


def format_choice(model: LocalModel) -> str:
    """One line of the model picker."""
    if model.source == "built-in":
        return f"{GUIDE_TITLE} · built in"
    note = " · damaged" if model.is_damaged else "" if model.will_chat else " · will not chat"
    return f"{model.repo_id} · {format_bytes(model.size_bytes)}{note}"


def format_pill(text: str, state: str = "") -> str:
    """A small rounded label; ``state`` is one of ready, busy, failed or empty."""
    return (
        f'<span class="pill {html.escape(state)}" role="status">'
        f'<i class="dot"></i>{html.escape(text)}</span>'
    )


def format_progress(text: str, done: float) -> str:
    """A pill with a bar; ``done`` from 0 to 1."""
    percent = max(0, min(100, round(done * 100)))
    return (
        f'<span class="pill busy" role="status"><i class="dot"></i>{html.escape(text)}'
        f'<span class="bar"><i style="width:{percent}%"></i></span></span>'
    )


def format_machine(machine: MachineReport) -> str:
    """The machine in a few words."""
    return (
        f"{_BACKENDS.get(machine.backend, machine.backend)} · "
        f"{format_bytes(machine.memory_budget_bytes)} for models"
    )


def format_status(text: str) -> str:
    """What happens before the first word of an answer."""
    return f'<span class="waiting">{html.escape(text)}</span>'


def format_age(seconds: float) -> str:
    """``just now``, ``5 minutes ago``, ``3 hours ago``, ``12 days ago``."""
    for size_s, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size_s:
            count = int(seconds // size_s)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def badge(text: str, kind: str) -> str:
    """A small coloured label; ``kind`` is ok, mid, no or dim."""
    return f'<span class="badge b-{html.escape(kind)}">{html.escape(text)}</span>'


def name_cell(repo_id: str, badges: str, facts: Sequence[str], row_id: str) -> str:
    """A name, and under it the other facts for a screen too narrow for their columns.

    ``row_id`` comes back when the row is chosen, see ui/row_ids.py.
    """
    line = html.escape(" · ".join(facts))
    name = html.escape(repo_id)
    return (
        f'<span class="m-name" data-row="{html.escape(row_id)}">{name}</span>'
        f'<span class="m-line">{badges} {line}</span>'
    )


def format_note(text: str) -> str:
    """A quiet line that a screen reader says when it changes."""
    return f'<p class="note" role="status">{html.escape(text)}</p>'


def format_memory_of(model: LocalModel) -> str:
    """The estimate and, once it has run here, what was measured."""
    parts = []
    if model.memory is not None and model.memory.total_bytes is not None:
        context = f"{model.memory.context_tokens:,} tokens"
        fit = {"tight": ", tight", "too large": ", too large for this computer"}
        about = f"about {format_bytes(model.memory.total_bytes)} at {context}"
        slow = ", packed: slower answers" if model.memory.is_slow else ""
        parts.append(about + fit.get(model.memory.fit, "") + slow)
    if model.measured_memory_bytes is not None:
        at = (
            f" at {model.measured_context_tokens:,} tokens" if model.measured_context_tokens else ""
        )
        parts.append(f"{format_bytes(model.measured_memory_bytes)} measured here{at}")
    return "; ".join(parts) or "unknown"
