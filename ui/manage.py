"""The Manage tab: downloads, installed models, and what they take of disk and memory."""

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ui.dialog import Dialog, build_dialog
from ui.download_rows import ROWS, DownloadRows, build_download_rows
from ui.errors import shows_errors
from ui.installed import InstalledView, build_installed
from ui.kept_prompts import KeptPromptsView, build_kept_prompts
from ui.manage_handlers import ManageHandlers
from ui.manage_state import ManageShown
from ui.picks import build_picks
from ui.theme import REVEAL_JS

TICK_S = 0.3
IDLE_CHOICES: list[Any] = [
    ("never", 0), ("after 5 minutes", 5), ("after 15 minutes", 15), ("after an hour", 60),
]  # fmt: skip


@dataclass(frozen=True)
class ManageView:
    """The components of the tab."""

    shown: gr.State
    downloads: DownloadRows
    timer: gr.Timer
    refresh: gr.Button
    check_updates: gr.Button
    empty: gr.HTML
    picks: gr.HTML
    installed: InstalledView
    disk: gr.HTML
    memory: gr.HTML
    idle: gr.Dropdown
    folder: gr.HTML
    dialog: Dialog
    kept: KeptPromptsView

    def moving(self) -> list[Any]:
        """Outputs of a look at the downloads."""
        return [self.timer, *self.downloads.outputs()]

    def library(self) -> list[Any]:
        """Outputs of a look at the models."""
        return [self.empty, self.disk, self.memory, self.picks,
                *self.installed.outputs()]  # fmt: skip

    def everything(self) -> list[Any]:
        """Outputs of a look at both."""
        return [*self.moving(), *self.library()]


def build_manage() -> ManageView:
    """The layout: downloads, then models, then disk and memory."""
    timer = gr.Timer(TICK_S, active=False)
    gr.HTML("<h2>Downloads</h2>", elem_classes="heading")
    downloads = build_download_rows()
    with gr.Row(elem_id="installed-head"):
        gr.HTML("<h2>Installed models</h2>", elem_classes="heading")
        check = gr.Button("Check for updates", size="sm", scale=0, elem_id="check-updates")
        refresh = gr.Button("Look again", size="sm", scale=0, elem_id="manage-refresh")
    empty = gr.HTML("", elem_id="no-models")
    picks = build_picks("manage-picks")
    installed = build_installed()
    with gr.Row(elem_id="room"):
        disk = gr.HTML("", elem_id="disk")
        memory = gr.HTML("", elem_id="memory")
    with gr.Row(elem_id="manage-foot"):
        folder = gr.HTML("", elem_id="models-folder")
        idle = gr.Dropdown(
            IDLE_CHOICES, label="Unload unused models", elem_id="idle-unload",
            filterable=False, scale=0, min_width=260,
        )  # fmt: skip
    kept = build_kept_prompts()
    dialog = build_dialog("delete-dialog", "Keep it", "Delete")
    return ManageView(gr.State(ManageShown()), downloads, timer, refresh, check, empty, picks,
                      installed, disk, memory, idle, folder, dialog, kept)  # fmt: skip


def wire_manage(view: ManageView, handlers: ManageHandlers, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    everything = view.everything()
    opened = [*everything, view.folder, view.idle]
    tab.select(shows_errors(handlers.open_tab), view.shown, opened, **private)
    view.refresh.click(shows_errors(handlers.open_tab), view.shown, opened, **private)
    view.timer.tick(shows_errors(handlers.tick), view.shown, everything, **private)
    view.check_updates.click(
        shows_errors(handlers.check_updates), view.shown, everything,
        api_visibility="private", show_progress="minimal", show_progress_on=view.check_updates,
    )  # fmt: skip
    view.idle.input(shows_errors(handlers.set_idle), view.idle, None, **private)
    for n in range(ROWS):
        row = view.downloads.rows[n]
        for button, is_end in ((row.main, False), (row.end, True)):
            press = functools.partial(handlers.press, n, is_end)
            button.click(shows_errors(press), view.shown, everything, **private)
    _wire_installed(view, handlers, private)


def _wire_installed(view: ManageView, handlers: ManageHandlers, private: dict[str, Any]) -> None:
    installed, dialog, everything = view.installed, view.dialog, view.everything()
    installed.table.select(
        shows_errors(handlers.choose), view.shown, installed.actions(), **private
    ).then(None, None, None, js=REVEAL_JS % "actions", **private)
    installed.close.click(shows_errors(handlers.close), view.shown, installed.panel, **private)
    installed.load.click(shows_errors(handlers.load), view.shown, installed.note, **private).then(
        shows_errors(handlers.look), view.shown, everything, **private
    )
    installed.unload.click(shows_errors(handlers.unload), view.shown, everything, **private)
    installed.update.click(shows_errors(handlers.update), view.shown, everything, **private)
    installed.repair.click(shows_errors(handlers.repair), view.shown, everything, **private)
    asked = [dialog.panel, dialog.text, dialog.confirm]
    installed.delete.click(shows_errors(handlers.ask_delete), view.shown, asked, **private).success(
        None, None, None, js=dialog.open_js, **private
    )
    dialog.keep.click(shows_errors(handlers.keep), view.shown, dialog.panel, **private)
