"""What running a model here has shown: when, how often, how fast, and how much memory it took."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from engine.library.memory import PREFILL_STEP_TOKENS
from engine.records import GenerationStats

MIN_SPEED_TOKENS = 16  # fewer tokens say more about the start than about the speed
_NEW_SPEED_SHARE = 0.25
_MAX_NUMBER = 10**18


@dataclass(frozen=True)
class Usage:
    """One model's use on this computer.

    ``measured_memory_bytes`` is the highest peak of the model alone, seen while a conversation of
    ``measured_context_tokens`` was kept, ``measured_prefill_tokens`` of which were read afresh,
    with weights of ``measured_weights_bytes``. ``decode_per_s`` is a moving average over answers
    long enough to tell.
    """

    last_used_at: float | None = None
    times_used: int = 0
    measured_memory_bytes: int | None = None
    measured_context_tokens: int | None = None
    measured_prefill_tokens: int | None = None
    measured_weights_bytes: int | None = None
    decode_per_s: float | None = None

    def after(
        self,
        now_at: float,
        stats: GenerationStats | None = None,
        weights_bytes: int | None = None,
    ) -> "Usage":
        """This usage and one answer more; ``weights_bytes`` are the model's weight files'."""
        used = replace(
            self, last_used_at=max(now_at, self.last_used_at or now_at),
            times_used=self.times_used + 1,
        )  # fmt: skip
        if stats is None:
            return used
        speed = stats.decode_per_s
        if stats.output_tokens >= MIN_SPEED_TOKENS and math.isfinite(speed) and speed > 0:
            old = self.decode_per_s
            average = speed if old is None else old + _NEW_SPEED_SHARE * (speed - old)
            used = replace(used, decode_per_s=average)
        if stats.model_peak_bytes <= 0:
            return used
        measured = replace(
            used,
            measured_memory_bytes=stats.model_peak_bytes,
            measured_context_tokens=stats.prompt_tokens + stats.output_tokens,
            measured_prefill_tokens=max(0, stats.prompt_tokens - stats.reused_tokens),
            measured_weights_bytes=weights_bytes,
        )
        return measured if measured._tells_more_than(used) else used

    def with_weights(self, weights_bytes: int) -> "Usage":
        """This usage where the weights are these now; others' measures are not theirs."""
        known = self.measured_weights_bytes
        return self if known is None or known == weights_bytes else self.unmeasured()

    def unmeasured(self) -> "Usage":
        """This usage without what was measured of weights that are no longer these."""
        return Usage(last_used_at=self.last_used_at, times_used=self.times_used)

    def _tells_more_than(self, other: "Usage") -> bool:
        """A higher peak always does; else a longer conversation with as large a prefill step."""
        if (self.measured_memory_bytes or 0) >= (other.measured_memory_bytes or 0):
            return True
        return self._measured_work() >= other._measured_work()

    def _measured_work(self) -> tuple[int, int]:
        step = min(self.measured_prefill_tokens or 0, PREFILL_STEP_TOKENS)
        return step, self.measured_context_tokens or 0


def usage_to_json(usage: Usage) -> dict[str, Any]:
    """What a usage is on disk."""
    return {name: value for name, value in asdict(usage).items() if value is not None}


def usage_from_json(raw: Any) -> Usage:
    """A usage from what is on disk; whatever is not of the right kind counts as not known."""
    if not isinstance(raw, Mapping):
        return Usage()
    found = Usage(
        last_used_at=_number(raw.get("last_used_at")),
        times_used=_count(raw.get("times_used")) or 0,
        measured_memory_bytes=_count(raw.get("measured_memory_bytes")),
        measured_context_tokens=_count(raw.get("measured_context_tokens")),
        measured_prefill_tokens=_count(raw.get("measured_prefill_tokens")),
        measured_weights_bytes=_count(raw.get("measured_weights_bytes")),
        decode_per_s=_number(raw.get("decode_per_s")),
    )
    if not found.measured_memory_bytes or found.measured_context_tokens is None:
        return replace(found.unmeasured(), decode_per_s=found.decode_per_s)
    return found


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value < _MAX_NUMBER else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _MAX_NUMBER else None  # NaN is neither
