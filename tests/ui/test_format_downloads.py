"""What the page says of a download."""

import dataclasses
from typing import get_args

import pytest

from engine.records import DownloadPlan, DownloadState, DownloadStatus
from ui.format_downloads import (
    done_percent,
    format_downloads_head,
    format_eta,
    format_job,
    format_plan,
    format_state,
    job_actions,
    plan_warnings,
)

EVIL = '<img src=x onerror="alert(1)">'
JOB = DownloadStatus(
    "j", "o/m", "r", "running", 1_900_000_000, 4_600_000_000, bytes_per_s=38e6, eta_s=71
)
PLAN = DownloadPlan("o/m", "r", 8, 4_600_000_000, 4_600_000_000, 5 * 10**9, 9 * 10**9, 5 * 10**9,
                    "fits")  # fmt: skip


def job(state: DownloadState, **changes: object) -> DownloadStatus:
    return dataclasses.replace(JOB, state=state, **changes)  # type: ignore[arg-type]


def test_a_running_download_says_how_far_how_fast_and_how_long() -> None:
    shown = format_job(JOB)
    assert "1.9 GB of 4.6 GB · 38 MB/s · 1 min left" in shown
    assert 'aria-valuenow="41"' in shown and "downloading" in shown


def test_a_download_that_stands_still_shows_no_speed() -> None:
    stalled = format_job(job("running", bytes_per_s=0.0, eta_s=None, notice="stalled"))
    assert "stalled" in stalled and "MB/s" not in stalled and "left" not in stalled


@pytest.mark.parametrize("state", ["paused", "failed"])
def test_a_reason_to_stop_is_shown(state: DownloadState) -> None:
    assert "The disk is full." in format_job(job(state, error="The disk is full."))


def test_an_old_reason_is_gone_once_it_moves_again() -> None:
    assert "The disk is full." not in format_job(job("running", error="The disk is full."))


@pytest.mark.parametrize(
    ("position", "text"), [(1, "waiting, next in line"), (3, "waiting, 2 before it")]
)
def test_a_waiting_download_says_how_many_come_first(position: int, text: str) -> None:
    assert format_state(job("queued", position=position)) == text


def test_every_state_has_words_and_a_way_out() -> None:
    for state in get_args(DownloadState):
        assert format_state(job(state))
        assert job_actions(state)[1][0]


def test_what_moves_can_be_paused_and_what_has_ended_cannot_be_cancelled() -> None:
    for state in get_args(DownloadState):
        actions = {action for _, action in job_actions(state)}
        assert ("pause" in actions) == job(state).is_active
        assert ("cancel" in actions) == (state not in ("failed", "cancelled", "done"))


def test_only_a_whole_download_is_at_100_percent() -> None:
    assert done_percent(job("running", done_bytes=4_599_999_999)) == 99
    assert done_percent(job("verifying", done_bytes=4_600_000_000)) == 100
    assert done_percent(job("queued", done_bytes=0, total_bytes=0)) == 0
    assert done_percent(job("running", done_bytes=9_600_000_000)) == 100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "5 s left"), (13, "15 s left"), (54, "55 s left"), (59, "1 min left"),
     (200, "3 min left"), (3_599, "1 h 0 min left"), (8_000, "2 h 10 min left"),
     (300_000, "3 days left")],
)  # fmt: skip
def test_what_is_left_is_said_in_coarse_steps(seconds: float, text: str) -> None:
    assert format_eta(seconds) == text


def test_markup_from_outside_shows_as_text() -> None:
    evil = job("failed", repo_id=EVIL, error=EVIL)
    plan = dataclasses.replace(PLAN, repo_id=EVIL, blockers=(EVIL,))
    for shown in (format_job(evil), format_job(job("running", notice=EVIL)), format_plan(plan)):
        assert "<img" not in shown and "&lt;img" in shown


def test_the_head_counts_what_moves_waits_and_stands() -> None:
    assert "Nothing is being downloaded" in format_downloads_head([], 0)
    shown = format_downloads_head([JOB, job("queued"), job("paused"), job("failed")], 2)
    assert "1 under way, 1 waiting, 2 paused or failed, 2 more not shown" in shown
    assert "All done" in format_downloads_head([job("done")], 0)
    assert "The disk is gone." in format_downloads_head([JOB], 0, "The disk is gone.")


def test_only_a_download_that_disappoints_is_warned_of() -> None:
    assert plan_warnings(PLAN) == ()
    large = plan_warnings(dataclasses.replace(PLAN, fit="too large", blockers=("No template.",)))
    assert "does not fit" in large[0] and "5.0 GB" in large[0] and large[1] == "No template."
