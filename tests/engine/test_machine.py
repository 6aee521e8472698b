"""The report says what this computer has, in bytes."""

import os
import shutil
from pathlib import Path

import pytest

from engine import Engine, machine
from engine.machine import disk_free_bytes, memory_budget_bytes, memory_total_bytes


def test_a_folder_that_does_not_exist_yet_is_measured_where_it_will_be(tmp_path: Path) -> None:
    free = disk_free_bytes(tmp_path / "not" / "there" / "yet")
    assert abs(free - shutil.disk_usage(tmp_path).free) < 2_000_000_000
    assert free > 0


def test_a_name_that_no_disk_takes_is_measured_all_the_same(tmp_path: Path) -> None:
    assert disk_free_bytes(tmp_path / ("x" * 400)) > 0
    assert disk_free_bytes(tmp_path / "a\0b") > 0


def test_memory_is_at_most_what_is_built_in() -> None:
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory_total_bytes() <= built_in


def test_an_accelerators_own_figure_is_the_budget() -> None:
    assert memory_budget_bytes(12_345) == 12_345


def test_a_cpu_keeps_some_memory_for_other_programs() -> None:
    assert 0 < memory_budget_bytes(None) < memory_total_bytes()


def test_the_report_names_the_device_and_the_versions(engine: Engine) -> None:
    report = engine.machine()
    assert report.backend in ("cpu", "metal", "cuda")
    assert report.device_name
    assert {"mlx", "mlx-lm"} <= report.versions.keys()
    assert 0 < report.memory_budget_bytes <= report.memory_total_bytes
    assert report.disk_free_bytes > 0


@pytest.mark.parametrize(
    ("new", "quota", "period", "cores"),
    [
        ("150000 100000", None, None, 2), ("50000 100000", None, None, 1),
        ("max 100000", None, None, 64), (None, "200000", "100000", 2), (None, "-1", "100000", 64),
        (None, None, None, 64), ("nonsense", "300000", "0", 64),
    ],
)  # fmt: skip
def test_a_containers_share_of_the_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: str, quota: str, period: str, cores: int
) -> None:
    paths = [tmp_path / name for name in ("cpu.max", "quota", "period")]
    for path, text in zip(paths, (new, quota, period), strict=True):
        if text is not None:
            path.write_text(text)
    monkeypatch.setattr(machine, "_CGROUP_CPU", paths[0])
    monkeypatch.setattr(machine, "_OLD_CGROUP_CPU", tuple(paths[1:]))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert machine.available_cores() == cores
