"""The estimate against what others measured, as the benchmark prints it."""

from typing import Any

import pytest

from tests.benchmarks.memory_group import MEASURED, memory_figures, weights_bytes


def test_estimates_are_close_to_what_others_measured() -> None:
    figures = list(memory_figures())
    assert len(figures) == 2 + sum(len(source["models"]) for source in MEASURED["sources"])
    assert [figure.name for figure in figures if not figure.is_met] == []


@pytest.mark.parametrize("row", MEASURED["weights"], ids=lambda row: row["config"])
def test_counted_weights_are_those_of_the_files(row: dict[str, Any]) -> None:
    assert weights_bytes(MEASURED["configs"][row["config"]], row["packing"]) == row["bytes"]
