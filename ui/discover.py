"""The Discover tab: find a model that fits this computer and will really chat."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ui.chips import build_chips
from ui.discover_filters import Filters, build_filters
from ui.discover_handlers import DiscoverHandlers, Shown
from ui.download_button import DownloadPanel, build_download_panel
from ui.errors import shows_errors
from ui.format_discover import COLUMN_WIDTHS, DATATYPES, HEADERS
from ui.picks import build_picks
from ui.theme import REVEAL_JS


@dataclass(frozen=True)
class DiscoverView:
    """The components of the tab."""

    shown: gr.State
    filters: Filters
    chips: gr.HTML
    source: gr.HTML
    retry: gr.Button
    picks: gr.HTML
    empty: gr.HTML
    table: gr.Dataframe
    panel: gr.Column
    head: gr.HTML
    facts: gr.HTML
    download: DownloadPanel
    plot: gr.HTML
    files: gr.HTML
    card: gr.Markdown
    close: gr.Button

    def results(self) -> list[Any]:
        """Outputs of a search."""
        return [self.table, self.source, self.retry, self.empty, self.chips, self.picks]

    def details(self) -> list[Any]:
        """Outputs of a look at one model."""
        return [
            self.panel,
            self.head,
            self.facts,
            self.plot,
            self.files,
            self.card,
            *self.download.outputs(),
        ]


def build_discover() -> DiscoverView:
    """The layout: search and filters above, the table, the details beside it."""
    filters = build_filters()
    chips = build_chips()
    with gr.Row(elem_id="source-row"):
        source = gr.HTML("", elem_id="source")
        retry = gr.Button("Try again", size="sm", visible=False, scale=0, elem_id="retry")
    picks = build_picks("picks")
    with gr.Row(elem_id="discover-row"):
        with gr.Column(scale=3, min_width=300, elem_id="results-column"):
            empty = gr.HTML("", elem_id="nothing-found")
            table = gr.Dataframe(
                [], headers=HEADERS, datatype=DATATYPES, column_widths=COLUMN_WIDTHS,
                interactive=False, elem_id="models", label="Models", show_label=False,
                buttons=[], max_height=620, type="array",
            )  # fmt: skip
        with gr.Column(scale=2, min_width=300, visible=False, elem_id="detail") as panel:
            close = gr.Button("Close", size="sm", elem_id="detail-close")
            head = gr.HTML("", elem_id="detail-head")
            download = build_download_panel()
            facts = gr.HTML("", elem_id="facts")
            plot = gr.HTML("", elem_id="memory-plot")
            with gr.Accordion("Files", open=False):
                files = gr.HTML("", elem_id="files")
            with gr.Accordion("Model card", open=False):
                card = gr.Markdown("", elem_id="card", sanitize_html=True)
    return DiscoverView(
        gr.State(Shown()), filters, chips, source, retry, picks, empty, table, panel, head,
        facts, download, plot, files, card, close,
    )  # fmt: skip


def wire_discover(view: DiscoverView, handlers: DiscoverHandlers, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    asked = [view.shown, *view.filters.inputs()]
    repaint = shows_errors(handlers.repaint)
    opened = tab.select(
        shows_errors(handlers.open_tab), asked,
        [*view.results(), view.filters.architecture, view.filters.exclude_architectures], **private,
    )  # fmt: skip
    changes = [component.change for component in view.filters.quick()]
    search = shows_errors(handlers.search)
    searched = gr.on(
        [view.filters.text.submit, *changes], search, asked, view.results(),
        trigger_mode="always_last", **private,
    )  # fmt: skip
    removed = view.chips.select(
        shows_errors(handlers.remove_chip), view.shown, view.filters.inputs(), **private
    ).then(search, asked, view.results(), **private)
    retried = view.retry.click(shows_errors(handlers.retry), asked, view.results(), **private)
    for results in (opened, searched, removed, retried):
        results.then(repaint, view.shown, view.table, **private)
    view.table.select(shows_errors(handlers.inspect), view.shown, view.details(), **private).then(
        None, None, None, js=REVEAL_JS % "detail", **private
    )
    view.picks.select(
        shows_errors(handlers.inspect_pick), view.shown, view.details(), **private
    ).then(None, None, None, js=REVEAL_JS % "detail", **private)
    view.close.click(lambda: gr.Column(visible=False), None, view.panel, queue=False, **private)
    _wire_download(view, handlers, tab, private)


def _wire_download(
    view: DiscoverView, handlers: DiscoverHandlers, tab: gr.Tab, private: dict[str, Any]
) -> None:
    panel, dialog = view.download, view.download.dialog
    standing = panel.outputs()
    tab.select(shows_errors(handlers.come_back), view.shown, standing, **private)
    panel.timer.tick(shows_errors(handlers.follow), view.shown, standing, **private)
    panel.button.click(
        shows_errors(handlers.press), view.shown, [*standing, dialog.panel, dialog.text], **private
    ).then(None, None, None, js=dialog.open_js, **private)
    dialog.keep.click(lambda: gr.Column(visible=False), None, dialog.panel, queue=False, **private)
    dialog.confirm.click(
        shows_errors(handlers.confirm), view.shown, [*standing, dialog.panel], **private
    )
