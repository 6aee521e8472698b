"""How a model's weights are kept on a CPU: in float32, and unpacked where there is memory for it.

MLX's CPU kernels for packed weights and for 16-bit numbers are 10 to 50 times slower than a float32
product by a fast BLAS. A layer that is unpacked keeps its packed form beside it, a seventh more, so
that the memory can be given back at once when another model wants it, without loading anew. Used on
the inference thread alone, and on CPUs alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear

_PLAIN_KINDS: tuple[tuple[Any, Any], ...] = (
    (nn.QuantizedLinear, nn.Linear),
    (nn.QuantizedEmbedding, nn.Embedding),
    (QuantizedSwitchLinear, SwitchLinear),
)
_FLOAT32_BYTES = 4


def widen(model: Any) -> None:
    """Make 16-bit weights and scales float32. Lazy: who evaluates the parameters does the work."""
    model.update(tree_map(_widened, model.parameters()))


class UnpackedLayers:
    """The layers of one model that are kept unpacked too. ``extra_bytes`` is what they take."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._packed: list[tuple[str, Any]] = []
        self.extra_bytes = 0
        arrays = (array for _, array in tree_flatten(model.parameters()))
        self._is_float32 = not any(_is_narrow(array) for array in arrays)

    def unpack_steps(self, has_room: Callable[[int], bool]) -> Iterator[int]:
        """Unpack layer by layer what there is room for; yields the bytes of each.

        ``has_room`` is asked anew before each layer, since others take memory in between. Layers
        come in the order of the model, so the first ones win when not all fit. A model that was
        left in 16 bits stays as it is: its cache would grow with the type of the products.
        """
        if not self._is_float32:
            return
        done = {name for name, _ in self._packed}
        for name, packed in list(self._model.named_modules()):
            kind = next((plain for kind, plain in _PLAIN_KINDS if type(packed) is kind), None)
            if kind is None or name in done:
                continue
            size_bytes = _unpacked_count(packed) * _FLOAT32_BYTES
            if not has_room(size_bytes):
                continue
            plain = _unpacked(packed, kind)
            mx.eval(plain.parameters())
            self._model.update_modules(tree_unflatten([(name, plain)]))
            self._packed.append((name, packed))
            self.extra_bytes += size_bytes
            yield size_bytes

    def pack(self) -> None:
        """Go back to the packed layers, which frees the others."""
        if self._packed:
            self._model.update_modules(tree_unflatten(self._packed))
        self._packed = []
        self.extra_bytes = 0


def _is_narrow(array: Any) -> bool:
    return bool(mx.issubdtype(array.dtype, mx.floating)) and array.itemsize < _FLOAT32_BYTES


def _widened(array: Any) -> Any:
    return array.astype(mx.float32) if _is_narrow(array) else array


def _unpacked_count(packed: Any) -> int:
    *shape, packed_columns = packed.weight.shape
    count = packed_columns * 32 // packed.bits
    for size in shape:
        count *= size
    return int(count)


def _unpacked(packed: Any, kind: Any) -> Any:
    """A layer of ``kind`` with the same weights in float32. Its own random ones are never drawn."""
    plain: Any = kind.__new__(kind)
    nn.Module.__init__(plain)
    plain.weight = mx.dequantize(
        packed.weight, packed.scales, packed.get("biases"), packed.group_size, packed.bits,
        packed.mode, global_scale=packed.get("global_scale"), dtype=mx.float32,
    )  # fmt: skip
    if "bias" in packed:
        plain.bias = packed.bias
    plain.freeze()
    return plain
