"""The download benchmark runs from end to end. Nothing here judges a time."""

import math

from tests.benchmarks.download_group import DownloadEffort, download_figures

CHEAP = DownloadEffort(
    pairs=1, shards=2, shard_mb=1, large_mb=2, large_runs=1, kills=1, kill_mb=200,
    kill_after_s=0.2, small_files=5, small_pairs=1, delay_s=0.001,
)  # fmt: skip


def test_every_download_figure_is_a_number() -> None:
    figures = list(download_figures(CHEAP))
    assert len({figure.name for figure in figures}) == 4
    for figure in figures:
        assert all(math.isfinite(n) and n >= 0 for n in (figure.ours, figure.reference))
        assert math.isfinite(figure.ratio)
