"""The Manage tab: which models are on this computer, and which are in memory."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine
from ui.errors import shows_errors
from ui.format import format_folder, library_rows

HEADERS = ["Model", "Size", "Quantisation", "Context", "Memory", "Fit", "Source", "State"]


@dataclass(frozen=True)
class ManageView:
    """The components of the tab."""

    table: gr.Dataframe
    folder: gr.HTML
    refresh: gr.Button


def build_manage() -> ManageView:
    """The layout: the installed models, and where they live."""
    gr.Markdown("### Installed models")
    table = gr.Dataframe(
        [], headers=HEADERS, interactive=False, elem_id="installed", label="Installed models",
        show_label=False, buttons=[], wrap=True, datatype="str",
    )  # fmt: skip
    folder = gr.HTML("", elem_id="models-folder")
    refresh = gr.Button("Look again", size="sm", elem_id="manage-refresh")
    return ManageView(table, folder, refresh)


class ManageHandlers:
    """What the tab does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def show(self) -> tuple[Any, ...]:
        """The library as it is on disk now."""
        loaded = {m.repo_id: m.memory_bytes for m in self._engine.inference.loaded()}
        rows = library_rows(self._engine.library.list(), loaded)
        return rows, format_folder(self._engine.settings.models_dir)


def wire_manage(view: ManageView, handlers: ManageHandlers, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    shown = [view.table, view.folder]
    for event in (tab.select, view.refresh.click):
        event(
            shows_errors(handlers.show), None, shown, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
