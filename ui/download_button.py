"""The Download button of Discover's details: what it says, what it asks, how far it is."""

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine
from engine.discover import Inspection
from engine.machine import disk_free_bytes
from engine.records import DownloadStatus
from ui.dialog import Dialog, build_dialog
from ui.format import format_bytes
from ui.format_downloads import format_job, format_plan, plan_warnings

TICK_S = 0.4
ASKING = "Asking the Hub"
_UNDER_WAY = {"queued": "Waiting", "running": "Downloading", "verifying": "Checking",
              "paused": "Paused"}  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """What can be downloaded, and why not if it cannot."""

    repo_id: str
    size_bytes: int
    refusal: str = ""


@dataclass(frozen=True)
class DownloadPanel:
    """The button and what stands under it."""

    button: gr.Button
    progress: gr.HTML
    chat: gr.Button
    manage: gr.Button
    timer: gr.Timer
    dialog: Dialog

    def outputs(self) -> list[Any]:
        """Components that ``show_offer`` gives values for."""
        return [self.button, self.progress, self.chat, self.manage, self.timer]


def build_download_panel() -> DownloadPanel:
    """The layout; the dialogue is closed."""
    with gr.Row(elem_id="download-row"):
        button = gr.Button("Download", interactive=False, variant="primary", elem_id="download")
        chat = gr.Button("Chat with it", variant="primary", visible=False, elem_id="d-chat")
        manage = gr.Button("Open Manage", visible=False, elem_id="d-manage")
    progress = gr.HTML("", elem_id="download-progress")
    dialog = build_dialog("download-dialog", "Leave it", "Download all the same")
    return DownloadPanel(button, progress, chat, manage, gr.Timer(TICK_S, active=False), dialog)


def offer_of(inspection: Inspection, free_bytes: int) -> Offer:
    """What the Hub and the disk allow.

    Of a gated repo the card can be read by those alone to whom it has been opened.
    """
    facts = inspection.ranked.summary
    size_bytes = inspection.download_bytes
    if not inspection.files:
        refusal = inspection.notice or "There is nothing in it to download."
    elif facts.is_gated and not inspection.readme:
        refusal = (
            "Its makers ask for permission first: agree on its page on the Hub, and sign in with"
            " hf auth login or HF_TOKEN."
        )
    elif size_bytes > free_bytes:
        refusal = (
            f"It needs {format_bytes(size_bytes)} on the disk, and"
            f" {format_bytes(free_bytes)} are free."
        )
    else:
        refusal = ""
    return Offer(facts.repo_id, size_bytes, refusal)


def show_offer(offer: Offer, is_installed: bool, status: DownloadStatus | None) -> list[Any]:
    """Values for ``DownloadPanel.outputs``."""
    is_under_way = status is not None and status.state in _UNDER_WAY
    if status is not None and is_under_way:
        label, can_press, below = _UNDER_WAY[status.state], False, format_job(status)
    elif is_installed:
        label, can_press, below = "Installed", False, ""
    elif status is not None and status.state == "failed":
        label, can_press, below = "Try again", True, format_job(status)
    else:
        label = f"Download {format_bytes(offer.size_bytes)}" if offer.size_bytes else "Download"
        can_press, below = not offer.refusal, _note(offer.refusal)
    return [
        gr.Button(label, interactive=can_press, visible=True),
        below,
        gr.Button(visible=is_installed and not is_under_way),
        gr.Button(visible=is_under_way),
        gr.Timer(active=status is not None and status.is_active),
    ]


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>' if text else ""


class DownloadStarter:
    """Starts downloads, and asks first where one would disappoint."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def offer(self, inspection: Inspection) -> Offer:
        """What can be downloaded of it."""
        return offer_of(inspection, disk_free_bytes(self._engine.settings.models_dir))

    def show(self, offer: Offer) -> list[Any]:
        """How the button stands now."""
        is_installed = offer.repo_id in self._engine.library.names()
        return show_offer(offer, is_installed, self.status(offer.repo_id))

    def status(self, repo_id: str) -> DownloadStatus | None:
        """The download of a model that is listed; the one under way where there are several."""
        jobs = [job for job in self._engine.downloads.list() if job.repo_id == repo_id]
        return next((job for job in jobs if job.is_active), jobs[0] if jobs else None)

    def question(self, repo_id: str) -> str:
        """What to ask before this download as markup; empty where nothing needs asking."""
        plan = self._engine.downloads.plan(repo_id)
        return format_plan(plan) if plan_warnings(plan) else ""

    def start(self, repo_id: str) -> None:
        """Start it, or go on with the one that failed."""
        status = self.status(repo_id)
        if status is not None and status.state == "failed":
            self._engine.downloads.retry(status.job_id)
        else:
            self._engine.downloads.start(repo_id)
