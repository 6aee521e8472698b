"""Good first models as rows, each with a button that opens its details."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.discover import Pick
from ui.format import format_bytes

MOST_PICKS = 4


@dataclass(frozen=True)
class Picks:
    """The panel and its rows: (row, text, button)."""

    panel: gr.Column
    rows: tuple[tuple[gr.Row, gr.HTML, gr.Button], ...]

    def outputs(self) -> list[Any]:
        """All of them, in the order of ``show_picks``."""
        return [self.panel, *(part for row in self.rows for part in row)]

    def buttons(self) -> list[gr.Button]:
        """The button of each row."""
        return [button for _, _, button in self.rows]


def build_picks(elem_id: str) -> Picks:
    """Lay the rows out, hidden."""
    rows = []
    with gr.Column(visible=False, elem_id=elem_id, elem_classes="picks") as panel:
        gr.HTML("<h3>Good first models for this computer</h3>")
        for _ in range(MOST_PICKS):
            with gr.Row(elem_classes="pick") as row:
                text = gr.HTML("")
                button = gr.Button("Details", size="sm", scale=0, min_width=88)
            rows.append((row, text, button))
    return Picks(panel, tuple(rows))


def show_picks(picks: Sequence[Pick]) -> list[Any]:
    """Values for ``Picks.outputs``; nothing to pick hides the panel."""
    updates: list[Any] = [gr.Column(visible=bool(picks))]
    for n in range(MOST_PICKS):
        if n < len(picks):
            updates += [gr.Row(visible=True), _pick(picks[n]), gr.skip()]
        else:
            updates += [gr.Row(visible=False), gr.skip(), gr.skip()]
    return updates


def _pick(pick: Pick) -> str:
    name = html.escape(pick.repo_id.rpartition("/")[2])
    return (
        f"<b>{name}</b><span>{html.escape(pick.reason)} {format_bytes(pick.weights_bytes)}.</span>"
    )
