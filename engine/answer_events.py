"""What comes of a question, event by event, and what it cost."""

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length", "context", "cancelled"]


@dataclass(frozen=True)
class GenerationStats:
    """What one answer cost. Speeds are tokens per second of that phase, 0 when it took none.

    ``peak_memory_bytes`` is the most that MLX held, for all models; ``model_peak_bytes`` what this
    model took of it, 0 when that cannot be told because others ran or were loaded beside it.
    ``left_out`` are indexes of the messages, as they were given, that the model did not see.
    ``draft_gain`` is how many times as fast a draft model makes it, as measured, 0 without one.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    output_tokens: int = 0
    time_to_first_token_s: float = 0.0
    prefill_per_s: float = 0.0
    decode_per_s: float = 0.0
    peak_memory_bytes: int = 0
    model_peak_bytes: int = 0
    left_out: tuple[int, ...] = ()
    draft_gain: float = 0.0


@dataclass(frozen=True)
class Queued:
    """The request waits; ``position`` 1 is next."""

    position: int


@dataclass(frozen=True)
class Prefill:
    """The model reads the prompt. ``done_tokens`` includes the reused ones."""

    done_tokens: int
    total_tokens: int
    reused_tokens: int


@dataclass(frozen=True)
class ScoredToken:
    """A token with the logarithm of its probability, and those that were likeliest in its place."""

    text: str
    data: bytes
    logprob: float
    likeliest: tuple["ScoredToken", ...] = ()


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wants called. ``arguments`` is a JSON object as text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class TextDelta:
    """More of the answer. ``tokens`` are those that it ends, when they were asked for."""

    text: str
    tokens: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True)
class ReasoningDelta:
    """More of the model's thinking."""

    text: str


@dataclass(frozen=True)
class ToolCalls:
    """Calls that the model made, each whole."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True)
class Finished:
    """The last event of every request that did not fail."""

    reason: FinishReason
    stats: GenerationStats


@dataclass(frozen=True)
class Loading:
    """The model is being read into memory first."""

    done_bytes: int
    total_bytes: int


ChatEvent = Queued | Loading | Prefill | TextDelta | ReasoningDelta | ToolCalls | Finished
