"""Which model a chosen row is."""

from typing import Any

import gradio as gr
import pytest

from ui.format import name_cell
from ui.row_ids import KEPT_LISTS, RowIds


def choose(cell: Any) -> gr.SelectData:
    """A click on a row whose first cell is ``cell``, as the browser sends it."""
    return gr.SelectData(None, {"index": [0, 0], "value": cell, "row_value": [cell, "fits"]})


def cells(ids: RowIds, *repo_ids: str) -> list[str]:
    names = zip(repo_ids, ids.issue(repo_ids), strict=True)
    return [name_cell(repo_id, "", (), row_id) for repo_id, row_id in names]


def test_a_row_is_the_model_that_it_showed_whatever_its_place() -> None:
    ids = RowIds()
    first = cells(ids, "o/a", "o/b")
    assert [ids.chosen(choose(cell)) for cell in reversed(first)] == ["o/b", "o/a"]


def test_a_click_on_a_list_that_was_just_replaced_means_what_it_showed() -> None:
    ids = RowIds()
    old = cells(ids, "o/a", "o/b")
    new = cells(ids, "o/c", "o/d")
    assert ids.chosen(choose(old[1])) == "o/b" and ids.chosen(choose(new[1])) == "o/d"
    assert ids.newest == ("o/c", "o/d")
    for _ in range(KEPT_LISTS):
        cells(ids, "o/e")
    assert ids.chosen(choose(old[1])) == ""


@pytest.mark.parametrize(
    "cell",
    ["o/a", '<span data-row="9-0">', '<span data-row="1-7">', '<span data-row="-1--1">', None, 5,
     '<span data-row="1-0' + "0" * 5000 + '">', "x" * 10**6],
)  # fmt: skip
def test_what_was_not_given_out_means_nothing(cell: Any) -> None:
    ids = RowIds()
    cells(ids, "o/a")
    assert ids.chosen(choose(cell)) == ""
    assert ids.chosen(gr.SelectData(None, {"index": 0, "value": "o/a"})) == ""


def test_a_name_cannot_stand_in_for_a_row() -> None:
    ids = RowIds()
    evil = cells(ids, 'x"><i data-row="1-1"', "o/b")
    assert ids.chosen(choose(evil[0])) == 'x"><i data-row="1-1"'
