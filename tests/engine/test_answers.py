"""Answers: the same alone and in company, repeatable by seed, ended where they should be."""

import threading

import pytest

from engine import Engine
from engine.errors import Busy, ContextOverflow, InvalidRequest
from engine.records import Message, Prefill, SamplingParams, TextDelta
from engine.settings import GUIDE_ID
from tests.conftest import LIMITS
from tests.engine.answers import LLAMA, ask, read, start
from tests.models import write_model

QUESTIONS = ["hello", "what is it?", "x" * 300, "hello there"]


@pytest.mark.parametrize("model", [LLAMA, "tiny/recurrent", GUIDE_ID])
def test_an_answer_in_company_is_the_answer_given_alone(engine: Engine, model: str) -> None:
    alone = [ask(engine, question, model).text for question in QUESTIONS]
    tickets = [start(engine, question, model) for question in QUESTIONS]
    assert [read(ticket).text for ticket in tickets] == alone
    assert len(set(alone)) > 1


def test_an_answer_comes_in_pieces_that_are_the_whole(engine: Engine) -> None:
    answer = ask(engine, "go on", max_tokens=300)
    assert len(answer.text) == 300
    assert sum(isinstance(event, TextDelta) for event in answer.events) > 1


def test_joining_late_changes_nobodys_answer(engine: Engine) -> None:
    alone = [ask(engine, question, max_tokens=120).text for question in QUESTIONS]
    late: list[str] = []

    def join(event: object) -> None:
        if isinstance(event, TextDelta) and not joined.is_set():
            joined.set()

    joined = threading.Event()
    first = start(engine, QUESTIONS[0], max_tokens=120)

    def ask_the_others() -> None:
        assert joined.wait(30)
        tickets = [start(engine, question, max_tokens=120) for question in QUESTIONS[1:]]
        late.extend(read(ticket).text for ticket in tickets)

    others = threading.Thread(target=ask_the_others, daemon=True)
    others.start()
    early = read(first, join).text
    others.join(60)
    assert [early, *late] == alone


def test_a_seed_repeats_an_answer_alone_and_in_company(engine: Engine) -> None:
    def one(seed: int) -> str:
        return ask(engine, "hello", temperature=1.0, seed=seed).text

    alone = [one(seed) for seed in (1, 2, 3)]
    assert len(set(alone)) == 3
    assert [one(seed) for seed in (1, 2, 3)] == alone
    tickets = [start(engine, "hello", temperature=1.0, seed=seed) for seed in (3, 2, 1)]
    tickets.append(start(engine, "other", temperature=1.5))
    assert [read(ticket).text for ticket in tickets][:3] == alone[::-1]


@pytest.mark.parametrize(
    "params", [{"top_k": 1}, {"top_p": 0.01}, {"min_p": 1.0}], ids=lambda params: next(iter(params))
)
def test_the_narrowest_filter_is_greedy(engine: Engine, params: dict[str, float]) -> None:
    greedy = ask(engine, "hello").text
    assert ask(engine, "hello", temperature=2.0, seed=5, **params).text == greedy
    assert ask(engine, "hello", temperature=2.0, **params).text == greedy


def test_an_absurd_top_k_is_no_filter(engine: Engine) -> None:
    assert ask(engine, "hello", temperature=1.0, seed=1, top_k=1000).text == (
        ask(engine, "hello", temperature=1.0, seed=1).text
    )


def test_without_a_seed_answers_differ(engine: Engine) -> None:
    assert len({ask(engine, "hello", temperature=1.5).text for _ in range(3)}) == 3


def test_a_penalty_makes_repeats_rarer_and_knows_the_prompt(engine: Engine) -> None:
    plain = ask(engine, "hello", max_tokens=60).text
    without_repeats = ask(engine, "hello", max_tokens=60, repetition_penalty=2.0).text
    assert len(set(without_repeats)) > len(set(plain))
    first = plain[0]
    assert ask(engine, f"hello{first * 60}", max_tokens=1).text  # the prompt alone changes nothing
    penalised = ask(engine, f"hello{first * 60}", max_tokens=8, repetition_penalty=2.0).text
    assert first not in penalised


def test_max_tokens_ends_with_length(engine: Engine) -> None:
    answer = ask(engine, "hello", max_tokens=7)
    assert (answer.reason, len(answer.text), answer.stats.output_tokens) == ("length", 7, 7)


def test_one_token_is_an_answer(engine: Engine) -> None:
    assert len(ask(engine, "hello", max_tokens=1).text) == 1


def test_the_models_own_end_is_stop_and_no_text(engine: Engine) -> None:
    write_model(engine.settings.models_dir / "tiny" / "ending", ends=True)
    answer = ask(engine, "hello", "tiny/ending", max_tokens=2000)
    assert answer.reason == "stop"
    assert "end|>" not in answer.text
    assert answer.stats.output_tokens == len(answer.text) + 1


def test_the_end_of_the_context_ends_with_context(engine: Engine) -> None:
    answer = ask(engine, "x" * 400, "tiny/other", max_tokens=5000)
    assert answer.reason == "context"
    assert answer.stats.prompt_tokens + answer.stats.output_tokens == 512


@pytest.mark.parametrize("length", [509, 4000])
def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(
    engine: Engine, length: int
) -> None:
    ticket = start(engine, "x" * length, "tiny/other")
    with pytest.raises(ContextOverflow) as caught:
        read(ticket)
    error = caught.value
    assert (error.prompt_tokens, error.limit_tokens) == (length + 3, 512)
    assert f"{length + 3:,}" in error.message and "512" in error.message


def test_the_longest_prompt_leaves_room_for_one_token(engine: Engine) -> None:
    answer = ask(engine, "x" * 508, "tiny/other")
    assert (answer.reason, answer.stats.output_tokens) == ("context", 1)


def test_the_system_prompt_is_put_before_the_conversation(engine: Engine) -> None:
    by_setting = ask(engine, "hello", system_prompt="  be kind ")
    by_message = ask(engine, [Message("system", "be kind"), Message("user", "hello")])
    assert by_setting.text == by_message.text
    assert by_setting.stats.prompt_tokens == by_message.stats.prompt_tokens
    own = [Message("system", "be kind"), Message("user", "hello")]
    assert ask(engine, own, system_prompt="other").text == by_message.text


def test_reasoning_is_not_sent_back(engine: Engine) -> None:
    with_it, without = (
        [Message("user", "a"), Message("assistant", "b", reasoning), Message("user", "c")]
        for reasoning in ("long thought " * 20, "")
    )
    assert ask(engine, with_it).stats.prompt_tokens == ask(engine, without).stats.prompt_tokens


@pytest.mark.parametrize(
    "text", ["🎉 naïve 日本", "\u202e\u200b", "<|end|><|assistant|>", "\0\x01"]
)
def test_any_text_is_answered(engine: Engine, text: str) -> None:
    assert ask(engine, text).text


def test_a_long_prompt_is_read_in_steps_that_are_told(engine: Engine) -> None:
    seen: list[Prefill] = []
    read(start(engine, "y" * 3000), lambda e: seen.append(e) if isinstance(e, Prefill) else None)
    assert {event.total_tokens for event in seen} == {3003}
    done = [event.done_tokens for event in seen]
    assert done == sorted(done) and done[-1] == 3003


@pytest.mark.parametrize(
    ("messages", "params"),
    [([], {}), ([Message("user", " ")], {}), ([Message("user", "a")], {"temperature": 3}),
     ([Message("user", "a")], {"max_tokens": 0}), ([Message("user", "a")] * 2001, {})],
)  # fmt: skip
def test_a_request_that_is_none_is_refused_at_once(
    engine: Engine, messages: list[Message], params: dict[str, int]
) -> None:
    with pytest.raises(InvalidRequest):
        engine.inference.chat(messages, SamplingParams(**params), LLAMA)


def test_too_many_requests_are_told_to_come_back_and_then_may(engine: Engine) -> None:
    tickets = [start(engine, "hello", max_tokens=100_000) for _ in range(LIMITS.waiting_requests)]
    with pytest.raises(Busy) as caught:
        start(engine, "one more")
    assert caught.value.hint
    for ticket in tickets:
        ticket.cancel()
    assert {read(ticket).reason for ticket in tickets} <= {"cancelled", "context"}
    assert ask(engine, "one more").text
