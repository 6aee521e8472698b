"""The records of what fits: a model in memory, a sequence in its cache, a chat in a context."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Literal

Fit = Literal["fits", "tight", "too large", "unknown"]


@dataclass(frozen=True)
class KVCacheSize:
    """What one sequence takes at any length.

    ``state_bytes`` is taken from the first token on, ``bytes_per_token`` by every token. Each of
    ``windows`` is (tokens, bytes per token): it grows until that many tokens, then no more.
    """

    state_bytes: int
    bytes_per_token: int
    windows: tuple[tuple[int, int], ...] = ()

    def bytes_at(self, tokens: int) -> int:
        """The whole cache of a sequence of ``tokens`` tokens."""
        windows = sum(min(tokens, size) * per_token for size, per_token in self.windows)
        return self.state_bytes + tokens * self.bytes_per_token + windows

    def plus(self, other: "KVCacheSize") -> "KVCacheSize":
        """What both keep of the same sequence."""
        return KVCacheSize(
            self.state_bytes + other.state_bytes,
            self.bytes_per_token + other.bytes_per_token,
            (*self.windows, *other.windows),
        )

    def tokens_within(self, limit_bytes: int, longest_tokens: int) -> int:
        """The longest sequence that fits into ``limit_bytes``, ``longest_tokens`` at most."""
        return max(0, bisect_right(range(longest_tokens + 1), limit_bytes, key=self.bytes_at) - 1)


@dataclass(frozen=True)
class MemoryEstimate:
    """What a model needs at ``context_tokens``, against what this machine offers.

    ``kv_cache`` and ``working_bytes`` None mean that the config does not say, and then nobody knows
    the total. ``budget_bytes`` None means that the machine's memory is not known.

    On a CPU this is the model in float32. ``unpacked_bytes`` is what it takes more when its packed
    layers are unpacked for speed, and ``narrow`` the same model left as its files are.
    """

    weights_bytes: int
    kv_cache: KVCacheSize | None
    context_tokens: int
    working_bytes: int | None
    budget_bytes: int | None
    unpacked_bytes: int = 0
    narrow: "MemoryEstimate | None" = None

    def within(self, budget_bytes: int | None) -> "MemoryEstimate":
        """The estimate on a machine with this budget: left as in the files where only that fits."""
        here = replace(self, budget_bytes=budget_bytes)
        if self.narrow is None or here.fit != "too large":
            return here
        return replace(self.narrow, budget_bytes=budget_bytes)

    def with_draft(self, draft: "MemoryEstimate") -> "MemoryEstimate":
        """Both models in memory for one conversation; they work one after the other."""
        caches = self.kv_cache, draft.kv_cache
        both = caches[0].plus(caches[1]) if caches[0] and caches[1] else None
        narrow = self.narrow and self.narrow.with_draft(draft.narrow or draft)
        return replace(
            self, weights_bytes=self.weights_bytes + draft.weights_bytes, kv_cache=both,
            working_bytes=max(self.working_bytes or 0, draft.working_bytes or 0) or None,
            unpacked_bytes=self.unpacked_bytes + draft.unpacked_bytes, narrow=narrow,
        )  # fmt: skip

    @property
    def is_slow(self) -> bool:
        """Whether it fits on this CPU, but not in the form that answers fastest."""
        if self.budget_bytes is None or self.fit == "too large":
            return False
        most_bytes = (self.total_bytes or self.base_bytes) + self.unpacked_bytes
        return most_bytes > self.budget_bytes

    @property
    def base_bytes(self) -> int:
        """What is known to be taken before the first token is kept."""
        return self.weights_bytes + (self.working_bytes or 0)

    @property
    def kv_bytes(self) -> int | None:
        """The KV cache at the full context."""
        return self.kv_cache.bytes_at(self.context_tokens) if self.kv_cache else None

    @property
    def kv_bytes_per_token(self) -> int | None:
        """What one token more takes, once every window is full."""
        return self.kv_cache.bytes_per_token if self.kv_cache else None

    @property
    def total_bytes(self) -> int | None:
        """Weights, KV cache at the full context, and working memory."""
        if self.kv_bytes is None or self.working_bytes is None:
            return None
        return self.base_bytes + self.kv_bytes

    @property
    def fit(self) -> Fit:
        """``tight`` from 85% of the budget: other programs want memory too."""
        if self.budget_bytes is None:
            return "unknown"
        if (self.total_bytes or self.base_bytes) > self.budget_bytes:
            return "too large"
        if self.total_bytes is None:
            return "unknown"
        return "tight" if self.total_bytes > 0.85 * self.budget_bytes else "fits"


@dataclass(frozen=True)
class ContextFit:
    """How a conversation fits into a model's context.

    ``prompt_tokens`` are those of what would be sent, ``whole_tokens`` of all of it; they differ
    where ``left_out``, indexes into the messages that were given, is not empty.
    ``context_tokens`` is the most that prompt and answer may have together, 0 where nobody knows.
    Without ``is_exact`` all of it was estimated from the length of the texts.
    """

    prompt_tokens: int
    whole_tokens: int
    context_tokens: int
    left_out: tuple[int, ...] = ()
    is_exact: bool = True

    @property
    def will_be_answered(self) -> bool:
        """Whether there is room for one token of an answer; otherwise asking is refused."""
        return not self.context_tokens or self.prompt_tokens < self.context_tokens
