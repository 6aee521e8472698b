"""An answer ends before the first of its stop strings, and disturbs nobody by that."""

from dataclasses import replace

import pytest

from engine import Engine
from engine.errors import InvalidRequest
from engine.inference import check_params
from engine.inference.stops import StopStrings
from engine.records import SamplingParams
from engine.sampling_json import params_from_json, params_to_json
from tests.engine.answers import LLAMA, ask, read, start

KINDS = [LLAMA, "tiny/chunked", "tiny/recurrent"]


def _through(strings: list[str], text: str) -> tuple[str, bool]:
    """What comes out when a text goes in letter by letter."""
    stops = StopStrings(strings)
    said = "".join(stops.pass_on(letter) for letter in text)
    return said + stops.rest(), stops.is_found


@pytest.mark.parametrize(
    ("strings", "text", "said", "found"),
    [
        (["END"], "an END and more", "an ", True),
        (["END"], "an EN", "an EN", False),
        (["END"], "EENDE", "E", True),
        (["aab"], "aaab", "a", True),
        (["xyz", "y"], "wxyz", "wx", True),
        (["\n\n"], "one\ntwo\n\nthree", "one\ntwo", True),
        (["日本"], "in 日本 so", "in ", True),
        (["never"], "", "", False),
    ],
)
def test_a_text_ends_before_the_first_stop_string(
    strings: list[str], text: str, said: str, found: bool
) -> None:
    assert _through(strings, text) == (said, found)


def test_of_two_in_one_piece_the_earlier_one_counts() -> None:
    stops = StopStrings(["late", "early"])
    assert stops.pass_on("so early or late") == "so "
    assert stops.pass_on("more") == "" and stops.rest() == ""


@pytest.mark.parametrize("model", KINDS)
def test_an_answer_ends_before_a_stop_string_and_says_so(engine: Engine, model: str) -> None:
    whole = ask(engine, "hello", model, max_tokens=60).text
    stop = whole[20:23]
    answer = ask(engine, "hello", model, max_tokens=1500, stop=(stop,))
    assert answer.reason == "stop"
    assert answer.text == whole[: whole.index(stop)]
    assert answer.stats.output_tokens == whole.index(stop) + len(stop)


@pytest.mark.parametrize("model", KINDS)
def test_an_answer_after_a_stopped_one_is_as_if_nothing_was(engine: Engine, model: str) -> None:
    whole = ask(engine, "hello, stop", model, max_tokens=40).text
    ask(engine, "hello, stop", model, max_tokens=40, stop=(whole[7:9],))
    assert ask(engine, "hello, stop", model, max_tokens=40).text == whole


def test_others_in_the_batch_go_on(engine: Engine) -> None:
    alone = [ask(engine, said, max_tokens=50).text for said in ("one", "two")]
    stopping = start(engine, "one", max_tokens=50, stop=(alone[0][5:7],))
    other = start(engine, "two", max_tokens=50)
    assert read(other).text == alone[1]
    assert read(stopping).text == alone[0][: alone[0].index(alone[0][5:7])]


def test_half_a_stop_string_at_the_end_is_said(engine: Engine) -> None:
    whole = ask(engine, "hello", max_tokens=24).text
    answer = ask(engine, "hello", max_tokens=24, stop=(whole[-2:] + "~never~",))
    assert (answer.text, answer.reason) == (whole, "length")


@pytest.mark.parametrize("stop", ["text", ("",), (1,), ("x" * 257,), ("x",) * 17, None])
def test_other_stops_are_refused_by_name(stop: object) -> None:
    with pytest.raises(InvalidRequest, match="stop"):
        check_params(replace(SamplingParams(), stop=stop))  # type: ignore[arg-type]


def test_stops_that_were_kept_as_json_are_the_same_again() -> None:
    params = SamplingParams(stop=("\n", "END"))
    kept = {**params_to_json(params), "stop": list(params.stop)}
    assert params_from_json(kept) == params
