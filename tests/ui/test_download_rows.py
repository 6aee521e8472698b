"""A download keeps its row, and a press meets what was read."""

import dataclasses

from engine.records import DownloadState, DownloadStatus
from ui.download_rows import ROWS, RowsShown


def job(job_id: str, state: DownloadState = "running") -> DownloadStatus:
    return DownloadStatus(job_id, f"o/{job_id}", "r", state, 1, 2)


def ids(shown: RowsShown) -> list[str]:
    return [row.job_id if row else "" for row in shown.jobs]


def test_jobs_take_rows_in_their_order_and_keep_them() -> None:
    shown = RowsShown()
    assert shown.place([job("a"), job("b"), job("c")]) == 0
    shown.place([job("c"), job("b", "paused")])
    assert ids(shown)[:3] == ["", "b", "c"]
    shown.place([job("d"), job("c"), job("b", "paused")])
    assert ids(shown)[:3] == ["d", "b", "c"]


def test_a_press_does_what_the_button_said_not_what_would_fit_by_now() -> None:
    shown = RowsShown()
    shown.place([job("a"), job("b", "paused"), job("c", "failed"), job("d", "done")])
    assert [shown.action(row, False) for row in range(4)] == [
        ("a", "pause"), ("b", "resume"), ("c", "retry"), ("d", ""),
    ]  # fmt: skip
    assert [shown.action(row, True)[1] for row in range(4)] == [
        "cancel", "cancel", "forget", "forget",
    ]  # fmt: skip


def test_an_empty_or_impossible_row_does_nothing() -> None:
    shown = RowsShown()
    shown.place([job("a")])
    for row in (1, -1, ROWS, 999):
        assert shown.action(row, True) == ("", "")


def test_what_moves_takes_the_row_of_what_is_over() -> None:
    shown = RowsShown()
    over = [job(f"done{n}", "done") for n in range(ROWS)]
    assert shown.place(over) == 0
    assert shown.place([job("new"), *over]) == 1
    assert ids(shown)[0] == "new" and ids(shown)[1:] == [f"done{n}" for n in range(1, ROWS)]


def test_more_jobs_than_rows_are_counted() -> None:
    shown = RowsShown()
    jobs = [job(str(n)) for n in range(ROWS + 3)]
    assert shown.place(jobs) == 3
    assert shown.place([dataclasses.replace(j, state="done") for j in jobs]) == 3
