"""From the Hub's counts per dtype to parameters and bytes: arithmetic on packed weights.

MLX packs N-bit weights into U32, 32 / N to each. Affine quantisation adds a scale and a bias in
BF16, F16 or F32 to every group of weights; mxfp4, nvfp4 and mxfp8 add one U8 scale (mlx.core's
``quantize``). Neither are parameters. The Hub tells such a repo in one of two ways:

- as stored: U32 counts containers, the scales stand among the others;
- as unpacked, since August 2026 (huggingface.js pull request 2415): U32 counts weights, and the
  scales are left out.

Both are met, for old entries are not all counted again. Taking one for the other is wrong by a
factor of 32 / N, so ``weigh`` first finds out which it has.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.hub.names import bits_label

_DTYPE_BYTES = {
    "F64": 8.0, "I64": 8.0, "U64": 8.0, "C64": 8.0, "F32": 4.0, "I32": 4.0, "U32": 4.0,
    "F16": 2.0, "BF16": 2.0, "I16": 2.0, "U16": 2.0, "I8": 1.0, "U8": 1.0, "BOOL": 1.0,
    "F8_E4M3": 1.0, "F8_E5M2": 1.0, "F8_E8M0": 1.0, "E8M0": 1.0,
    "F6_E2M3": 0.75, "F6_E3M2": 0.75, "F4": 0.5, "FP4": 0.5,
}  # fmt: skip
_FLOATS = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}
_SCALES = ("F8_E8M0", "E8M0")
_GROUPS = {"affine": 64, "mxfp4": 32, "nvfp4": 16, "mxfp8": 32}
_FOREIGN = ("I32", "I8", "U8")  # containers of gptq, awq, bitsandbytes, compressed-tensors


@dataclass(frozen=True)
class Quantization:
    """How the weights are packed. ``mode`` is "affine", "mxfp4", "nvfp4", "mxfp8" or "".

    ``bits`` are those of a weight without its scales. ``group_size`` counts weights, None where
    the config does not say. ``other_bits`` is the width of layers that differ, 8 where unknown.
    """

    mode: str = ""
    bits: float | None = None
    group_size: int | None = None
    other_bits: float = 8.0

    @property
    def label(self) -> str:
        """As people name it: ``4-bit``, ``mxfp4``, or ``unknown``."""
        return (
            self.mode if self.mode in _GROUPS and self.mode != "affine" else bits_label(self.bits)
        )

    @property
    def is_affine(self) -> bool:
        """Whether groups have a scale and a bias, in floats, and not one scale of a byte."""
        return self.mode in ("affine", "")

    @property
    def group(self) -> int:
        """Weights that share a scale; mlx-lm's own default where the config does not say."""
        return self.group_size or _GROUPS.get(self.mode, 64)


@dataclass(frozen=True)
class Evidence:
    """What else is known when counts are read.

    ``total`` is the Hub's own sum, ``stored_bytes`` all that the repo ever stored, so an upper
    bound, ``named_parameters`` what the name says.
    """

    total: int | None = None
    stored_bytes: int | None = None
    named_parameters: int | None = None


@dataclass(frozen=True)
class Weights:
    """Parameters unpacked, bytes on disk, mean bits of a packed weight; None where unknown.

    ``is_from_storage`` says that the bytes are all that the repo stores, for want of better.
    """

    parameters: int | None = None
    size_bytes: int | None = None
    bits: float | None = None
    is_from_storage: bool = False


def float_label(counts: Mapping[str, int]) -> str:
    """``bf16``, ``fp16`` or ``fp32`` when most of the weights are stored so, else "unknown"."""
    most = max(counts, key=lambda dtype: counts[dtype], default="")
    return _FLOATS.get(most, "unknown") if not counts.get("U32") else "unknown"


def weigh(counts: Mapping[str, int], quantization: Quantization, evidence: Evidence) -> Weights:
    """Parameters and bytes of the weights from ``counts``, elements per dtype.

    Unpacked counts come without the scales' sizes, so their bytes are reckoned from the config's
    bits and group size, or taken from the repo's storage where that is near.
    """
    bits = quantization.bits
    if not sum(counts.values()):
        return Weights()
    if counts.get("U32"):
        if bits is None:
            return Weights()
        if _is_stored_form(counts, quantization, bits, evidence):
            return _as_stored(counts, quantization, bits, evidence)
        return _as_unpacked(counts, "U32", quantization, bits, evidence)
    if quantization.mode == "mxfp4" and counts.get("U8") and bits is not None:
        return _as_unpacked(counts, "U8", quantization, bits, evidence)
    parameters = _sum(counts) or None
    is_foreign = bits is not None and any(counts.get(d) for d in _FOREIGN)
    size_bytes = None if is_foreign else _bytes(counts)
    return Weights(parameters, size_bytes, bits)


def _is_stored_form(
    counts: Mapping[str, int], how: Quantization, bits: float, evidence: Evidence
) -> bool:
    """Whether U32 counts containers, and not weights.

    Containers cannot need more than the repo stores, and they bring their scales along. Layers
    of other widths have fewer scales to a container, so 0.4 of the expected ones are enough.
    """
    size_bytes, limit = _bytes(counts), _storage(evidence, counts["U32"] * bits / 8)
    if limit and size_bytes and size_bytes > 1.02 * limit:
        return False
    weights = counts["U32"] * 32 / bits
    is_affine = how.is_affine
    group = how.group_size or (128 if is_affine else how.group)
    expected = weights * (2 if is_affine else 1) / group
    if (_float_count(counts) if is_affine else counts.get("U8", 0)) < 0.4 * expected:
        return False
    if evidence.total and evidence.total > 1.2 * sum(counts.values()):
        return True
    if not evidence.named_parameters:
        return True
    as_stored = _as_stored(counts, how, bits, Evidence()).parameters or 1
    as_unpacked = _sum(counts)
    named = evidence.named_parameters
    return abs(math.log(as_stored / named)) <= abs(math.log(as_unpacked / named))


def _as_stored(
    counts: Mapping[str, int], how: Quantization, bits: float, evidence: Evidence
) -> Weights:
    """U32 counts containers. With n weights in groups of g: affine has 2n/g scales and biases.

    Where layers differ in width, the scales tell the number of weights better than the
    containers do: n is at most (scales and biases) x g / 2, and (U8 scales) x g in the other
    modes, whose remaining containers are affine layers of ``other_bits``.
    """
    floats, scales = _float_count(counts), counts.get("U8", 0)
    weights = counts["U32"] * 32 / bits
    others = sum(counts.values()) - counts["U32"] - floats - sum(counts.get(d, 0) for d in _SCALES)
    if how.is_affine:
        affine = weights = min(weights, floats * how.group_size / 2) if how.group_size else weights
    else:
        others -= scales
        small = min(weights, scales * how.group) if scales else weights
        affine = max(0.0, counts["U32"] - small * bits / 32) * 32 / how.other_bits
        affine = affine if affine > 0.001 * small else 0.0
        weights = small + affine
    plain = max(0.0, floats - 2 * affine / (how.group if how.is_affine else 64))
    parameters = round(weights + plain + others)
    declared = evidence.total or 0
    if declared > 1.2 * sum(counts.values()) and 0.6 < declared / max(parameters, 1) < 1.6:
        parameters = declared
    mean_bits = counts["U32"] * 32 / weights if weights else bits
    is_mixed = mean_bits > 1.05 * bits
    return Weights(parameters, _bytes(counts), round(mean_bits, 2) if is_mixed else bits)


def _as_unpacked(
    counts: Mapping[str, int],
    container: str,
    how: Quantization,
    bits: float,
    evidence: Evidence,
) -> Weights:
    """The container's count is of weights, and their scales are not counted."""
    rest = {dtype: count for dtype, count in counts.items() if dtype != container}
    # A scale and a bias of two bytes each, or one scale of a byte.
    with_scales = bits + (32 if how.is_affine else 8) / how.group
    others = _bytes(rest)
    reckoned = None if others is None else round(counts[container] * with_scales / 8) + others
    stored = _storage(evidence, reckoned or 0)
    if reckoned and stored and (stored < reckoned or 1.1 * reckoned < stored < 1.5 * reckoned):
        # One version in the repo, and more or less than the config lets one reckon: layers of
        # several widths. Twice as much would be two versions, or other formats beside it.
        return Weights(_sum(counts), stored, bits, is_from_storage=True)
    return Weights(_sum(counts), reckoned, bits)


def _storage(evidence: Evidence, least_bytes: float) -> int | None:
    """What the repo stores, unless that could not even hold the weights: then it is not true."""
    stored = evidence.stored_bytes
    return stored if stored and stored > 0.3 * least_bytes else None


def _float_count(counts: Mapping[str, int]) -> int:
    return sum(counts.get(dtype, 0) for dtype in _FLOATS)


def _sum(counts: Mapping[str, int]) -> int:
    return sum(count for dtype, count in counts.items() if dtype not in _SCALES)


def _bytes(counts: Mapping[str, int]) -> int | None:
    """Exact bytes, or None when a dtype is not known."""
    if any(dtype not in _DTYPE_BYTES for dtype in counts):
        return None
    return round(sum(_DTYPE_BYTES[dtype] * count for dtype, count in counts.items()))
