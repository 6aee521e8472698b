"""The installed models of Manage: the table, and what can be done with the chosen one."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.records import LocalModel
from ui.format import format_note
from ui.format_manage import (
    COLUMN_WIDTHS,
    DATATYPES,
    HEADERS,
    format_model,
    installed_rows,
    why_not_deleted,
)
from ui.manage_state import ManageShown

ACTIONS = 9


@dataclass(frozen=True)
class InstalledView:
    """The table and the actions beside it."""

    table: gr.Dataframe
    panel: gr.Column
    facts: gr.HTML
    note: gr.HTML
    chat: gr.Button
    load: gr.Button
    unload: gr.Button
    update: gr.Button
    repair: gr.Button
    delete: gr.Button
    close: gr.Button

    def outputs(self) -> list[Any]:
        """Components that ``show_installed`` gives values for."""
        return [self.table, *self.actions()]

    def actions(self) -> list[Any]:
        """Components that ``show_actions`` gives values for."""
        return [self.panel, self.facts, self.note, self.chat, self.load, self.unload, self.update,
                self.repair, self.delete]  # fmt: skip


def build_installed() -> InstalledView:
    """The layout: the table, and a panel that a row opens."""
    with gr.Row(elem_id="installed-row"):
        with gr.Column(scale=3, min_width=300, elem_id="installed-column"):
            table = gr.Dataframe(
                [], headers=HEADERS, datatype=DATATYPES, column_widths=COLUMN_WIDTHS,
                interactive=False, elem_id="installed", label="Installed models",
                show_label=False, buttons=[], max_height=420, type="array",
            )  # fmt: skip
        with gr.Column(scale=2, min_width=300, visible=False, elem_id="actions") as panel:
            close = gr.Button("Close", size="sm", elem_id="actions-close")
            facts = gr.HTML("", elem_id="actions-facts")
            note = gr.HTML("", elem_id="actions-note")
            with gr.Row(elem_id="actions-buttons"):
                chat = gr.Button("Chat with it", variant="primary", elem_id="m-chat", size="md")
                load = gr.Button("Load", elem_id="m-load", size="md")
                unload = gr.Button("Unload", elem_id="m-unload", size="md")
                update = gr.Button("Update", elem_id="m-update", size="md")
                repair = gr.Button("Check the files", elem_id="m-repair", size="md")
                delete = gr.Button("Delete…", variant="stop", elem_id="m-delete", size="md")
    return InstalledView(table, panel, facts, note, chat, load, unload, update, repair, delete,
                         close)  # fmt: skip


def show_installed(
    shown: ManageShown,
    models: Sequence[LocalModel],
    loaded: Mapping[str, int],
    busy: Collection[str],
) -> list[Any]:
    """Values for ``InstalledView.outputs``; notes which row is which model."""
    now_at = time.time()
    row_ids = shown.rows.issue([model.repo_id for model in models])
    rows = installed_rows(models, loaded, busy, shown.newest, now_at, row_ids)
    return [gr.Dataframe(value=rows), *show_actions(shown, models, loaded, busy)]


def show_actions(
    shown: ManageShown,
    models: Sequence[LocalModel],
    loaded: Mapping[str, int],
    busy: Collection[str],
) -> list[Any]:
    """Values for ``InstalledView.actions``: what the chosen model allows."""
    model = next((model for model in models if model.repo_id == shown.chosen), None)
    if model is None:
        shown.choose("")
        return [gr.Column(visible=False), *(gr.skip() for _ in range(ACTIONS - 1))]
    newest = shown.newest.get(model.repo_id, "")
    is_loaded, is_busy = model.repo_id in loaded, model.repo_id in busy
    is_ours = model.source == "pomona"
    no_delete = why_not_deleted(model, is_loaded)
    needs_repair = model.is_damaged or bool(shown.spoiled.get(model.repo_id))
    return [
        gr.Column(visible=True),
        format_model(model, loaded.get(model.repo_id), newest, time.time()),
        format_note(shown.note or no_delete),
        gr.Button(interactive=model.will_chat and not is_busy),
        gr.Button(visible=not is_loaded, interactive=not model.is_damaged and not is_busy),
        gr.Button(visible=is_loaded),
        gr.Button(visible=is_ours and bool(newest), interactive=not is_busy),
        gr.Button(
            "Repair" if needs_repair else "Check the files",
            visible=is_ours,
            interactive=not is_busy,
        ),
        gr.Button(interactive=not no_delete and not is_busy),
    ]
