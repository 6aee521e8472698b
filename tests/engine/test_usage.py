"""Using a model is noted where it may be, costs no answer, and sets the estimate right."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Settings
from engine.inference import supported_architectures
from engine.library import Library
from engine.library.metadata import Metadata, read_metadata, write_metadata
from engine.library.usage import MIN_SPEED_TOKENS, Usage
from engine.library.usage_store import MAX_ENTRIES, USAGE_NAME
from engine.records import GenerationStats, LocalModel
from engine.settings import GUIDE_DIR, GUIDE_ID
from tests.engine.answers import ask
from tests.models import write_json, write_model

NAME = "org/name"
STATS = GenerationStats(
    prompt_tokens=300, output_tokens=100, decode_per_s=40.0, model_peak_bytes=2 * 10**9
)


def _open(settings: Settings) -> Library:
    return Library(settings, supported_architectures, lambda: 10**10)


def _downloaded(settings: Settings, name: str = NAME) -> Path:
    folder = write_model(settings.models_dir / name)
    write_metadata(folder, Metadata(name, "a" * 40, (), 1.0))
    return folder


def _used(settings: Settings, name: str, *stats: GenerationStats | None) -> LocalModel:
    """The model as a later start of the app finds it."""
    library = _open(settings)
    for at, one in enumerate(stats, start=100):
        library.record_use(name, float(at), one)
    library.close()
    return _open(settings).find(name)


def _book(settings: Settings) -> dict[str, Any]:
    return dict(json.loads((settings.data_dir / USAGE_NAME).read_text())["models"])


def test_a_use_shows_at_once_and_is_there_after_a_restart(settings: Settings) -> None:
    folder = _downloaded(settings)
    library = _open(settings)
    assert library.find(NAME).last_used_at is None and library.find(NAME).times_used == 0
    library.record_use(NAME, 50.0, STATS)
    library.record_use(NAME, 60.0)
    expected = (60.0, 2, 40.0, 2 * 10**9, 400)
    assert _facts(library.find(NAME)) == expected
    assert _facts({m.repo_id: m for m in library.list()}[NAME]) == expected
    library.close()
    assert _facts(_open(settings).find(NAME)) == expected
    kept = read_metadata(folder)
    assert kept is not None and kept.usage.times_used == 2 and kept.revision == "a" * 40
    assert not (settings.data_dir / USAGE_NAME).exists()


def _facts(model: LocalModel) -> tuple[object, ...]:
    return (
        model.last_used_at, model.times_used, model.decode_per_s, model.measured_memory_bytes,
        model.measured_context_tokens,
    )  # fmt: skip


def test_a_use_is_written_though_nobody_closes(settings: Settings) -> None:
    folder = _downloaded(settings)
    library = _open(settings)
    library.record_use(NAME, 50.0, STATS)
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join()
    kept = read_metadata(folder)
    assert kept is not None and kept.usage.times_used == 1


def test_an_answer_is_noted_with_what_it_took(engine: Engine) -> None:
    name = "noted/alone"
    write_model(engine.settings.models_dir / name, seed=5)
    for loaded in engine.inference.loaded():
        engine.inference.unload(loaded.repo_id)
    for times in (1, 2):
        answer = ask(engine, f"hello {times}", name, max_tokens=40)
        for _ in range(1_000):  # it is noted beside the answer, not before it
            if engine.library.find(name).times_used == times:
                break
            time.sleep(0.01)
    model = engine.library.find(name)
    assert model.times_used == 2 and (model.decode_per_s or 0) > 0
    assert answer.stats.model_peak_bytes > model.size_bytes
    assert (model.measured_memory_bytes or 0) > model.size_bytes
    assert model.measured_context_tokens in range(40, 200)
    assert model.corrected_memory and model.memory != model.corrected_memory
    engine.inference.unload(name)


def test_others_models_are_noted_elsewhere_and_their_folders_stay(
    settings: Settings, tmp_path: Path
) -> None:
    given = write_model(tmp_path / "given" / "model")
    settings = replace(settings, extra_models=(given,))
    studio = write_model(settings.lmstudio_dirs[0] / "org" / "studio")
    snapshot = settings.hf_cache_dir / "models--org--hub" / "snapshots" / ("b" * 40)
    hub = write_model(snapshot)
    by_hand = write_model(settings.models_dir / "by" / "hand")
    write_metadata(studio, Metadata("org/studio", "a" * 40, (), 1.0))  # moved there by somebody
    folders = (GUIDE_DIR, studio, hub, given, by_hand)
    before = [_listing(folder) for folder in folders]
    for name in (GUIDE_ID, "org/studio", "org/hub", "model", "by/hand"):
        assert _facts(_used(settings, name, STATS)) == (100.0, 1, 40.0, 2 * 10**9, 400), name
    assert [_listing(folder) for folder in folders] == before
    assert len(_book(settings)) == 5


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    return [
        (path.name, path.stat().st_mtime_ns, path.stat().st_size)
        for path in (folder, *sorted(folder.iterdir()))
    ]


def test_two_folders_of_one_name_are_two_models(settings: Settings, tmp_path: Path) -> None:
    for where in ("one", "two"):
        write_model(tmp_path / where / "model")
    one = replace(settings, extra_models=(tmp_path / "one" / "model",))
    two = replace(settings, extra_models=(tmp_path / "two" / "model",))
    assert _used(one, "model", STATS).times_used == 1
    assert _open(two).find("model").times_used == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"models": 3}', '{"models": {"a": 3}}', "\0"])
def test_a_broken_file_of_uses_is_begun_again(settings: Settings, text: str) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / USAGE_NAME).write_text(text)
    assert _open(settings).find(GUIDE_ID).times_used == 0
    assert _used(settings, GUIDE_ID, None, None).times_used == 2


def test_the_file_of_uses_stays_small(settings: Settings) -> None:
    settings.data_dir.mkdir()
    many = {f"lmstudio org/{n}": {"last_used_at": n / 1e3, "times_used": 1} for n in range(5_000)}
    write_json(settings.data_dir / USAGE_NAME, {"format": 1, "models": many})
    assert _used(settings, GUIDE_ID, None).times_used == 1
    assert len(_book(settings)) == MAX_ENTRIES


def test_a_model_that_is_gone_or_never_was_costs_nothing(settings: Settings) -> None:
    library = _open(settings)
    for name in ("org/gone", "", "../..", "a\0b"):
        library.record_use(name, 5.0, STATS)
    library.close()
    assert library.names() == {GUIDE_ID}


def test_a_folder_that_refuses_is_noted_elsewhere(settings: Settings) -> None:
    folder = _downloaded(settings)
    assert _used(settings, NAME, STATS).times_used == 1
    (folder / f".pomona.json.{os.getpid()}.tmp").mkdir()  # even root cannot write to that
    model = _used(settings, NAME, None, None)
    assert model.times_used == 3 and model.decode_per_s == 40.0
    kept = read_metadata(folder)
    assert kept is not None and kept.usage.times_used == 1


def test_a_disk_that_refuses_everything_is_logged_and_survived(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.data_dir.parent.mkdir(exist_ok=True)
    settings.data_dir.write_text("a file where a folder should be")
    library = _open(settings)
    library.record_use(GUIDE_ID, 5.0, STATS)
    library.close()
    assert USAGE_NAME in caplog.text


def test_uses_by_many_threads_are_all_counted(settings: Settings) -> None:
    _downloaded(settings)
    library = _open(settings)

    def use() -> None:
        for _ in range(50):
            library.record_use(NAME, 5.0, STATS)
            library.find(NAME)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    library.close()
    assert _open(settings).find(NAME).times_used == 200


def test_short_answers_say_nothing_of_the_speed() -> None:
    short = replace(STATS, output_tokens=MIN_SPEED_TOKENS - 1)
    assert Usage().after(1.0, short).decode_per_s is None
    enough = replace(STATS, output_tokens=MIN_SPEED_TOKENS)
    assert Usage().after(1.0, enough).decode_per_s == 40.0
    for strange in (0.0, -1.0, float("nan"), float("inf")):
        assert Usage().after(1.0, replace(STATS, decode_per_s=strange)).decode_per_s is None


def test_the_speed_follows_what_is_measured_now() -> None:
    usage = Usage().after(1.0, STATS)
    speeds = []
    for _ in range(30):
        usage = usage.after(2.0, replace(STATS, decode_per_s=80.0))
        speeds.append(usage.decode_per_s or 0.0)
    assert 40 < speeds[0] < 60 and speeds == sorted(speeds)
    assert speeds[-1] == pytest.approx(80, rel=0.01)


def test_a_clock_set_back_does_not_make_a_use_older() -> None:
    assert Usage().after(100.0).after(50.0).last_used_at == 100.0


def test_a_peak_that_nobody_can_tell_is_not_kept() -> None:
    assert Usage().after(1.0, replace(STATS, model_peak_bytes=0)).measured_memory_bytes is None
    assert Usage().after(1.0).measured_memory_bytes is None


def test_the_measure_that_tells_most_is_kept() -> None:
    long = replace(STATS, prompt_tokens=9_000, model_peak_bytes=3 * 10**9)
    usage = Usage().after(1.0, STATS).after(2.0, long).after(3.0, STATS)
    assert (usage.measured_memory_bytes, usage.measured_context_tokens) == (3 * 10**9, 9_100)
    reused = replace(long, prompt_tokens=9_500, reused_tokens=9_400, model_peak_bytes=29 * 10**8)
    assert usage.after(4.0, reused).measured_context_tokens == 9_100
    higher = replace(STATS, model_peak_bytes=4 * 10**9)
    assert usage.after(4.0, higher).measured_memory_bytes == 4 * 10**9


def test_what_was_measured_of_other_weights_does_not_count(settings: Settings) -> None:
    folder = _downloaded(settings)
    assert _used(settings, NAME, STATS).corrected_memory is not None
    write_model(folder, layers=3)
    model = _open(settings).find(NAME)
    assert model.corrected_memory is None and model.measured_memory_bytes is None
    assert model.times_used == 1


def test_a_load_is_decided_by_what_the_model_took_before(settings: Settings) -> None:
    _downloaded(settings)
    before = _open(settings).check(NAME).estimate
    model = _used(settings, NAME, STATS)
    after = _open(settings).check(NAME).estimate
    assert model.memory and model.memory.total_bytes == before.total_bytes
    assert model.corrected_memory == after and after.total_bytes and before.total_bytes
    assert after.total_bytes > 2 * 10**9 > before.total_bytes
