"""The estimate of a model's memory, corrected by what it was seen to take on this computer.

The estimate is wrong by an amount: what the tokenizer's tables or a backend's copies take, or
weights in the files that mlx-lm leaves out. So the difference between peak and estimate at the
measured work is added at every other context, and growth stays as the config gives it. At the
measured work the total is the measured peak.
"""

from dataclasses import replace

from engine.estimates import KVCacheSize, MemoryEstimate
from engine.library.config_values import Config
from engine.library.memory import PREFILL_STEP_TOKENS, USUAL_CONTEXT_TOKENS, estimate_memory
from engine.library.usage import Usage

_COMPARABLE_SHARE = 0.5


def corrected_memory(
    config: Config,
    weights_bytes: int,
    budget_bytes: int | None,
    usage: Usage,
    context: int = USUAL_CONTEXT_TOKENS,
    *,
    on_cpu: bool = False,
) -> MemoryEstimate | None:
    """The estimate at ``context`` as ``usage`` corrects it; None where it says nothing of it.

    A config that does not say how the KV cache grows is corrected up to the measured context only.
    """
    peak_bytes, tokens = usage.measured_memory_bytes, usage.measured_context_tokens
    if peak_bytes is None or tokens is None:
        return None
    usage_prefill = usage.measured_prefill_tokens
    step = PREFILL_STEP_TOKENS if usage_prefill is None else min(usage_prefill, PREFILL_STEP_TOKENS)
    there = estimate_memory(
        config, weights_bytes, budget_bytes, tokens, step_tokens=step, on_cpu=on_cpu
    )
    here = estimate_memory(config, weights_bytes, budget_bytes, context, on_cpu=on_cpu)
    if context == tokens:
        here = there
    return shift_estimate(here, there, peak_bytes)


def shift_estimate(
    here: MemoryEstimate, there: MemoryEstimate, peak_bytes: int
) -> MemoryEstimate | None:
    """``here`` moved by as much as ``peak_bytes`` lies off ``there``.

    None when the peak is below the KV cache alone, so of something else, or when the growth from
    there to here is not known. Never below the KV cache here.
    """
    if there.total_bytes is None or here.total_bytes is None:
        if here.context_tokens > there.context_tokens:
            return None
        return _with_base(replace(here, kv_cache=KVCacheSize(0, 0)), peak_bytes)
    if peak_bytes < (there.kv_bytes or 0):
        return None
    return _with_base(here, here.base_bytes + peak_bytes - there.total_bytes)


def load_estimate(
    estimate: MemoryEstimate, corrected: MemoryEstimate | None, usage: Usage
) -> MemoryEstimate:
    """The estimate by which to decide on a load.

    A correction upwards always counts. One downwards counts only where the model was seen at
    comparable work: what a short greeting took says little of a long document, and out of memory
    ends the whole process on a CPU.
    """
    if corrected is None or corrected.total_bytes is None:
        return estimate
    if estimate.total_bytes is None or corrected.total_bytes >= estimate.total_bytes:
        return corrected
    least_tokens = estimate.context_tokens * _COMPARABLE_SHARE
    step = min(PREFILL_STEP_TOKENS, least_tokens)
    was_comparable = (usage.measured_context_tokens or 0) >= least_tokens and (
        usage.measured_prefill_tokens or 0) >= step  # fmt: skip
    return corrected if was_comparable else estimate


def _with_base(estimate: MemoryEstimate, base_bytes: int) -> MemoryEstimate:
    """The estimate with other bytes before the first token; the weights are never made larger."""
    weights_bytes = min(estimate.weights_bytes, max(0, base_bytes))
    working_bytes = max(0, base_bytes) - weights_bytes
    return replace(estimate, weights_bytes=weights_bytes, working_bytes=working_bytes)
