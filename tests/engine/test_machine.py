"""The report says what this computer has, in bytes."""

import os
import shutil
from pathlib import Path

from engine import Engine
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
