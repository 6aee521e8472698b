"""The list of downloads: a few rows, made once, that jobs move into and out of.

A job keeps its row as long as it is listed, so that a press never meets another job than the one
that was read. What a press does is decided here from what the row showed, never from what the
browser sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from engine.records import DownloadStatus
from ui.format_downloads import Action, format_downloads_head, format_job, job_actions

ROWS = 8
OUTPUTS_PER_ROW = 4


@dataclass(frozen=True)
class DownloadRow:
    """The components of one row."""

    row: gr.Row
    text: gr.HTML
    main: gr.Button
    end: gr.Button


@dataclass(frozen=True)
class DownloadRows:
    """The components of the list."""

    head: gr.HTML
    rows: tuple[DownloadRow, ...]

    def outputs(self) -> list[Any]:
        """All of them, in the order of ``show``."""
        return [self.head, *(part for r in self.rows for part in (r.row, r.text, r.main, r.end))]


@dataclass
class RowsShown:
    """What one visitor's rows show: per row a job and its state, or nothing."""

    jobs: list[DownloadStatus | None] = field(default_factory=lambda: [None] * ROWS)

    def place(self, statuses: Sequence[DownloadStatus]) -> int:
        """Give every job a row, the first ones first; returns how many have none.

        A finished job gives its row to one that moves.
        """
        new = {status.job_id: status for status in statuses}
        self.jobs = [new.pop(job.job_id, None) if job else None for job in self.jobs]
        for status in new.values():
            row = self._free_row(status)
            if row is not None:
                self.jobs[row] = status
        return len(statuses) - sum(job is not None for job in self.jobs)

    def action(self, row: int, is_end: bool) -> tuple[str, Action]:
        """(job id, action) of a button as it was shown; no action for an empty row."""
        job = self.jobs[row] if 0 <= row < len(self.jobs) else None
        if job is None:
            return "", ""
        return job.job_id, job_actions(job.state)[is_end][1]

    def _free_row(self, status: DownloadStatus) -> int | None:
        if None in self.jobs:
            return self.jobs.index(None)
        if not status.is_active:
            return None
        still = (n for n, job in enumerate(self.jobs) if job and job.state in ("done", "cancelled"))
        return next(still, None)


def build_download_rows() -> DownloadRows:
    """The head, and the rows, empty."""
    head = gr.HTML("", elem_id="downloads-head")
    rows = []
    for n in range(ROWS):
        with gr.Row(visible=False, elem_id=f"job-{n}", elem_classes="job-row") as row:
            text = gr.HTML("", elem_classes="job-text")
            main = gr.Button("Pause", size="sm", scale=0, min_width=88)
            end = gr.Button("Cancel", size="sm", scale=0, min_width=88)
        rows.append(DownloadRow(row, text, main, end))
    return DownloadRows(head, tuple(rows))


def show_rows(shown: RowsShown, statuses: Sequence[DownloadStatus], problem: str = "") -> list[Any]:
    """Values for ``DownloadRows.outputs``; ``problem`` says why nothing can be downloaded."""
    left_out = shown.place(statuses)
    updates: list[Any] = [format_downloads_head(statuses, left_out, problem)]
    for job in shown.jobs:
        if job is None:
            updates += [gr.Row(visible=False), gr.skip(), gr.skip(), gr.skip()]
            continue
        (main, _), (end, _) = job_actions(job.state)
        updates += [
            gr.Row(visible=True), format_job(job),
            gr.Button(main or "Pause", visible=bool(main)), gr.Button(end),
        ]  # fmt: skip
    return updates
