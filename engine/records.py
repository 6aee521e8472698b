"""The records that rooms hand to each other: frozen, with units in their names."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.answer_events import ChatEvent as ChatEvent  # these are part of this list
from engine.answer_events import Finished as Finished
from engine.answer_events import FinishReason as FinishReason
from engine.answer_events import GenerationStats as GenerationStats
from engine.answer_events import Loading as Loading
from engine.answer_events import Prefill as Prefill
from engine.answer_events import Queued as Queued
from engine.answer_events import ReasoningDelta as ReasoningDelta
from engine.answer_events import ScoredToken as ScoredToken
from engine.answer_events import TextDelta as TextDelta
from engine.answer_events import ToolCall as ToolCall
from engine.answer_events import ToolCalls as ToolCalls
from engine.download_records import DeletePlan as DeletePlan
from engine.download_records import DownloadPlan as DownloadPlan
from engine.download_records import DownloadState as DownloadState
from engine.download_records import DownloadStatus as DownloadStatus
from engine.estimates import ContextFit as ContextFit
from engine.estimates import Fit as Fit
from engine.estimates import KVCacheSize as KVCacheSize
from engine.estimates import MemoryEstimate as MemoryEstimate

Role = Literal["system", "user", "assistant"]
AskedRole = Role | Literal["tool"]
Overflow = Literal["stop", "leave_out"]
Backend = Literal["metal", "cuda", "cpu"]
Source = Literal["pomona", "built-in", "huggingface", "lmstudio", "path"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation. ``reasoning`` is shown, and never sent back to the model.

    ``tool_calls`` are those of an answer; a message of the role tool says what came of the one
    with its ``tool_call_id``.
    """

    role: AskedRole
    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen, and when to end.

    ``temperature`` 0 always takes the likeliest token. ``top_p`` 1, ``top_k`` 0, ``min_p`` 0
    and ``repetition_penalty`` 1 are off. ``seed`` None draws afresh each time. ``system_prompt``
    is put before the conversation when it has none of its own. ``overflow`` says what happens when
    the conversation outgrows the context: no answer but an explanation, or one that was given
    without the middle of the conversation. The answer, not the reasoning, ends before the first of
    the ``stop`` strings. ``logprobs`` asks for each token's log-probability and for that many of
    the likeliest tokens beside it; None asks for nothing.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 2048
    seed: int | None = None
    system_prompt: str = ""
    overflow: Overflow = "stop"
    stop: tuple[str, ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True)
class LocalModel:
    """A model on this computer, as its files describe it.

    ``memory`` is estimated at a usual chat's context, see ``engine.library.memory``;
    ``corrected_memory`` is that estimate set right by ``measured_memory_bytes``, the peak of the
    model alone at ``measured_context_tokens``, None before there is one. ``size_bytes`` is the
    weights'. ``blockers`` say in plain sentences why it will not chat; ``problem`` what is wrong
    with the files, and ``is_repairable`` whether a repair knows what they should be.
    ``suggested`` are the sampling settings of its generation_config.json, ours where it is silent.
    """

    repo_id: str
    source: Source
    path: Path
    revision: str | None
    size_bytes: int
    architecture: str
    quantization: str
    context_tokens: int
    memory: MemoryEstimate | None
    blockers: tuple[str, ...] = ()
    problem: str = ""
    is_repairable: bool = False
    suggested: SamplingParams = field(default_factory=SamplingParams)
    has_suggestions: bool = False
    downloaded_at: float | None = None
    last_used_at: float | None = None
    times_used: int = 0
    decode_per_s: float | None = None
    measured_memory_bytes: int | None = None
    measured_context_tokens: int | None = None
    corrected_memory: MemoryEstimate | None = None

    @property
    def is_damaged(self) -> bool:
        """Whether files are missing or broken."""
        return bool(self.problem)

    @property
    def will_chat(self) -> bool:
        """Whether nothing known stands in the way of a conversation."""
        return not self.blockers and not self.problem


@dataclass(frozen=True)
class CheckedModel:
    """A model whose files were found whole, and fit for mlx-lm to load.

    ``context_tokens`` 0 and ``template`` None mean that its files do not say, or have none.
    ``kv_bits`` is how many bits a value of its cache shall take, 16 for as the model has it.
    ``weights_id`` changes with the weights and the config. ``draft`` is a smaller model that
    guesses its words; ``estimate`` is of both then, and ``alone`` of the model without it.
    """

    repo_id: str
    path: Path
    estimate: MemoryEstimate
    context_tokens: int
    template: str | None
    kv_bits: int = 16
    weights_id: str = ""
    draft: "CheckedModel | None" = None
    alone: MemoryEstimate | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. ``memory_bytes`` is measured, not estimated."""

    repo_id: str
    memory_bytes: int
    context_tokens: int
    is_batched: bool
    active_requests: int
    has_chat_template: bool


@dataclass(frozen=True)
class MemoryUse:
    """What models take of ``budget_bytes``: their weights by name, and all caches together."""

    models: dict[str, int]
    cache_bytes: int
    budget_bytes: int


@dataclass(frozen=True)
class DeviceFacts:
    """What MLX says of the device it computes on.

    ``working_set_bytes`` is Metal's recommended working set or CUDA's memory, None on a CPU.
    """

    backend: Backend
    device_name: str
    working_set_bytes: int | None
    accelerated_blas: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class MachineReport:
    """What this computer offers to models."""

    backend: Backend
    device_name: str
    memory_total_bytes: int
    memory_budget_bytes: int
    disk_free_bytes: int
    accelerated_blas: bool
    versions: dict[str, str]


SizeClass = Literal["tiny", "small", "medium", "large", "extra large", "unknown"]
Sort = Literal["score", "downloads", "likes", "trending", "newest", "size"]
CatalogueSource = Literal["hub", "cache", "bundled"]


@dataclass(frozen=True)
class ModelSummary:
    """What is known of a model on the Hub before anything is downloaded.

    ``model_type`` is the Hub's task name, ``architecture`` the config's model type, both "unknown"
    where the Hub says nothing. ``quantization`` is as in LocalModel, ``methods`` marks DWQ and QAT.
    ``parameters`` counts unpacked weights. ``files`` are names alone, None when not listed.
    ``guessed`` names the facts that were taken from the repo's name for want of anything better.
    """

    repo_id: str
    model_type: str = "unknown"
    library: str = ""
    architecture: str = "unknown"
    quantization: str = "unknown"
    bits: float | None = None
    methods: tuple[str, ...] = ()
    parameters: int | None = None
    weights_bytes: int | None = None
    context_tokens: int | None = None
    downloads: int = 0
    likes: int = 0
    trending: float = 0.0
    updated_at: float | None = None
    license: str | None = None
    base_models: tuple[str, ...] = ()
    is_gated: bool = False
    is_disabled: bool = False
    tags: tuple[str, ...] = ()
    files: tuple[str, ...] | None = None
    has_chat_template: bool | None = None
    needs_code: bool | None = None
    guessed: tuple[str, ...] = ()

    @property
    def size_class(self) -> SizeClass:
        """By parameters: tiny < 100M, small < 1B, medium < 7B, large <= 13B, extra large above."""
        if self.parameters is None:
            return "unknown"
        if self.parameters < 100e6:
            return "tiny"
        if self.parameters < 1e9:
            return "small"
        if self.parameters < 7e9:
            return "medium"
        return "large" if self.parameters <= 13e9 else "extra large"


@dataclass(frozen=True)
class RepoFile:
    """One file of a repo. ``sha256`` is known for large files, ``git_oid`` for all."""

    path: str
    size_bytes: int
    git_oid: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class RepoDetails:
    """A repo at one commit: its facts, its files, its config and its card."""

    summary: ModelSummary
    revision: str
    files: tuple[RepoFile, ...]
    config: dict[str, Any]
    readme: str


@dataclass(frozen=True)
class ChatReadiness:
    """Whether a model will chat here; ``blockers`` are plain sentences."""

    ok: bool
    blockers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """A model's score from 0 to 100 and the parts that add up to it."""

    total: float
    parts: dict[str, float]


@dataclass(frozen=True)
class SearchQuery:
    """What a person looks for. Empty fields do not filter."""

    text: str = ""
    model_type: str = ""
    size_class: str = ""
    quantization: str = ""
    architecture: str = ""
    exclude_architectures: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    min_downloads: int = 0
    min_likes: int = 0
    max_weights_bytes: int | None = None
    fits_only: bool = False
    chat_ready_only: bool = False
    sort: Sort = "score"
    limit: int = 200
