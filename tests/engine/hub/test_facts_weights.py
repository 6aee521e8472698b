"""Packed weights: parameters and bytes from counts that the Hub tells in two ways.

Counts with a source are those of published repos; the others are worked out from such.
"""

from typing import Any

import pytest

from engine.hub.facts import summary_from_hub
from engine.hub.weights import Evidence, Quantization, weigh
from engine.records import ModelSummary

FOUR = {"quantization_config": {"bits": 4, "group_size": 64}}
EIGHT = {"quantization_config": {"bits": 8, "group_size": 64}}


def _summary(counts: dict[str, int], config: Any = None, **fields: Any) -> ModelSummary:
    safetensors = {"parameters": counts, "total": fields.pop("total", sum(counts.values()))}
    raw = {"id": "a/b", "safetensors": safetensors, "config": config, **fields}
    summary = summary_from_hub(raw)
    assert summary is not None
    return summary


def _affine(weights: int, plain: int, bits: int, group: int = 64) -> dict[str, int]:
    """What mlx-lm stores for ``weights`` packed and ``plain`` unpacked parameters."""
    return {"U32": weights * bits // 32, "BF16": plain + 2 * weights // group}


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("group", [32, 64, 128])
def test_packed_weights_are_unpacked_and_their_scales_not_counted(bits: int, group: int) -> None:
    counts = _affine(8_000_000_000, 300_000, bits, group)
    found = _summary(counts, {"quantization": {"bits": bits, "group_size": group}})
    assert (found.parameters, found.quantization) == (8_000_300_000, f"{bits}-bit")
    assert found.weights_bytes == 4 * counts["U32"] + 2 * counts["BF16"]
    assert found.bits == bits and found.guessed == ()


def test_a_published_index_is_met_to_the_byte() -> None:
    """Qwen2.5-3B at 4 bits: its index states 1,736,187,904 bytes."""
    found = _summary(_affine(3_085_697_024, 241_664, 4), FOUR)
    assert (found.parameters, found.weights_bytes) == (3_085_938_688, 1_736_187_904)


@pytest.mark.parametrize("total", [88_577_906_818, 314_590_621_012])
def test_containers_are_recognised_whatever_the_total_says(total: int) -> None:
    """Two repos of one model, counted before and after a change (hub-docs issue 2704)."""
    found = _summary({"BF16": 9_964_787_842, "U32": 78_613_118_976}, EIGHT, total=total)
    assert found.parameters == pytest.approx(314_590_621_012, rel=1e-6)
    assert found.weights_bytes == 4 * 78_613_118_976 + 2 * 9_964_787_842


def test_counts_that_the_hub_has_unpacked_are_not_unpacked_again() -> None:
    """gemma-4-26B-A4B-it-4bit, 15.4 GB on disk (jundot/omlx issue 3401)."""
    found = _summary({"U32": 25_235_685_376, "BF16": 570_250_830}, FOUR)
    assert found.parameters == 25_805_936_206
    assert found.weights_bytes == pytest.approx(15.34e9, rel=0.002)
    assert found.guessed == ()


def test_storage_tells_unpacked_counts_from_containers() -> None:
    """Where much is left unpacked, as with eyes in BF16, the floats alone cannot tell."""
    counts = {"U32": 1_720_000_000, "BF16": 407_000_000}
    config = {"quantization_config": {"bits": 4}}
    assert _summary(counts, config).parameters == pytest.approx(1.4e10, rel=0.05)
    found = _summary(counts, config, usedStorage=1_800_000_000)
    assert found.parameters == 2_127_000_000
    assert found.weights_bytes == pytest.approx(1.78e9, rel=0.01)


def test_a_name_tells_them_apart_when_nothing_else_does() -> None:
    counts = {"U32": 1_720_000_000, "BF16": 407_000_000}
    config = {"quantization_config": {"bits": 4}}
    assert _summary(counts, config, id="a/Qwen3-VL-2B-4bit").parameters == 2_127_000_000
    assert (_summary(counts, config, id="a/x-14B-4bit").parameters or 0) > 13e9


def test_storage_that_could_not_hold_the_weights_is_no_evidence() -> None:
    found = _summary(_affine(8 * 10**9, 300_000, 4), FOUR, usedStorage=1_000_000)
    assert found.parameters == 8_000_300_000


def test_layers_of_several_widths_show_in_the_storage() -> None:
    counts = {"U32": 25_235_685_376, "BF16": 570_250_830}
    found = _summary(counts, FOUR, usedStorage=19_000_000_000)
    assert (found.weights_bytes, found.guessed) == (19_000_000_000, ("weights_bytes",))
    twice = _summary(counts, FOUR, usedStorage=31_000_000_000)
    assert twice.weights_bytes == pytest.approx(15.34e9, rel=0.002)
    assert twice.guessed == ()


def test_layers_of_several_widths_do_not_inflate_the_count() -> None:
    """Half at 4, half at 8 bits: the scales are the same in number."""
    narrow, wide = _affine(4 * 10**9, 0, 4), _affine(4 * 10**9, 0, 8)
    counts = {dtype: narrow[dtype] + wide[dtype] for dtype in narrow}
    found = _summary(counts, FOUR)
    assert (found.parameters, found.bits) == (8 * 10**9, 6.0)


@pytest.mark.parametrize(
    ("mode", "bits", "group"), [("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)]
)
def test_formats_with_scales_of_a_byte(mode: str, bits: int, group: int) -> None:
    weights = 32_000_000_000
    config = {"quantization": {"mode": mode, "bits": bits, "group_size": group}}
    stored = {"U32": weights * bits // 32, "U8": weights // group, "BF16": 1_000_000}
    found = _summary(stored, config)
    assert (found.parameters, found.quantization) == (weights + 1_000_000, mode)
    assert found.weights_bytes == weights * bits // 8 + weights // group + 2_000_000
    unpacked = _summary({"U32": weights, "BF16": 1_000_000}, config)
    assert (unpacked.parameters, unpacked.quantization) == (found.parameters, mode)
    assert unpacked.weights_bytes == found.weights_bytes


def test_mxfp4_with_other_layers_at_eight_bits() -> None:
    """gpt-oss-20b-MXFP4-Q8: experts in mxfp4, the rest affine, 20.9 billion in all."""
    experts, rest = 19_110_297_600, 1_802_000_000
    config = {"quantization": {"mode": "mxfp4", "bits": 4, "group_size": 32,
                               "model.embed_tokens": {"bits": 8, "group_size": 64}}}  # fmt: skip
    counts = {"U32": experts // 8 + rest // 4, "U8": experts // 32, "BF16": rest // 32 + 2_000_000}
    found = _summary(counts, config)
    assert found.quantization == "mxfp4"
    assert found.parameters == pytest.approx(experts + rest + 2_000_000, rel=0.001)
    assert found.weights_bytes == pytest.approx(12.03e9, rel=0.01)


def test_mxfp4_as_its_makers_store_it() -> None:
    """openai/gpt-oss-20b: blocks in U8, which the Hub unpacks."""
    config = {"quantization_config": {"quant_method": "mxfp4"}}
    found = _summary({"BF16": 1_804_459_584, "U8": 19_110_297_600}, config)
    assert (found.quantization, found.parameters) == ("mxfp4", 20_914_757_184)
    assert found.weights_bytes == pytest.approx(13_761_264_768, rel=0.001)


@pytest.mark.parametrize(
    ("counts", "label", "size_bytes"),
    [
        ({"BF16": 1000}, "bf16", 2000),
        ({"F16": 900, "F32": 100}, "fp16", 2200),
        ({"F32": 1000}, "fp32", 4000),
        ({"F8_E4M3": 1000}, "unknown", 1000),
        ({"BF16": 10, "F99": 1}, "bf16", None),
    ],
)
def test_weights_that_are_not_packed(counts: dict[str, int], label: str, size_bytes: Any) -> None:
    found = _summary(counts)
    assert (found.quantization, found.weights_bytes) == (label, size_bytes)
    assert found.parameters == sum(counts.values())


def test_a_quantisation_of_another_kind_gives_no_bytes() -> None:
    config = {"quantization_config": {"quant_method": "awq", "bits": 4}}
    found = _summary({"I32": 7_000_000_000, "F16": 1_000_000_000}, config)
    assert (found.quantization, found.weights_bytes) == ("4-bit", None)


def test_containers_of_unknown_width_tell_nothing() -> None:
    found = _summary({"U32": 10**9, "BF16": 10**8})
    assert (found.parameters, found.weights_bytes, found.quantization) == (None, None, "unknown")


def test_the_hubs_own_tag_tells_the_width_where_the_config_does_not() -> None:
    found = _summary(_affine(8 * 10**9, 300_000, 4), tags=["mlx", "4-bit"])
    assert (found.quantization, found.guessed) == ("4-bit", ())
    assert found.parameters == pytest.approx(8e9, rel=0.001)


def test_listed_file_sizes_are_the_exact_bytes() -> None:
    siblings = [
        {"rfilename": "model-00001-of-00002.safetensors", "size": 5_000},
        {"rfilename": "model-00002-of-00002.safetensors", "size": 3_000},
        {"rfilename": "original/model.safetensors", "size": 9_000},
        {"rfilename": "tokenizer.json", "size": 700},
    ]
    assert _summary({"BF16": 10}, siblings=siblings).weights_bytes == 8_000
    del siblings[0]["size"]
    assert _summary({"BF16": 10}, siblings=siblings).weights_bytes == 20


def test_a_declared_total_that_cannot_be_is_not_believed() -> None:
    """A repo whose metadata declares 333,312 parameters (huggingface_hub issue 4221)."""
    assert _summary({"BF16": 7_615_616_512}, total=333_312).parameters == 7_615_616_512
    counts = _affine(8 * 10**9, 300_000, 4)
    assert _summary(counts, FOUR, total=10**14).parameters == 8_000_300_000


def test_nothing_counted_is_nothing_known() -> None:
    found = weigh({"U32": 0, "BF16": 0}, Quantization("affine", 4.0, 64), Evidence())
    assert (found.parameters, found.size_bytes) == (None, None)
