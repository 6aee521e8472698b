"""Models are loaded once, answer side by side, and are freed only when they are idle."""

import threading

import pytest

from engine import Engine
from engine.errors import InUse
from engine.mailbox import Mailbox
from engine.records import Loading, TextDelta
from engine.settings import GUIDE_ID
from tests.engine.answers import LLAMA, Answer, ask, read, start
from tests.engine.inference_thread import on_thread


def _names(engine: Engine) -> list[str]:
    return [model.repo_id for model in engine.inference.loaded()]


def test_loading_twice_shares_one_load(engine: Engine) -> None:
    engine.inference.unload(LLAMA)
    loads = [engine.inference.load(LLAMA) for _ in range(5)]
    assert len({id(load.result(60)) for load in loads}) == 1
    assert _names(engine).count(LLAMA) == 1


def test_a_loaded_model_is_there_at_once(engine: Engine) -> None:
    engine.inference.load(LLAMA).result(60)
    assert engine.inference.load(LLAMA).done()


def test_a_load_that_others_wait_for_cannot_be_cancelled(engine: Engine) -> None:
    for _ in range(5):
        engine.inference.unload(GUIDE_ID)
        ticket = start(engine, "hello", GUIDE_ID)
        assert not engine.inference.load(GUIDE_ID).cancel()
        assert read(ticket).text


def test_memory_is_measured(engine: Engine) -> None:
    model = engine.inference.load(LLAMA).result(60)
    weights_bytes = engine.library.find(LLAMA).size_bytes
    assert abs(model.memory_bytes - weights_bytes) < 10_000  # the file has a header


def test_who_waits_for_a_load_hears_of_it(engine: Engine) -> None:
    engine.inference.unload(GUIDE_ID)
    box = Mailbox()
    engine.inference.load(GUIDE_ID, box).result(60)
    heard = box.drain(1)
    assert isinstance(heard[-1], Loading)
    assert 0 < heard[-1].done_bytes == heard[-1].total_bytes
    assert GUIDE_ID not in engine.inference.loading()


def test_unloading_frees_the_memory(engine: Engine) -> None:
    engine.inference.load(GUIDE_ID).result(60)
    active = engine.inference._thread._backend.active_memory_bytes
    before = on_thread(engine, active)
    freed = next(m.memory_bytes for m in engine.inference.loaded() if m.repo_id == GUIDE_ID)
    engine.inference.unload(GUIDE_ID)
    assert GUIDE_ID not in _names(engine)
    assert before - on_thread(engine, active) >= 0.9 * freed


def test_unloading_twice_or_what_never_was_does_nothing(engine: Engine) -> None:
    engine.inference.load(LLAMA).result(60)
    engine.inference.unload(LLAMA)
    engine.inference.unload(LLAMA)
    engine.inference.unload("nobody/nothing")
    assert ask(engine, "hello").text


def test_a_model_that_answers_is_in_use_and_goes_on(engine: Engine) -> None:
    whole = ask(engine, "hello", max_tokens=900).text
    ticket = start(engine, "hello", max_tokens=900)
    refused: list[InUse] = []

    def try_to_unload(event: object) -> None:
        if isinstance(event, TextDelta) and not refused:
            with pytest.raises(InUse) as caught:
                engine.inference.unload(LLAMA)
            refused.append(caught.value)

    assert read(ticket, try_to_unload).text == whole
    assert refused and refused[0].hint
    engine.inference.unload(LLAMA)
    assert LLAMA not in _names(engine)


def test_two_models_answer_at_the_same_time(engine: Engine) -> None:
    models = (LLAMA, "tiny/recurrent", "tiny/chunked")
    alone = [ask(engine, "hello", model, max_tokens=300).text for model in models]
    order: list[str] = []
    answers: dict[str, Answer] = {}

    def one(model: str) -> None:
        ticket = start(engine, "hello", model, max_tokens=300)
        answers[model] = read(
            ticket, lambda e: order.append(model) if isinstance(e, TextDelta) else None
        )

    threads = [threading.Thread(target=one, args=(model,), daemon=True) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answers[model].text for model in models] == alone
    first_to_end = min(max(i for i, m in enumerate(order) if m == model) for model in models)
    assert set(order[: first_to_end + 1]) == set(models)  # nobody had to wait for another's end


def test_a_load_holds_nobody_up(engine: Engine) -> None:
    whole = ask(engine, "hello", max_tokens=600).text
    engine.inference.unload(GUIDE_ID)
    ticket = start(engine, "hello", max_tokens=600)
    loading = engine.inference.load(GUIDE_ID)
    assert read(ticket).text == whole
    loading.result(60)


def test_the_least_recently_used_comes_first(engine: Engine) -> None:
    for model in (LLAMA, "tiny/other"):
        ask(engine, "hello", model)
    ask(engine, "hello", LLAMA)
    on_thread(engine, lambda: None)  # the order is told after the last event
    names = _names(engine)
    assert names.index("tiny/other") < names.index(LLAMA)
