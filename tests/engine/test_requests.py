"""What a visitor asks for is checked before any of it reaches the inference thread."""

from dataclasses import replace

import pytest

from engine.errors import InvalidRequest
from engine.inference.requests import PARAM_RANGES, check_messages, check_params
from engine.records import Message, SamplingParams
from engine.settings import Limits

NO_NUMBERS = [None, "0.5", True, [], {}, float("nan"), float("inf"), -float("inf"), 10**400]
LIMITS = Limits(messages=3, message_chars=20)


@pytest.mark.parametrize("name", PARAM_RANGES)
def test_the_ends_of_a_range_belong_to_it(name: str) -> None:
    for value in PARAM_RANGES[name]:
        check_params(replace(SamplingParams(), **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PARAM_RANGES)
def test_what_is_no_number_or_out_of_range_is_refused_by_name(name: str) -> None:
    low, high = PARAM_RANGES[name]
    for value in [*NO_NUMBERS, low - 1, high + 1]:
        with pytest.raises(InvalidRequest, match=name):
            check_params(replace(SamplingParams(), **{name: value}))


@pytest.mark.parametrize("name", ["top_k", "max_tokens"])
def test_counts_are_whole(name: str) -> None:
    with pytest.raises(InvalidRequest, match="whole"):
        check_params(replace(SamplingParams(), **{name: 10.0}))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [None, 0, 2**32 - 1])
def test_seeds_are_optional_whole_numbers(seed: int | None) -> None:
    check_params(SamplingParams(seed=seed))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "1"])
def test_other_seeds_are_refused(seed: object) -> None:
    with pytest.raises(InvalidRequest, match="seed"):
        check_params(SamplingParams(seed=seed))  # type: ignore[arg-type]


def test_a_system_prompt_is_text() -> None:
    with pytest.raises(InvalidRequest, match="system_prompt"):
        check_params(SamplingParams(system_prompt=None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [Message("user", "")],
        [Message("user", " \n\t")],
        [Message("user", "hi"), Message("assistant", " ")],
        [Message("system", "be kind")],
        [Message("tool", "hi")],  # type: ignore[arg-type]
        [Message([], "hi")],  # type: ignore[arg-type]
        [Message("user", None)],  # type: ignore[arg-type]
        [Message("user", b"hi")],  # type: ignore[arg-type]
        [Message("assistant", 3), Message("user", "hi")],  # type: ignore[arg-type]
        [Message("user", "hi")] * 4,
        [Message("user", "x" * 21)],
        [Message("assistant", "x" * 20), Message("user", "y")],
    ],
)
def test_what_is_no_conversation_is_refused(messages: list[Message]) -> None:
    with pytest.raises(InvalidRequest):
        check_messages(messages, LIMITS)


def test_a_conversation_at_its_limits_is_taken() -> None:
    check_messages([Message("user", "x" * 10), Message("assistant", ""),
                    Message("user", "y" * 10)], LIMITS)  # fmt: skip


def test_a_begun_answer_at_the_end_is_taken_to_be_written_on() -> None:
    check_messages([Message("user", "hi"), Message("assistant", "ye")], LIMITS)
