"""Headers of weight files are read exactly, and broken ones are Damaged, whatever is broken."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import Damaged
from engine.library.safetensors import TensorInfo, read_header
from tests.models import write_safetensors

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def _write(path: Path, header: Any, data: bytes = b"\0" * 8) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_every_tensor_is_listed_with_its_bytes(file: Path) -> None:
    write_safetensors(file, {"a": np.zeros((3, 4), np.float32), "b": np.zeros(0, np.float32)})
    assert read_header(file) == {
        "a": TensorInfo("F32", (3, 4), 48),
        "b": TensorInfo("F32", (0,), 0),
    }


@pytest.mark.parametrize(
    ("dtype", "shape", "size_bytes"),
    [("BF16", [3], 6), ("U32", [], 4), ("F4", [3], 2), ("F6_E2M3", [4], 3), ("BOOL", [5], 5)],
)
def test_dtypes_have_their_sizes(file: Path, dtype: str, shape: list[int], size_bytes: int) -> None:
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size_bytes]}
    _write(file, {"a": entry}, b"\0" * size_bytes)
    assert read_header(file)["a"].size_bytes == size_bytes


def test_a_scalar_is_not_mistaken_for_nothing(file: Path) -> None:
    _write(file, {"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 0]}}, b"")
    with pytest.raises(Damaged):
        read_header(file)


@pytest.mark.parametrize("change", [-1, +1])
def test_a_file_of_the_wrong_length_is_damaged_and_both_lengths_are_told(
    file: Path, change: int
) -> None:
    _write(file, {"a": ENTRY}, b"\0" * (8 + change))
    actual = file.stat().st_size
    with pytest.raises(Damaged, match=rf"{actual:,} bytes instead of {actual - change:,}"):
        read_header(file)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0", b"\xff" * 7, b"\0" * 8, b"\xff" * 64, b"GIF89a" * 20,
     (10**12).to_bytes(8, "little") + b"{}"],
)  # fmt: skip
def test_garbage_is_damaged(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    with pytest.raises(Damaged, match="model.safetensors"):
        read_header(file)


@pytest.mark.parametrize(
    "header",
    [b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a": []}', b'{"a": null}',
     b'{"a": {}}', b'{"a": {"dtype": "F32", "shape": [1e400], "data_offsets": [0, 8]}}',
     b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, Infinity]}}',
     b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, NaN]}}'],
)  # fmt: skip
def test_a_header_that_is_no_header_is_damaged(file: Path, header: bytes) -> None:
    with pytest.raises(Damaged):
        read_header(_write(file, header))


@pytest.mark.parametrize(
    "change",
    [{"dtype": "F31"}, {"dtype": []}, {"dtype": None}, {"shape": None}, {"shape": ["2"]},
     {"shape": [2.0]}, {"shape": [-2]}, {"shape": [3]}, {"shape": [10**400]}, {"shape": [True, 2]},
     {"data_offsets": [0]}, {"data_offsets": "08"}, {"data_offsets": [-8, 0]},
     {"data_offsets": [8, 0]}, {"data_offsets": [0.0, 8.0]}, {"data_offsets": [0, 10**30]}],
)  # fmt: skip
def test_an_entry_of_the_wrong_kind_is_damaged(file: Path, change: dict[str, Any]) -> None:
    with pytest.raises(Damaged):
        read_header(_write(file, {"a": {**ENTRY, **change}}))


def test_what_cannot_be_opened_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "dangling", "absent"):
        with pytest.raises(Damaged, match=name):
            read_header(tmp_path / name)
