"""Reasoning and answer are told apart, whichever way the reasoning was opened."""

from collections.abc import Sequence

import pytest

from engine import Engine
from engine.records import Message
from tests.engine.answers import LLAMA
from tests.engine.inference_thread import loaded_model, on_thread
from tests.models import THINK, THINK_END


def _tokens(text: str) -> list[int]:
    return list(text.encode())


def _decode(
    engine: Engine, tokens: Sequence[int], prompt: Sequence[int] = (), stopped: bool = True
) -> tuple[str, str]:
    """(reasoning, answer) of these tokens."""
    model = loaded_model(engine, LLAMA)

    def decode() -> list[tuple[str, str]]:
        decoder = model.text_decoder(list(prompt))
        pieces = [piece for token in tokens for piece in decoder.add(token)]
        return pieces + decoder.finish(stopped)

    pieces = on_thread(engine, decode)
    return (
        "".join(text for kind, text in pieces if kind == "reasoning"),
        "".join(text for kind, text in pieces if kind == "text"),
    )


def test_an_answer_without_reasoning_is_all_answer(engine: Engine) -> None:
    assert _decode(engine, _tokens("plain words")) == ("", "plain words")


def test_reasoning_between_marks_is_split_off(engine: Engine) -> None:
    tokens = [THINK, *_tokens("hm"), THINK_END, *_tokens("so")]
    assert _decode(engine, tokens) == ("hm", "so")


def test_a_prompt_that_opened_the_reasoning_is_continued(engine: Engine) -> None:
    prompt = [*_tokens("question"), THINK]
    assert _decode(engine, [*_tokens("hm"), THINK_END, *_tokens("so")], prompt) == ("hm", "so")


def test_a_prompt_that_closed_it_again_leads_to_an_answer(engine: Engine) -> None:
    prompt = [*_tokens("question"), THINK, THINK_END]
    assert _decode(engine, _tokens("so"), prompt) == ("", "so")


def test_reasoning_that_never_ends_is_all_reasoning(engine: Engine) -> None:
    assert _decode(engine, [THINK, *_tokens("hm hm")], stopped=False) == ("hm hm", "")


def test_marks_spelled_in_letters_count_too(engine: Engine) -> None:
    assert _decode(engine, _tokens("<think>hm</think>so")) == ("hm", "so")


def test_half_a_mark_is_text_when_the_answer_was_cut_off(engine: Engine) -> None:
    assert _decode(engine, _tokens("a <thi"), stopped=False) == ("", "a <thi")


@pytest.mark.parametrize("text", ["é", "日本", "🎉", "a🎉b\n"])
def test_characters_of_several_tokens_come_whole(engine: Engine, text: str) -> None:
    model = loaded_model(engine, LLAMA)

    def decode() -> list[tuple[str, str]]:
        decoder = model.text_decoder([])
        return [piece for token in _tokens(text) for piece in decoder.add(token)]

    pieces = [piece for _, piece in on_thread(engine, decode)]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_half_a_character_at_the_end_is_no_crash(engine: Engine) -> None:
    _, answer = _decode(engine, [*_tokens("a"), 0xF0, 0x9F], stopped=False)
    assert answer.startswith("a")


def test_decoders_do_not_mix(engine: Engine) -> None:
    model = loaded_model(engine, LLAMA)

    def decode() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        one, two = model.text_decoder([]), model.text_decoder([THINK])
        said_one, said_two = [], []
        for a, b in zip(_tokens("first"), _tokens("other"), strict=True):
            said_one += one.add(a)
            said_two += two.add(b)
        return said_one, said_two

    said_one, said_two = on_thread(engine, decode)
    assert ("".join(t for _, t in said_one), {r for r, _ in said_one}) == ("first", {"text"})
    assert ("".join(t for _, t in said_two), {r for r, _ in said_two}) == ("other", {"reasoning"})


@pytest.mark.parametrize("text", ["a <think>", "<think>", "a </think> <think> b"])
def test_marks_in_a_message_do_not_open_the_reasoning(engine: Engine, text: str) -> None:
    model = loaded_model(engine, LLAMA)
    messages = [Message("user", text)]
    start = on_thread(engine, lambda: model.answer_start(messages, model.render_prompt(messages)))
    assert _decode(engine, _tokens("so"), start) == ("", "so")
