"""What Manage says of installed models, the disk and the memory."""

import dataclasses
from pathlib import Path

import pytest

from engine.estimates import KVCacheSize, MemoryEstimate
from engine.records import DeletePlan, LocalModel, Source
from ui.format import format_memory_of
from ui.format_manage import (
    HEADERS,
    format_delete,
    format_disk,
    format_folder,
    format_memory,
    format_model,
    installed_rows,
    why_not_deleted,
)

EVIL = '<img src=x onerror="alert(1)">'
ESTIMATE = MemoryEstimate(4_600_000_000, KVCacheSize(0, 100_000), 8_192, 500_000_000, 16 * 10**9)
MODEL = LocalModel("o/m", "pomona", Path("/models/o/m"), "abcdef" * 7, 4_600_000_000, "llama",
                   "4-bit", 40_960, ESTIMATE)  # fmt: skip
NOW_AT = 1_000_000.0


def row(
    model: LocalModel, *, is_loaded: bool = False, is_busy: bool = False, is_old: bool = False
) -> dict[str, str]:
    loaded = {model.repo_id: 1} if is_loaded else {}
    busy = {model.repo_id} if is_busy else set()
    newest = {model.repo_id: "f" * 40} if is_old else {}
    (cells,) = installed_rows([model], loaded, busy, newest, NOW_AT, ["1-0"])
    return dict(zip(HEADERS, cells, strict=True))


def test_a_row_says_what_a_person_asks_of_a_model() -> None:
    shown = row(dataclasses.replace(MODEL, last_used_at=NOW_AT - 7_300))
    assert "ready" in shown.pop("State") and "o/m" in shown.pop("Model")
    assert shown == {
        "Size": "4.6 GB", "Quantisation": "4-bit", "Context": "40,960", "Memory": "5.9 GB",
        "Last used": "2 hours ago", "From": "Pomona",
    }  # fmt: skip
    assert row(MODEL)["Last used"] == "not yet"


def test_a_state_is_the_most_pressing_word() -> None:
    damaged = dataclasses.replace(MODEL, problem="Weights are missing.")
    assert "damaged" in row(damaged, is_old=True)["State"]
    assert "downloading" in row(damaged, is_busy=True)["State"]
    assert "loaded" in row(MODEL, is_loaded=True, is_old=True)["State"]
    assert "update there" in row(MODEL, is_old=True)["State"]
    assert "will not chat" in row(dataclasses.replace(MODEL, blockers=("No template.",)))["State"]


def test_measured_memory_stands_for_the_estimate_and_both_are_told_together() -> None:
    ran = dataclasses.replace(
        MODEL, measured_memory_bytes=4_900_000_000, measured_context_tokens=3_000
    )
    assert row(ran)["Memory"] == "4.9 GB"
    both = format_memory_of(ran)
    assert both == "about 5.9 GB at 8,192 tokens; 4.9 GB measured here at 3,000 tokens"


def test_memory_that_does_not_fit_is_marked() -> None:
    small = dataclasses.replace(ESTIMATE, budget_bytes=10**9)
    assert "too large" in row(dataclasses.replace(MODEL, memory=small))["Memory"]


@pytest.mark.parametrize("source", ["built-in", "huggingface", "lmstudio", "path"])
def test_only_what_pomona_downloaded_is_deleted(source: Source) -> None:
    assert why_not_deleted(dataclasses.replace(MODEL, source=source), is_loaded=False)
    assert why_not_deleted(MODEL, is_loaded=False) == ""
    assert "unload" in why_not_deleted(MODEL, is_loaded=True)


def test_a_delete_names_every_file_up_to_a_dozen() -> None:
    folder = Path("/models/o/m")
    paths = tuple(folder / f"part-{n:02}.safetensors" for n in range(15))
    shown = format_delete(DeletePlan("o/m", folder, paths, 4_600_000_000))
    assert "frees 4.6 GB" in shown and "15 files" in shown and "and 3 more" in shown
    assert "<li>part-00.safetensors</li>" in shown and "part-12" not in shown


def test_the_bars_add_up_in_words() -> None:
    disk = format_disk([MODEL, dataclasses.replace(MODEL, repo_id="o/n")], 38_200_000_000)
    assert "9.2 GB in models, 38.2 GB free" in disk
    memory = format_memory({"o/m": 4_600_000_000}, 400_000_000, 16 * 10**9)
    assert "5.0 GB of 16.0 GB in use" in memory
    assert "conversations kept</span> 400 MB" in memory and "free</span> 11.0 GB" in memory


def test_many_models_share_the_last_strip() -> None:
    models = [dataclasses.replace(MODEL, repo_id=f"o/{n}", size_bytes=10**9) for n in range(20)]
    shown = format_disk(models, 0)
    assert "13 others</span> 13.0 GB" in shown and "20.0 GB in models" in shown


def test_markup_in_names_folders_and_problems_shows_as_text() -> None:
    evil = dataclasses.replace(MODEL, repo_id=EVIL, problem=EVIL, path=Path(EVIL))
    plan = DeletePlan(EVIL, Path(EVIL), (Path(EVIL) / EVIL,), 1)
    for shown in (
        row(evil)["Model"],
        format_model(evil, None, EVIL, NOW_AT),
        format_delete(plan),
        format_disk([evil], 1),
        format_memory({EVIL: 1}, 0, None),
        format_folder(Path(EVIL)),
    ):
        assert "<img" not in shown and "&lt;img" in shown
