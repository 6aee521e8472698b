"""What the Manage tab does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError
from engine.machine import disk_free_bytes
from engine.records import DownloadStatus
from ui.download_rows import RowsShown, show_rows
from ui.errors import show_toast
from ui.format import format_bytes, format_note, format_progress
from ui.format_downloads import Action
from ui.format_manage import (
    format_delete,
    format_disk,
    format_folder,
    format_memory,
)
from ui.installed import ACTIONS, show_actions, show_installed
from ui.manage_state import ManageShown
from ui.picks import format_picks

LOAD_POLL_S = 0.2
_EMPTY = "Only the Guide is here so far. Choose a model below, or look around in Discover."
_LIBRARY_OUTPUTS = 3 + 1 + 1 + ACTIONS


class ManageHandlers:
    """One method per event. Buttons act on what ``ManageShown`` says that was shown."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open_tab(self, shown: ManageShown) -> tuple[Any, ...]:
        """Look at everything, with the rows in a fresh order."""
        shown.is_open, shown.jobs, shown.note = True, RowsShown(), ""
        idle = gr.Dropdown(value=self._engine.preferences.idle_unload_min or 0)
        return (*self._everything(shown), format_folder(self._engine.settings.models_dir), idle)

    def leave_tab(self, shown: ManageShown) -> Any:
        """Fall silent. An answer still under way may wake the timer; its next tick ends it."""
        shown.is_open = False
        return gr.Timer(active=False)

    def tick(self, shown: ManageShown) -> list[Any]:
        """Look at the downloads; at the models only when a download changed its state."""
        serial = shown.begin()
        version = self._engine.downloads.version
        statuses = self._engine.downloads.list()
        if version != shown.version:
            return self._everything(shown)
        moving = self._moving(shown, statuses)
        if shown.serial != serial:
            return [gr.skip() for _ in range(len(moving) + _LIBRARY_OUTPUTS)]
        return [*moving, *(gr.skip() for _ in range(_LIBRARY_OUTPUTS))]

    def press(self, row: int, is_end: bool, shown: ManageShown) -> list[Any]:
        """A button of a download's row: what it said when it was shown is done."""
        job_id, action = shown.jobs.action(row, is_end)
        if action:
            self._attempt(lambda: self._act(action, job_id))
        return self._everything(shown)

    def choose(self, shown: ManageShown, event: gr.SelectData) -> list[Any]:
        """Open the actions of the row that was chosen."""
        repo_id = shown.rows.chosen(event)
        if not repo_id:
            return [gr.skip() for _ in range(ACTIONS)]
        shown.choose(repo_id)
        models = [self._engine.library.find(shown.chosen)]
        return show_actions(shown, models, self._loaded(), self._busy())

    def close(self, shown: ManageShown) -> Any:
        """Close the actions."""
        shown.choose("")
        return gr.Column(visible=False)

    async def load(self, shown: ManageShown) -> AsyncIterator[str]:
        """Load the chosen model, saying how far it is."""
        chosen = shown.chosen
        loading = self._engine.inference.load(chosen)
        while not loading.done():
            progress = self._engine.inference.loading().get(chosen)
            if progress and progress.total_bytes and shown.chosen == chosen:
                done = progress.done_bytes / progress.total_bytes
                yield format_progress(f"loading {format_bytes(progress.total_bytes)}", done)
            await asyncio.sleep(LOAD_POLL_S)
        if error := loading.exception():
            raise error

    def look(self, shown: ManageShown) -> list[Any]:
        """Look at everything anew."""
        return self._everything(shown)

    def unload(self, shown: ManageShown) -> list[Any]:
        """Free the chosen model's memory."""
        self._attempt(lambda: self._engine.inference.unload(shown.chosen))
        return self._everything(shown)

    def update(self, shown: ManageShown) -> list[Any]:
        """Fetch the newest revision of the chosen model."""
        if self._attempt(lambda: self._engine.downloads.update(shown.chosen)):
            shown.newest.pop(shown.chosen, None)
        return self._everything(shown)

    def repair(self, shown: ManageShown) -> list[Any]:
        """Check the chosen model's files, or fetch again those that are known to be wrong."""
        model = self._engine.library.find(shown.chosen)
        if model.is_damaged or shown.spoiled.get(shown.chosen):
            if self._attempt(lambda: self._engine.downloads.repair(shown.chosen)):
                shown.spoiled.pop(shown.chosen, None)
            return self._everything(shown)
        spoiled = self._engine.library.verify(shown.chosen)
        shown.spoiled[shown.chosen] = spoiled
        shown.note = (
            f"Not as downloaded: {', '.join(spoiled[:5])}. Repair fetches only these again."
            if spoiled
            else "Every file is as it was downloaded."
        )
        return self._everything(shown)

    def ask_delete(self, shown: ManageShown) -> tuple[Any, ...]:
        """Open the dialogue with what deleting would do."""
        plan = self._engine.library.plan_delete(shown.chosen)
        shown.deleting = plan.repo_id
        return (
            gr.Column(visible=True),
            format_delete(plan),
            gr.Button(f"Delete {format_bytes(plan.freed_bytes)}"),
        )

    def keep(self, shown: ManageShown) -> Any:
        """Close the dialogue; nothing is deleted."""
        shown.deleting = ""
        return gr.Column(visible=False)

    def delete(self, shown: ManageShown) -> list[Any]:
        """Delete the model that the dialogue was about."""
        repo_id, shown.deleting = shown.deleting, ""
        if repo_id:
            self._attempt(lambda: self._engine.library.delete(repo_id))
        return [gr.Column(visible=False), *self._everything(shown)]

    def check_updates(self, shown: ManageShown) -> list[Any]:
        """Ask the Hub which models have a newer revision."""
        ours = [m.repo_id for m in self._engine.library.list() if m.source == "pomona"]
        shown.newest = dict(self._engine.downloads.newest_revisions(ours))
        count = len(shown.newest)
        gr.Info(
            f"{count} model{'s have' if count > 1 else ' has'} a newer revision on the Hub."
            if count
            else "No newer revision was found."
        )
        return self._everything(shown)

    def set_idle(self, minutes: int) -> None:
        """Remember after how long a model that nobody uses is unloaded."""
        self._engine.keep_idle_models(minutes or None)

    def _act(self, action: Action, job_id: str) -> None:
        downloads = self._engine.downloads
        if action == "retry":
            if downloads.retry(job_id).job_id != job_id:  # a cancelled one begins as a new one
                downloads.forget(job_id)
            return
        acts: dict[str, Callable[[str], Any]] = {
            "pause": downloads.pause,
            "resume": downloads.resume,
            "cancel": downloads.cancel,
            "forget": downloads.forget,
        }
        acts[action](job_id)

    def _attempt(self, act: Callable[[], Any]) -> bool:
        """Do something that may be refused; the page is looked at anew in either case."""
        try:
            act()
        except EngineError as error:
            show_toast(error)
            return False
        return True

    def _everything(self, shown: ManageShown) -> list[Any]:
        shown.begin()
        shown.version = self._engine.downloads.version
        statuses = self._engine.downloads.list()
        return [*self._moving(shown, statuses), *self._library(shown)]

    def _moving(self, shown: ManageShown, statuses: tuple[DownloadStatus, ...]) -> list[Any]:
        is_moving = shown.is_open and any(status.is_active for status in statuses)
        rows = show_rows(shown.jobs, statuses, self._engine.downloads.problem)
        return [gr.Timer(active=is_moving), *rows]

    def _library(self, shown: ManageShown) -> list[Any]:
        models = self._engine.library.list()
        loaded = self._loaded()
        is_empty = all(model.source == "built-in" for model in models)
        picks = self._engine.discover.picks() if is_empty else ()
        shown.picks = [pick.repo_id for pick in picks]
        free_bytes = disk_free_bytes(self._engine.settings.models_dir)
        use = self._engine.inference.memory_use()
        return [
            format_note(_EMPTY) if is_empty else "",
            format_disk(models, free_bytes),
            format_memory(use.models, use.cache_bytes, use.budget_bytes),
            format_picks(picks),
            *show_installed(shown, models, loaded, self._busy()),
        ]

    def _loaded(self) -> dict[str, int]:
        return {m.repo_id: m.memory_bytes for m in self._engine.inference.loaded()}

    def _busy(self) -> set[str]:
        return {
            status.repo_id
            for status in self._engine.downloads.list()
            if status.is_active or status.state == "paused"
        }
