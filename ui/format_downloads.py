"""From a download's record to what the page shows of it. Pure; foreign text is escaped here."""

import html
from collections.abc import Sequence
from typing import Literal

from engine.records import DownloadPlan, DownloadState, DownloadStatus
from ui.format import format_bytes

Action = Literal["pause", "resume", "cancel", "retry", "forget", ""]

_Button = tuple[str, Action]
_PAUSE: _Button = ("Pause", "pause")
_RESUME: _Button = ("Resume", "resume")
_CANCEL: _Button = ("Cancel", "cancel")
_AGAIN: _Button = ("Try again", "retry")
_REMOVE: _Button = ("Remove", "forget")
_NONE: _Button = ("", "")
_ACTIONS: dict[DownloadState, tuple[_Button, _Button]] = {
    "queued": (_PAUSE, _CANCEL),
    "running": (_PAUSE, _CANCEL),
    "verifying": (_PAUSE, _CANCEL),
    "paused": (_RESUME, _CANCEL),
    "failed": (_AGAIN, _REMOVE),
    "cancelled": (_AGAIN, _REMOVE),
    "done": (_NONE, _REMOVE),
}
_WORDS: dict[DownloadState, str] = {
    "running": "downloading",
    "verifying": "checking every file",
    "paused": "paused",
    "failed": "failed",
    "cancelled": "cancelled",
    "done": "done, ready to chat",
}


def job_actions(state: DownloadState) -> tuple[_Button, _Button]:
    """(label, action) of a row's two buttons; an empty label means no button."""
    return _ACTIONS[state]


def format_state(status: DownloadStatus) -> str:
    """What a download is doing, in words."""
    if status.state == "queued":
        before = status.position - 1
        return "waiting, next in line" if before < 1 else f"waiting, {before} before it"
    if status.state in ("running", "verifying") and status.notice:
        return status.notice
    return _WORDS[status.state]


def format_eta(seconds: float) -> str:
    """What is left, in steps that do not flicker: ``25 s left``, ``3 min left``, ``2 h 10 min``."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s left"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min left"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60 // 10 * 10} min left"
    return f"{minutes // 1440} days left"


def format_job(status: DownloadStatus) -> str:
    """One download: its name and state, a bar, and a line of figures or what went wrong."""
    percent = done_percent(status)
    name = html.escape(status.repo_id)
    state = html.escape(format_state(status))
    return (
        f'<div class="job {status.state}"><div class="job-head"><b>{name}</b>'
        f'<span class="job-state">{state}</span></div>{_meter(status, percent, name)}'
        f'<p class="job-line">{_line(status)}</p></div>'
    )


def done_percent(status: DownloadStatus) -> int:
    """0 to 100; 100 only when every byte is there."""
    if status.state == "done" or not status.total_bytes:
        return 100 if status.state == "done" else 0
    return max(0, min(100, 100 * status.done_bytes // status.total_bytes))


def _meter(status: DownloadStatus, percent: int, name: str) -> str:
    return (
        f'<div class="meter" role="progressbar" aria-label="{name}" aria-valuemin="0"'
        f' aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )


def _line(status: DownloadStatus) -> str:
    if status.error and not status.is_active:
        return html.escape(status.error)
    if status.state == "done":
        return html.escape(format_bytes(status.total_bytes))
    parts = [f"{format_bytes(status.done_bytes)} of {format_bytes(status.total_bytes)}"]
    if status.state == "running" and status.bytes_per_s > 0:
        parts.append(f"{format_bytes(status.bytes_per_s)}/s")
        if status.eta_s is not None:
            parts.append(format_eta(status.eta_s))
    return html.escape(" · ".join(parts))


def format_downloads_head(
    statuses: Sequence[DownloadStatus], hidden: int, problem: str = ""
) -> str:
    """The line above the rows: how many move, how many wait, what is not shown.

    ``problem`` says why nothing can be downloaded now.
    """
    if problem:
        return f'<p class="note" role="status">{html.escape(problem)}</p>'
    if not statuses:
        return '<p class="note">Nothing is being downloaded.</p>'
    moving = sum(status.state in ("running", "verifying") for status in statuses)
    waiting = sum(status.state == "queued" for status in statuses)
    still = sum(status.state in ("paused", "failed") for status in statuses)
    parts = [
        f"{moving} under way" if moving else "",
        f"{waiting} waiting" if waiting else "",
        f"{still} paused or failed" if still else "",
        f"{hidden} more not shown" if hidden else "",
    ]
    text = ", ".join(filter(None, parts)) or "All done."
    return f'<p class="note" role="status">{text}</p>'


def plan_warnings(plan: DownloadPlan) -> tuple[str, ...]:
    """Sentences to read before a download that will not do what most people want from it."""
    too_large = plan.fit == "too large"
    memory = f"about {format_bytes(plan.memory_bytes)} of memory" if plan.memory_bytes else "more"
    fit = f"It does not fit this computer: a usual chat takes {memory}." if too_large else ""
    return tuple(filter(None, (fit, *plan.blockers)))


def format_plan(plan: DownloadPlan) -> str:
    """What the person is asked before such a download."""
    reasons = "".join(f"<li>{html.escape(text)}</li>" for text in plan_warnings(plan))
    return (
        f"<h3>Download {html.escape(plan.repo_id)} all the same?</h3><ul>{reasons}</ul>"
        f'<p class="note">{plan.file_count:,} files, {format_bytes(plan.fetch_bytes)} to fetch.</p>'
    )
