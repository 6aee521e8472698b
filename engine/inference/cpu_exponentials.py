"""Exponentials on a CPU by numpy, which is several times as fast as MLX there.

MLX takes some 12 ns for each on a Linux CPU, numpy less than 2. That was more than half of a step
that reads 128 tokens after 1,800 others, in attention's softmax; and a sixth of one in which eight
answers each get a token of a vocabulary of 150,000, in their normalisation. Inference thread only.
"""

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

_LEAST_VALUES = 65_536  # fewer take MLX less time than the way to numpy
_HIDDEN = float(np.finfo(np.float32).min)  # as MLX hides what a mask of truth values leaves out

Function = Callable[..., Any]


def speed_up_exponentials() -> None:
    """Put them below every model that asks MLX for attention, and below mlx-lm's sampling."""
    if not hasattr(mx.logsumexp, "__wrapped__"):  # not a second time
        attention = mx.fast.scaled_dot_product_attention
        mx.fast.scaled_dot_product_attention = with_fast_softmax(attention)
        mx.logsumexp = with_fast_sums(mx.logsumexp)


def with_fast_sums(plain: Function) -> Function:
    """``mx.logsumexp``, by numpy over the last axis of many float32 values."""

    @functools.wraps(plain)
    def log_sum(values: Any, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
        is_rows = axis == -1 and keepdims and not others and values.dtype == mx.float32
        if not is_rows or values.size < _LEAST_VALUES:
            return plain(values, axis, keepdims, **others)
        rows = np.array(values, copy=False).reshape(-1, values.shape[-1])
        sums = np.empty((*values.shape[:-1], 1), np.float32)
        for row, one in zip(rows, sums.reshape(-1, 1), strict=True):
            highest = row.max()
            one[0] = highest + np.log(np.exp(row - highest).sum())
        return mx.array(sums)

    return log_sum


def with_fast_softmax(plain: Function) -> Function:
    """``mx.fast.scaled_dot_product_attention``, by numpy where there is much to do in float32."""

    @functools.wraps(plain)
    def attend(q: Any, k: Any, v: Any, *, scale: float, mask: Any = None, **others: Any) -> Any:
        batch, heads, rows, _ = q.shape
        columns = k.shape[2]
        is_float32 = q.dtype == k.dtype == v.dtype == mx.float32
        has_others = any(value is not None for value in others.values())
        if has_others or not is_float32 or batch * heads * rows * columns < _LEAST_VALUES:
            return plain(q, k, v, scale=scale, mask=mask, **others)
        grouped = (q * scale).reshape(batch, k.shape[1], -1, q.shape[3])
        scores = grouped @ k.swapaxes(-1, -2)
        mx.eval(scores)
        _softmax(np.array(scores, copy=False).reshape(batch, heads, rows, columns), mask)
        return (scores @ v).reshape(batch, heads, rows, -1)

    return attend


def _softmax(scores: Any, mask: Any) -> None:
    """Replace scores (batch, heads, rows, columns) by their softmax, in MLX's own memory."""
    if mask is not None:
        _hide(scores, mask)
    for one in scores.reshape(-1, *scores.shape[2:]):  # small enough for the processor's cache
        one -= one.max(axis=-1, keepdims=True)
        np.exp(one, out=one)
        one /= one.sum(axis=-1, keepdims=True)


def _hide(scores: Any, mask: Any) -> None:
    """Leave out what a mask, as MLX takes it, leaves out."""
    rows, columns = scores.shape[2:]
    if isinstance(mask, str):  # causal: the last rows are those of the last columns
        scores[..., columns - rows :] += _later(rows)
    elif mask.dtype == mx.bool_:
        np.copyto(scores, _HIDDEN, where=~np.array(mask))
    else:
        scores += np.array(mask.astype(mx.float32))


@functools.lru_cache(maxsize=4)
def _later(rows: int) -> Any:
    """Added to the scores of ``rows`` tokens among themselves: nobody sees what comes later."""
    return np.triu(np.full((rows, rows), -np.inf, np.float32), 1)
