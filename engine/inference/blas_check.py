"""Whether a BLAS library computes right, tried in a process of its own: a broken one may crash.

Run as a script with the library's path; exits 0 when a product is exact. Prints how many threads
the library may use.
"""

import ctypes
import sys
from array import array

_ROW_MAJOR, _AS_IT_IS = 101, 111
_ROWS, _INNER, _COLUMNS = 33, 40, 27
_HIGH_BITS = 1 << 40  # a library with 64-bit numbers sees them, and fails; another never does


def is_exact(path: str) -> bool:
    """Whether the library at ``path`` multiplies two matrices of small whole numbers exactly."""
    sgemm = ctypes.CDLL(path).cblas_sgemm
    number, real, pointer = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    sgemm.argtypes = [ctypes.c_int] * 3 + [number] * 3 + [real, pointer, number, pointer, number]
    sgemm.argtypes += [real, pointer, number]
    sgemm.restype = None
    a = array("f", [i * 7 % 11 - 5 for i in range(_ROWS * _INNER)])
    b = array("f", [i * 5 % 13 - 6 for i in range(_INNER * _COLUMNS)])
    c = array("f", [0.0] * (_ROWS * _COLUMNS))
    at = [x.buffer_info()[0] for x in (a, b, c)]
    rows, columns, inner = (n | _HIGH_BITS for n in (_ROWS, _COLUMNS, _INNER))
    sgemm(
        _ROW_MAJOR, _AS_IT_IS, _AS_IT_IS, rows, columns, inner, 1.0, at[0], inner, at[1], columns,
        0.0, at[2], columns,
    )  # fmt: skip
    return all(
        c[i * _COLUMNS + j] == sum(a[i * _INNER + k] * b[k * _COLUMNS + j] for k in range(_INNER))
        for i in range(_ROWS)
        for j in range(_COLUMNS)
    )


if __name__ == "__main__":
    sys.exit(0 if is_exact(sys.argv[1]) else 1)
