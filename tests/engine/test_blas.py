"""A fast BLAS is in force before mlx, a broken one is left out; its functions get plain names."""

import ctypes
import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from engine.inference import blas
from engine.inference.elf import without_prefix

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Mac computes on Metal")

PRODUCT = """
import sys
from pathlib import Path
from engine.inference.blas import open_fast_blas
print(open_fast_blas(Path(sys.argv[1])))
import mlx.core as mx
import numpy as np
a, b = mx.random.normal((200, 300)), mx.random.normal((300, 100))
print(np.allclose(np.array(a @ b), np.array(a) @ np.array(b), atol=1e-3))
maps = Path("/proc/self/maps").read_text()
print("openblas" in maps)
"""


def wheel_library() -> Path:
    spec = importlib.util.find_spec("scipy_openblas32")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "lib" / "libscipy_openblas.so"


def test_mlx_multiplies_right_with_the_fast_blas_in_force(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PRODUCT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["True", "True", "True"], done.stderr


def test_a_renamed_function_is_found_by_its_plain_name_and_the_others_by_theirs(
    tmp_path: Path,
) -> None:
    renamed = tmp_path / "renamed.so"
    renamed.write_bytes(without_prefix(wheel_library().read_bytes(), "scipy_", ["cblas_sgemm"]))
    library = ctypes.CDLL(str(renamed))
    assert library.cblas_sgemm and library.scipy_cblas_dgemm
    with pytest.raises(AttributeError):
        _ = library.scipy_cblas_sgemm
    assert blas.problem_with(renamed) == ""


@pytest.mark.parametrize("length", [0, 3, 64, 4096, 200_000])
def test_a_library_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        without_prefix(wheel_library().read_bytes()[:length], "scipy_", ["cblas_sgemm"])


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="cblas_nonsense"):
        without_prefix(wheel_library().read_bytes(), "scipy_", ["cblas_nonsense"])


def test_a_blas_that_computes_wrongly_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.so"  # a double-precision product under the name of the single one
    image = wheel_library().read_bytes()
    assert b"scipy_cblas_dgemm\0" in image
    wrong.write_bytes(without_prefix(_swapped(image), "scipy_", ["cblas_sgemm"]))
    assert blas.problem_with(wrong)


def test_what_is_no_library_is_left_out_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "libopenblas.so.0"
    broken.write_text("not a library")
    monkeypatch.setattr(blas, "_candidates", lambda cache_dir: iter([broken]))
    monkeypatch.setattr(blas, "_is_in_force", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert not blas.open_fast_blas(tmp_path / "cache")
    assert caplog.text.count("libopenblas.so.0 is left out") == 1
    assert caplog.text.count("No fast BLAS was found") == 1


def _swapped(image: bytes) -> bytes:
    """The names of the single and the double product exchanged."""
    single, double, between = b"scipy_cblas_sgemm\0", b"scipy_cblas_dgemm\0", b"scipy_cblas_xgemm\0"
    return image.replace(single, between).replace(double, single).replace(between, double)
