"""Good first models as rows, each with a button that opens its details."""

import html
from collections.abc import Sequence

import gradio as gr

from engine.discover import Pick
from ui.format import format_bytes
from ui.pressed import ON_LOAD, format_button

MOST_PICKS = 4


def build_picks(elem_id: str) -> gr.HTML:
    """The panel, empty."""
    return gr.HTML("", elem_id=elem_id, elem_classes="picks", js_on_load=ON_LOAD)


def format_picks(picks: Sequence[Pick]) -> str:
    """The panel's rows; nothing to pick is nothing to see."""
    if not picks:
        return ""
    rows = "".join(_row(place, pick) for place, pick in enumerate(picks[:MOST_PICKS]))
    return f"<section><h3>Good first models for this computer</h3>{rows}</section>"


def _row(place: int, pick: Pick) -> str:
    name = pick.repo_id.rpartition("/")[2]
    return (
        f'<div class="pick"><p><b>{html.escape(name)}</b><span>{html.escape(pick.reason)}'
        f" {format_bytes(pick.weights_bytes)}.</span></p>"
        f"{format_button(place, 'Details', 'pick-button', f'Details of {name}')}</div>"
    )
