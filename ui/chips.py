"""The active filters as buttons; pressing one takes its filter away.

What a press takes away is looked up by the button's place in what the server showed.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.records import SearchQuery
from ui.discover_filters import Filters
from ui.format import format_bytes
from ui.pressed import ON_LOAD, format_button

MOST_CHIPS = 16
_FILTERS = [field.name for field in dataclasses.fields(Filters)]


@dataclass(frozen=True)
class Chip:
    """An active filter: its label, the filter's name, and its value without this."""

    label: str
    filter: str
    value_without: Any


def chips_of(query: SearchQuery) -> list[Chip]:
    """The active filters of a search."""
    text = query.text.strip()
    chips = [Chip(f"“{text[:40]}”", "text", "")] if text else []
    if query.fits_only:
        chips.append(Chip("fits this computer", "fits_only", False))
    if query.chat_ready_only:
        chips.append(Chip("will chat", "chat_ready_only", False))
    for name in ("model_type", "size_class", "quantization", "architecture"):
        if value := getattr(query, name):
            chips.append(Chip(value, name, ""))
    for name in query.exclude_architectures:
        others = [other for other in query.exclude_architectures if other != name]
        chips.append(Chip(f"not {name}", "exclude_architectures", others))
    for tag in query.tags:
        rest = ", ".join(other for other in query.tags if other != tag)
        chips.append(Chip(f"tag {tag}", "tags", rest))
    if query.min_downloads:
        chips.append(Chip(f"at least {query.min_downloads:,} downloads", "min_downloads", 0))
    if query.min_likes:
        chips.append(Chip(f"at least {query.min_likes:,} likes", "min_likes", 0))
    if query.max_weights_bytes:
        chips.append(Chip(f"at most {format_bytes(query.max_weights_bytes)}", "max_gb", 0))
    return chips[:MOST_CHIPS]


def build_chips() -> gr.HTML:
    """The row of chips, empty."""
    return gr.HTML("", elem_id="chips", js_on_load=ON_LOAD)


def format_chips(chips: Sequence[Chip]) -> str:
    """The chips as buttons."""
    return "".join(
        format_button(place, chip.label, "chip", f"{chip.label} remove this filter")
        for place, chip in enumerate(chips)
    )


def without_chip(chips: Sequence[Chip], place: int) -> list[Any]:
    """Values for ``Filters.inputs`` once the chip at ``place`` is taken away."""
    if not 0 <= place < len(chips):
        return [gr.skip() for _ in _FILTERS]
    chip = chips[place]
    return [
        _set(chip.value_without) if name == chip.filter else gr.skip() for name in _FILTERS
    ]  # fmt: skip


def _set(value: Any) -> Any:
    return gr.update(value=value)
