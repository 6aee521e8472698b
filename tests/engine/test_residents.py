"""Models leave the memory when nobody uses them; what one takes is measured when alone."""

import json
import time
from pathlib import Path

import pytest

from engine import Engine
from engine.preferences import Preferences
from engine.settings import GUIDE_ID
from tests.engine.answers import ask

LLAMA, OTHER = "tiny/llama", "tiny/other"
DEADLINE_S = 20.0


def _loaded(engine: Engine) -> set[str]:
    return {model.repo_id for model in engine.inference.loaded()}


def _unload_all(engine: Engine) -> None:
    for repo_id in _loaded(engine):
        engine.inference.unload(repo_id)


def test_a_model_that_nobody_uses_leaves_by_itself(engine: Engine) -> None:
    engine.inference.load(LLAMA).result(60)
    engine.inference.load(OTHER).result(60)
    try:
        engine.inference.idle_unload_s = 0.05
        deadline = time.monotonic() + DEADLINE_S
        while _loaded(engine) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _loaded(engine)
        assert ask(engine, "hello", LLAMA).text  # and comes back when it is asked
    finally:
        engine.inference.idle_unload_s = None


def test_a_model_stays_while_it_answers_however_long_that_takes(engine: Engine) -> None:
    try:
        engine.inference.idle_unload_s = 0.0
        assert ask(engine, "hello", LLAMA, max_tokens=300).stats.output_tokens > 0
    finally:
        engine.inference.idle_unload_s = None


def test_a_question_to_a_model_that_leaves_the_memory_at_that_moment_is_answered(
    engine: Engine,
) -> None:
    for _ in range(20):
        engine.inference.idle_unload_s = None
        engine.inference.load(LLAMA).result(60)
        engine.inference.idle_unload_s = 0.0  # it is idle, so it goes: before or after the question
        assert ask(engine, "hello", LLAMA, max_tokens=2).stats.output_tokens > 0
    engine.inference.idle_unload_s = None


def test_memory_use_names_every_model_and_what_caches_take(engine: Engine) -> None:
    _unload_all(engine)
    assert engine.inference.memory_use().models == {}
    engine.inference.load(LLAMA).result(60)
    ask(engine, "hello there", LLAMA, max_tokens=40)
    use = engine.inference.memory_use()
    assert set(use.models) == {LLAMA}
    assert use.models[LLAMA] == engine.inference.loaded()[0].memory_bytes
    assert 0 < use.cache_bytes < use.budget_bytes


def test_a_lone_model_s_peak_is_its_weights_and_what_the_answer_needed(engine: Engine) -> None:
    _unload_all(engine)
    (weights_bytes,) = [engine.inference.load(LLAMA).result(60).memory_bytes]
    for _ in range(2):  # the prompts kept from the first do not count as the second's
        stats = ask(engine, "hello again", LLAMA, max_tokens=40).stats
        assert weights_bytes < stats.model_peak_bytes < 3 * weights_bytes


def test_a_peak_beside_another_model_is_nobody_s(engine: Engine) -> None:
    engine.inference.load(LLAMA).result(60)
    engine.inference.load(OTHER).result(60)
    assert ask(engine, "hello", LLAMA).stats.model_peak_bytes == 0


def test_a_choice_outlives_the_program_and_garbage_counts_as_never(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    Preferences(path).choose(idle_unload_min=15)
    assert Preferences(path).idle_unload_min == 15
    Preferences(path).choose(idle_unload_min=None)
    assert Preferences(path).idle_unload_min is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"idle_unload_min": "5"}', "[" * 100_000])
def test_broken_preferences_count_as_never(tmp_path: Path, text: str) -> None:
    path = tmp_path / "preferences.json"
    path.write_text(text)
    assert Preferences(path).idle_unload_min is None


@pytest.mark.parametrize("minutes", [0, -5, 7, 10**9, True])
def test_a_choice_that_is_not_offered_counts_as_never(tmp_path: Path, minutes: int) -> None:
    path = tmp_path / "preferences.json"
    preferences = Preferences(path)
    preferences.choose(idle_unload_min=5)
    preferences.choose(idle_unload_min=minutes)
    assert preferences.idle_unload_min is None
    assert json.loads(path.read_text())["idle_unload_min"] is None


def test_preferences_that_cannot_be_saved_hold_until_the_end(tmp_path: Path) -> None:
    preferences = Preferences(tmp_path / "missing" / "preferences.json")
    preferences.choose(idle_unload_min=5)
    assert preferences.idle_unload_min == 5


def test_the_guide_is_no_exception(engine: Engine) -> None:
    engine.inference.load(GUIDE_ID).result(60)
    engine.inference.unload(GUIDE_ID)
    assert GUIDE_ID not in engine.inference.memory_use().models
