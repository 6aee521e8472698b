"""A fast BLAS for MLX on a Linux CPU, put in force before mlx is imported.

The wheel of MLX for CPUs brings the reference BLAS, 20 to 40 times slower than OpenBLAS on a
product of two large matrices. The loader takes a function from the first library that was opened
for all to see, so opening OpenBLAS first is enough. The system's is taken where there is one,
otherwise that of the wheel ``scipy-openblas32``, whose functions are given their plain names in a
copy. On Metal and CUDA nothing of this runs.

OpenBLAS gives each thread an equal share of a product and lets the others spin until the last is
done. Where another program holds one of the cores, that made answers ten times slower on a shared
machine with two; one core is therefore left to the page and to everybody else.
"""

import contextlib
import ctypes
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.inference.elf import without_prefix
from engine.machine import available_cores

logger = logging.getLogger(__name__)

_SYSTEM_NAMES = ("libopenblasp.so.0", "libopenblas.so.0")  # Fedora calls the threaded one so
_SYSTEM_FOLDERS = ("/usr/local/lib", "/usr/lib64", "/usr/lib", "/lib64", "/lib")
_WHEEL = "scipy_openblas32"
_PREFIX = "scipy_"
_PRODUCTS = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
_CHECK_TIMEOUT_S = 20.0


def open_fast_blas(cache_dir: Path) -> bool:
    """Open a BLAS for MLX to find; whether one is in force. Before mlx is imported, once.

    A library that is broken, or has numbers of the wrong width, is left out with a line in the log.
    """
    if not _is_wanted():
        return False
    if _is_in_force():
        return True
    for path in _candidates(cache_dir):
        if problem := problem_with(path):
            logger.warning("the BLAS %s is left out: %s", path.name, problem)
            if path.parent == cache_dir:
                path.unlink(missing_ok=True)  # a copy gone bad is made anew at the next start
            continue
        try:
            library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            logger.warning("the BLAS %s cannot be opened: %s", path.name, error)
            continue
        threads = max(1, available_cores() - 1)
        for prefix in ("", _PREFIX):
            with contextlib.suppress(AttributeError):
                getattr(library, f"{prefix}openblas_set_num_threads")(threads)
        logger.info("matrix products by %s", path.name)
        return True
    logger.warning(
        "No fast BLAS was found, so answers on this processor will be slow. "
        "`pip install scipy-openblas32` or the package libopenblas0-pthread brings one."
    )
    return False


def _is_wanted() -> bool:
    """MLX for CPUs has a package of its own; the others compute on an accelerator."""
    try:
        return sys.platform == "linux" and bool(version("mlx-cpu"))
    except PackageNotFoundError:
        return False


def _is_in_force() -> bool:
    """Whether somebody has opened a BLAS for all already."""
    return hasattr(ctypes.CDLL(None), "cblas_sgemm")


def _candidates(cache_dir: Path) -> Iterator[Path]:
    """Libraries to try, the best first."""
    multiarch = getattr(sys.implementation, "_multiarch", "")
    folders = [*(f"{folder}/{multiarch}" for folder in _SYSTEM_FOLDERS), *_SYSTEM_FOLDERS]
    for path in (Path(folder) / name for name in _SYSTEM_NAMES for folder in folders):
        if path.is_file():
            yield path.resolve()
    try:
        if (copy := _renamed_copy(cache_dir)) is not None:
            yield copy
    except (OSError, ValueError) as error:
        logger.warning("the OpenBLAS of %s cannot be used: %s", _WHEEL, error)


def problem_with(path: Path) -> str:
    """Why a library is not to be used; empty when it computes right. Tried in a child process."""
    script = Path(__file__).with_name("blas_check.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(script), str(path)],
            capture_output=True, timeout=_CHECK_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "it could not be tried"
    if done.returncode < 0:
        return "it crashes"
    return "" if done.returncode == 0 else "it computes a small product wrongly"


def _renamed_copy(cache_dir: Path) -> Path | None:
    """The wheel's library with plain names, made once for each version; None without the wheel."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    source = Path(spec.origin).parent / "lib" / "libscipy_openblas.so"
    stamp = source.stat()
    copy = cache_dir / f"openblas-{stamp.st_size}-{stamp.st_mtime_ns}.so"
    if not copy.is_file():
        renamed = without_prefix(source.read_bytes(), _PREFIX, _PRODUCTS)
        for old in cache_dir.glob("openblas-*.so"):
            old.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache_dir, delete=False) as file:
            file.write(renamed)
        os.replace(file.name, copy)
    return copy
