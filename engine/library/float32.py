"""What a model's weights take on a CPU, where they are made float32 and unpacked. Pure.

Follows ``engine.inference.cpu_weights``: 16-bit weights, scales and biases become float32, and
packed layers get an unpacked float32 copy where there is memory for it. What it does not know:
layers that differ in their bits, which a config may list one by one.
"""

from engine.library.config_values import Config, element_bytes, number, part

_FLOAT32_BYTES = 4
# Weights per scale, and what a scale takes in 16-bit files and in float32, in bits. Affine groups
# have an offset as well; the other forms have scales of 8 bits, which stay.
_DEFAULT_GROUPS = {"affine": 64, "mxfp4": 32, "mxfp8": 32, "nvfp4": 16}
_AFFINE_SCALE_BITS = 32
_OTHER_SCALE_BITS = 8
_MAX_BITS = 8


def float32_weights(config: Config, weights_bytes: int) -> tuple[int, int]:
    """Bytes of the weights in float32, packed layers still packed, and of unpacking those too.

    ``weights_bytes`` are those of the files.
    """
    how = part(config, "quantization") or part(config, "quantization_config")
    mode = str(how.get("mode", "affine"))
    bits = number(how, "bits")
    if mode not in _DEFAULT_GROUPS or not 0 < bits <= _MAX_BITS:
        return weights_bytes * _FLOAT32_BYTES // element_bytes(config), 0
    group = number(how, "group_size", default=_DEFAULT_GROUPS[mode])
    is_affine = mode == "affine"
    stored_bits = bits + (_AFFINE_SCALE_BITS if is_affine else _OTHER_SCALE_BITS) / group
    wide_bits = stored_bits + (_AFFINE_SCALE_BITS / group if is_affine else 0)
    if element_bytes(config) == _FLOAT32_BYTES:  # so have the scales in the files
        stored_bits = wide_bits
    count = weights_bytes * 8 / stored_bits
    return int(count * wide_bits / 8), int(count * _FLOAT32_BYTES)
