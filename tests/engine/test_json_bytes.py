"""Quick JSON for lists says what Python's own reader says."""

import math

import pytest

from engine.library.json_bytes import parse_exactly, parse_quickly


@pytest.mark.parametrize(
    "raw",
    [b'{"model_type": "qwen3", "layers": [1, 2.5, null, true]}', b'"\xc3\xa4"', b'"\\ud800"',
     b'{"a": 1, "a": 2}', b'{"time_step_limit": [0.0, Infinity]}', b"18446744073709551615",
     b"[" * 900 + b"]" * 900],
)  # fmt: skip
def test_what_models_say_is_read_alike(raw: bytes) -> None:
    assert parse_quickly(raw) == parse_exactly(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"[" * 100_000])
def test_what_one_refuses_the_other_refuses_too(raw: bytes) -> None:
    for parse in (parse_quickly, parse_exactly):
        with pytest.raises((ValueError, RecursionError)):
            parse(raw)


def test_numbers_beyond_64_bits_are_about_right() -> None:
    assert math.isclose(parse_quickly(b"1" + b"0" * 30), 1e30)
    assert parse_exactly(b"1" + b"0" * 30) == 10**30
