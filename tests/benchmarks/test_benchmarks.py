"""The benchmarks run, and say what they measured. Nothing here judges a time."""

import math
from pathlib import Path

import pytest

from tests.benchmarks import speed_group
from tests.benchmarks.__main__ import GROUPS, main
from tests.benchmarks.chat import Effort, decode_figures
from tests.benchmarks.chats_group import search_figures
from tests.benchmarks.engine_bench import running_engine
from tests.benchmarks.figures import HEADER, Figure, Target, alternate, format_figures
from tests.benchmarks.library_group import library_figures
from tests.benchmarks.models import make_endless_guide

CHEAP = Effort(
    pairs=1, tokens=4, app_pairs=1, app_tokens=4, together_pairs=1, together_tokens=4,
    unread_pairs=1,
)  # fmt: skip


def test_a_ratio_is_the_median_of_the_pairs_ratios() -> None:
    figure = Figure("f", "tokens/s", ((1, 2), (30, 10), (4, 4)), Target(0.97))
    assert figure.ratios == (0.5, 3.0, 1.0)
    assert (figure.ours, figure.reference, figure.ratio, figure.is_met) == (4, 4, 1.0, True)
    assert figure.ratio_of_bests == 3.0


def test_a_speedup_says_how_many_times_faster() -> None:
    figure = Figure("f", "s", ((0.5, 8.0),), Target(8), best=min, is_speedup=True)
    assert (figure.ratio, figure.ratio_of_bests) == (16.0, 16.0)


@pytest.mark.parametrize(
    ("target", "ratio", "is_met"),
    [
        (Target(0.97), 0.97, True),
        (Target(0.97), 0.96, False),
        (Target(1.25, is_upper=True), 1.25, True),
        (Target(1.25, is_upper=True), 1.26, False),
    ],
)
def test_a_target_is_met_on_its_side_of_the_limit(
    target: Target, ratio: float, is_met: bool
) -> None:
    assert target.is_met(ratio) is is_met


def test_runs_alternate_after_one_of_each_that_does_not_count() -> None:
    calls: list[str] = []

    def run(name: str) -> int:
        calls.append(name)
        return len(calls)

    assert alternate(lambda: run("ours"), lambda: run("bare"), 2) == ((3, 4), (5, 6))
    assert calls == ["ours", "bare"] * 3


def test_the_table_has_a_line_per_figure_in_columns_and_words() -> None:
    figures = [
        Figure("speed", "tokens/s", ((1234.0, 1000.0),), Target(0.97)),
        Figure("a longer name", "s", ((3.0, 2.0),), Target(1.25, is_upper=True), best=min),
    ]
    header, *lines = format_figures(figures)
    assert header.split("  ")[0] == HEADER[0]
    assert lines[0].split() == (
        "speed 1,234 tokens/s 1,000 tokens/s 1.23 1.23 to 1.23 of 1 1.23 at least 0.97 met".split()
    )
    assert lines[1].endswith("at most 1.25   missed")
    assert lines[0].index("1,234") == lines[1].index("3 s") == header.index("ours")


def test_every_group_is_a_function_that_says_what_it_is() -> None:
    assert "chat" in GROUPS
    assert all(function.__doc__ for function in GROUPS.values())


def test_an_unknown_group_exits_2_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "nonsense"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"benchmarks: no group 'nonsense'; there is {', '.join(GROUPS)}\n"


def test_cheap_figures_run_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = make_endless_guide(tmp_path)
    with running_engine(tmp_path / "engine", [guide]) as (bench,):
        named = {"LONG_TOKENS": 300, "TOGETHER": 2, "ANSWER_TOKENS": 4}
        for name, value in {**named, "PAIRS": 1, "FEW_PAIRS": 1}.items():
            monkeypatch.setattr(speed_group, name, value)
        figures = [
            *decode_figures(bench, CHEAP), speed_group.together_figure(bench),
            speed_group.newcomer_figure(bench), speed_group.gap_figure(bench),
            speed_group.reopened_figure(bench),
        ]  # fmt: skip
        for figure in figures:
            numbers = (figure.ours, figure.reference, figure.ratio, figure.ratio_of_bests)
            assert all(math.isfinite(number) and number > 0 for number in numbers)


def test_the_library_group_lists_models_of_every_source() -> None:
    figures = list(library_figures(count=10))
    assert [figure.name.split(" / ")[0] for figure in figures] == [
        "10 installed models listed", "10 installed models listed again",
        "one of 10 installed models found",
    ]  # fmt: skip
    assert all(ours > 0 for figure in figures for ours, _ in figure.pairs)


def test_the_chats_group_searches_a_store(tmp_path: Path) -> None:
    figures = list(search_figures(tmp_path / "chats.sqlite3", chats=20))
    assert len(figures) == 2 and all(ours > 0 for figure in figures for ours, _ in figure.pairs)
