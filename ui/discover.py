"""The Discover tab: find a model that fits this computer and will really chat."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import pandas as pd

from engine import Engine
from engine.discover import Inspection, Listing
from engine.errors import EngineError
from engine.hub.files import wanted_files
from engine.records import SearchQuery
from ui.discover_filters import Filters, build_filters, read_query
from ui.errors import shows_errors
from ui.format import format_bytes
from ui.format_discover import (
    COLUMN_WIDTHS,
    DATATYPES,
    HEADERS,
    format_chips,
    format_detail,
    format_files,
    format_picks,
    format_source,
    memory_rows,
    readable_card,
    table_rows,
)

RESULT_OUTPUTS = 5
_PLOT_COLORS = {"weights": "#458a59", "context": "#d9952f", "working": "#a79b89"}


@dataclass
class Shown:
    """What one visitor's table shows: names by row, and which search is the latest."""

    repo_ids: list[str] = field(default_factory=list)
    serial: int = 0

    def begin(self) -> int:
        """Start a search; the answer to an older one is then dropped."""
        self.serial += 1
        return self.serial


@dataclass(frozen=True)
class DiscoverView:
    """The components of the tab."""

    shown: gr.State
    filters: Filters
    chips: gr.HTML
    source: gr.HTML
    retry: gr.Button
    picks: gr.HTML
    table: gr.Dataframe
    panel: gr.Column
    facts: gr.HTML
    plot: gr.BarPlot
    download: gr.Button
    files: gr.HTML
    card: gr.Markdown
    close: gr.Button

    def results(self) -> list[Any]:
        """Outputs of a search."""
        return [self.table, self.source, self.chips, self.picks, self.retry]

    def details(self) -> list[Any]:
        """Outputs of a look at one model."""
        return [self.panel, self.facts, self.plot, self.download, self.files, self.card]


def build_discover() -> DiscoverView:
    """The layout: search and filters above, the table, the details beside it."""
    filters = build_filters()
    chips = gr.HTML("", elem_id="chips")
    with gr.Row(elem_id="source-row"):
        source = gr.HTML("", elem_id="source")
        retry = gr.Button("Try again", size="sm", visible=False, scale=0, elem_id="retry")
    picks = gr.HTML("", elem_id="picks")
    with gr.Row(elem_id="discover-row"):
        with gr.Column(scale=3, min_width=300, elem_id="results-column"):
            table = gr.Dataframe(
                [], headers=HEADERS, datatype=DATATYPES, column_widths=COLUMN_WIDTHS,
                interactive=False, elem_id="models", label="Models", show_label=False,
                buttons=[], max_height=620, type="array",
            )  # fmt: skip
        with gr.Column(scale=2, min_width=300, visible=False, elem_id="detail") as panel:
            close = gr.Button("Close", size="sm", elem_id="detail-close")
            facts = gr.HTML("", elem_id="facts")
            download = gr.Button("Download", interactive=False, elem_id="download")
            plot = gr.BarPlot(
                pd.DataFrame({"context": [], "GB": [], "part": []}), x="context", y="GB",
                color="part", color_map=_PLOT_COLORS, height=220, x_title="context, tokens",
                y_title="GB", label="Memory by context", elem_id="memory-plot", buttons=[],
                sort=None,
            )  # fmt: skip
            with gr.Accordion("Files", open=False):
                files = gr.HTML("", elem_id="files")
            with gr.Accordion("Model card", open=False):
                card = gr.Markdown("", elem_id="card", sanitize_html=True)
    return DiscoverView(
        gr.State(Shown()), filters, chips, source, retry, picks, table, panel, facts, plot,
        download, files, card, close,
    )  # fmt: skip


class DiscoverHandlers:
    """What the tab does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open_tab(self, shown: Shown, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Show what is known at once, then what the Hub says."""
        query = read_query(values)
        serial = shown.begin()
        with contextlib.suppress(EngineError):  # without MLX nothing fits, and the list still helps
            await asyncio.to_thread(self._engine.inference.device_facts)
        first = await asyncio.to_thread(self._engine.discover.peek, query)
        if shown.serial == serial:
            results = await asyncio.to_thread(self._results, first, query, shown)
            yield (*results, gr.skip(), gr.skip())
        full = await asyncio.to_thread(self._engine.discover.search, query)
        names = sorted({m.summary.architecture for m in full.models} - {"unknown"})
        choices = (gr.Dropdown(choices=[("any", ""), *names]), gr.Dropdown(choices=names))
        if shown.serial == serial:
            yield (*await asyncio.to_thread(self._results, full, query, shown), *choices)
        else:
            yield (*(gr.skip() for _ in range(RESULT_OUTPUTS)), *choices)

    async def search(self, shown: Shown, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Search; an answer that a later search has overtaken is dropped."""
        query = read_query(values)
        serial = shown.begin()
        listing = await asyncio.to_thread(self._engine.discover.search, query)
        if shown.serial == serial:
            yield await asyncio.to_thread(self._results, listing, query, shown)

    async def retry(self, shown: Shown, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Ask the Hub again."""
        self._engine.discover.retry()
        async for update in self.search(shown, *values):
            yield update

    def inspect(self, shown: Shown, event: gr.SelectData) -> tuple[Any, ...]:
        """Look closely at the model of the row that was chosen."""
        row = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
        if not isinstance(row, int) or not 0 <= row < len(shown.repo_ids):
            return tuple(gr.skip() for _ in range(6))
        return _details(self._engine.discover.inspect(shown.repo_ids[row]))

    def _results(self, listing: Listing, query: SearchQuery, shown: Shown) -> tuple[Any, ...]:
        shown.repo_ids = [model.summary.repo_id for model in listing.models]
        installed = self._engine.library.names()
        is_plain = not query.text.strip()
        picks = format_picks(self._engine.discover.picks()) if is_plain else ""
        return (
            gr.Dataframe(value=table_rows(listing.models, installed)),
            format_source(listing, len(listing.models), time.time()),
            format_chips(query),
            picks,
            gr.Button(visible=bool(listing.notice)),
        )


def _details(inspection: Inspection) -> tuple[Any, ...]:
    wanted = {file.path for file in wanted_files(inspection.files)}
    size = format_bytes(inspection.download_bytes)
    return (
        gr.Column(visible=True),
        format_detail(inspection),
        gr.BarPlot(value=pd.DataFrame(memory_rows(inspection)), visible=bool(inspection.memory)),
        gr.Button(f"Download {size}: not in this version yet"),
        format_files(inspection.files, wanted),
        readable_card(inspection.readme),
    )


def wire_discover(view: DiscoverView, handlers: DiscoverHandlers, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    asked = [view.shown, *view.filters.inputs()]
    tab.select(
        shows_errors(handlers.open_tab), asked,
        [*view.results(), view.filters.architecture, view.filters.exclude_architectures], **private,
    )  # fmt: skip
    changes = [component.change for component in view.filters.quick()]
    gr.on(
        [view.filters.text.submit, *changes],
        shows_errors(handlers.search), asked, view.results(),
        trigger_mode="always_last", **private,
    )  # fmt: skip
    view.retry.click(shows_errors(handlers.retry), asked, view.results(), **private)
    view.table.select(
        shows_errors(handlers.inspect), view.shown, view.details(),
        api_visibility="private", show_progress="minimal", show_progress_on=view.facts,
    )  # fmt: skip
    view.close.click(lambda: gr.Column(visible=False), None, view.panel, queue=False, **private)
