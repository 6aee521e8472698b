"""Log-probabilities are the model's own, token by token, for who asks for them."""

import math
from dataclasses import replace
from typing import Any

import pytest

from engine import Engine
from engine.errors import InvalidRequest
from engine.inference import check_params
from engine.inference.scored_text import ScoredText
from engine.records import Message, SamplingParams, ScoredToken, TextDelta
from tests.engine.answers import LLAMA, Answer, ask
from tests.engine.inference_thread import loaded_model, on_thread

KINDS = [LLAMA, "tiny/chunked", "tiny/recurrent"]


def tokens_of(answer: Answer) -> list[ScoredToken]:
    return [token for e in answer.events if isinstance(e, TextDelta) for token in e.tokens]


@pytest.mark.parametrize("model", KINDS)
def test_every_token_has_its_logprob_and_the_likeliest_beside_it(
    engine: Engine, model: str
) -> None:
    answer = ask(engine, "hello", model, logprobs=3)
    tokens = tokens_of(answer)
    assert "".join(token.text for token in tokens) == answer.text
    assert len(tokens) == answer.stats.output_tokens
    for token in tokens:
        assert token.data == token.text.encode()
        values = [other.logprob for other in token.likeliest]
        assert len(values) == 3 and values == sorted(values, reverse=True)
        assert (token.likeliest[0].text, values[0]) == (token.text, token.logprob)  # greedy
        assert sum(map(math.exp, values)) <= 1.0001


@pytest.mark.parametrize("model", KINDS)
def test_they_are_those_of_the_model_itself(engine: Engine, model: str) -> None:
    token = tokens_of(ask(engine, "hello", model, logprobs=0, max_tokens=1))[0]
    assert token.likeliest == ()
    loaded = loaded_model(engine, model)

    def compute() -> float:
        mx = engine.inference._thread._backend.mx
        prompt = mx.array([loaded.render_prompt([Message("user", "hello")])])
        logits: Any = loaded.model(prompt)[0, -1]
        (index,) = loaded.tokenizer.encode(token.text)
        return float((logits - mx.logsumexp(logits))[index])

    assert token.logprob == pytest.approx(on_thread(engine, compute), abs=1e-3)


def test_a_temperature_changes_the_choice_and_not_the_logprobs(engine: Engine) -> None:
    sure = tokens_of(ask(engine, "hello", logprobs=20, max_tokens=1))[0]
    free = tokens_of(ask(engine, "hello", logprobs=20, max_tokens=1, temperature=2.0, seed=5))[0]
    assert free.likeliest == sure.likeliest


def test_nobody_who_does_not_ask_gets_them(engine: Engine) -> None:
    assert tokens_of(ask(engine, "hello")) == []


def test_tokens_of_a_stop_string_are_left_out(engine: Engine) -> None:
    whole = ask(engine, "hello").text
    answer = ask(engine, "hello", logprobs=0, stop=(whole[6:9],))
    assert "".join(token.text for token in tokens_of(answer)) == answer.text == whole[:6]


def test_parts_of_a_character_go_out_with_its_end() -> None:
    parts = [ScoredToken("\ufffd", bytes([byte]), -1.0) for byte in "é".encode()]
    after = ScoredToken("x", b"x", -1.0)
    scored = ScoredText()
    for token in (*parts, after):
        scored.add(token)
    assert scored.take("é") == tuple(parts)
    assert scored.take("x") == (after,) and scored.take_rest() == ()


def test_more_than_there_are_tokens_is_all_of_them(engine: Engine) -> None:
    check_params(SamplingParams(logprobs=20))
    for count in (-1, 21, 1.0, True, "3"):
        with pytest.raises(InvalidRequest, match="logprobs"):
            check_params(replace(SamplingParams(), logprobs=count))  # type: ignore[arg-type]
