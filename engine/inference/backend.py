"""The one boundary to mlx and mlx-lm. Imported and called on the inference thread alone.

Streams of MLX are thread-local: a lazy array made here cannot be evaluated elsewhere. What leaves
this thread is text, numbers and our own records.
"""

import contextlib
import itertools
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx

from engine.errors import (
    EngineError,
    GenerationError,
    LoadFailed,
    TemplateFailed,
    ToolsUnsupported,
)
from engine.inference.cpu_exponentials import speed_up_exponentials
from engine.inference.device import active_memory_bytes, device_facts, is_on_cpu, release_memory
from engine.inference.tool_text import Tools, read_calls, template_message
from engine.preferences import PLAIN_KV_BITS
from engine.records import Message, ToolCall

_OPEN_FILES, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

# Importing mlx_lm, here or in a module of ours, lowers that limit. So it comes after the question,
# and is marked for the linter.
from mlx.utils import tree_flatten  # noqa: E402
from mlx_lm.generate import (  # noqa: E402
    BatchGenerator,
    generate_step,
    make_stop_sequences,
    make_text_state_machine,
    speculative_generate_step,
)
from mlx_lm.models.cache import (  # noqa: E402
    LRUPromptCache,
    can_trim_prompt_cache,
    trim_prompt_cache,
)
from mlx_lm.utils import load_model, load_tokenizer  # noqa: E402

from engine.inference.cpu_weights import UnpackedLayers, widen  # noqa: E402
from engine.inference.decoding import (  # noqa: E402
    Scorer,
    TextDecoder,
    plain_decoder,
    scorer,
)
from engine.inference.sequence_cache import new_cache, try_cache  # noqa: E402

_, _OPEN_FILES_MAX = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, _OPEN_FILES_MAX), _OPEN_FILES_MAX))

__all__ = [
    "BatchGenerator",
    "LRUPromptCache",
    "MlxModel",
    "active_memory_bytes",
    "device_facts",
    "foreign_errors",
    "generate_step",
    "load_steps",
    "mx",
    "release_memory",
    "speed_up_exponentials",
    "speculative_generate_step",
    "trim_prompt_cache",
]

_EVALUATE_BYTES = 64_000_000
_DUMMY = "."


@contextlib.contextmanager
def foreign_errors(make: Callable[[str], EngineError]) -> Iterator[None]:
    """Turn whatever mlx, mlx-lm, transformers or jinja2 raise into ours, with the cause kept.

    They raise KeyError, AttributeError, TypeError, RecursionError and more for bad files, so the
    net is wide; ``make`` gets the foreign text's first line.
    """
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise make(first_line[:200]) from error


def load_steps(
    path: Path, is_widened: bool, has_room: Callable[[int], bool], kv_bits: int = PLAIN_KV_BITS
) -> Iterator["tuple[int, int] | MlxModel"]:
    """Load a model bit by bit: (done_bytes, total_bytes) in between, the MlxModel last.

    Weights are evaluated in portions, so that others' answers go on between two of them. On a CPU
    they are made float32 if ``is_widened``, and then unpacked as far as there ``has_room`` for it.
    With ``kv_bits`` 8 or 4 the model keeps what it has read packed.
    Code in the model's folder is never run. Raises LoadFailed.
    """
    is_cpu = is_on_cpu()
    with foreign_errors(_load_failed):
        model, config = load_model(path, lazy=True, trust_remote_code=False)
        if is_cpu and is_widened:
            widen(model)
        tokenizer = load_tokenizer(
            path, {"trust_remote_code": False}, eos_token_ids=config.get("eos_token_id")
        )
        arrays = [array for _, array in tree_flatten(model.parameters())]
    total_bytes = sum(array.nbytes for array in arrays)
    done_bytes = 0
    portion: list[Any] = []
    for array in arrays:
        portion.append(array)
        if sum(a.nbytes for a in portion) >= _EVALUATE_BYTES:
            with foreign_errors(_load_failed):
                mx.eval(portion)
            done_bytes += sum(a.nbytes for a in portion)
            portion = []
            yield done_bytes, total_bytes
    with foreign_errors(_load_failed):
        # Layers draw random weights before the real ones replace them. Nobody evaluates those, so
        # the generator's state would hang on to a chain that grows with every load.
        mx.eval(portion, mx.random.state)
        unpacked = UnpackedLayers(model)
    yield total_bytes, total_bytes
    with foreign_errors(_load_failed):
        for size_bytes in unpacked.unpack_steps(has_room) if is_cpu else ():
            total_bytes += size_bytes
            yield total_bytes, total_bytes
        loaded = MlxModel(model, tokenizer, unpacked, kv_bits)
    if kv_bits < PLAIN_KV_BITS:
        with foreign_errors(_cannot_pack_cache):
            try_cache(loaded.new_cache(), model)
    yield loaded


def _load_failed(reason: str) -> EngineError:
    return LoadFailed(
        f"mlx-lm could not load this model: {reason}" if reason else "mlx-lm could not load it.",
        "Its files may be damaged: delete it and download it again, or choose another model.",
    )


def _cannot_pack_cache(_reason: str) -> EngineError:
    return LoadFailed(
        "This model cannot work with a packed memory of what it has read.",
        "Choose “full” for it in Settings.",
    )


class MlxModel:
    """A loaded model with its tokenizer, in the few words that the lanes speak."""

    def __init__(
        self, model: Any, tokenizer: Any, unpacked: UnpackedLayers, kv_bits: int = PLAIN_KV_BITS
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.context_tokens = 0
        self._unpacked = unpacked
        self.draft: MlxModel | None = None
        self._kv_bits = kv_bits
        cache = self.new_cache()
        self._can_batch = all(hasattr(layer, "merge") for layer in cache)
        self.is_trimmable = bool(can_trim_prompt_cache(cache))
        self.has_chat_template = bool(tokenizer.has_chat_template)
        self.stop_sequences = make_stop_sequences(tokenizer)
        self._text_states = make_text_state_machine(tokenizer)

    @property
    def is_batchable(self) -> bool:
        """Whether several can be answered at once."""
        return self._can_batch and self.draft is None

    def new_cache(self) -> list[Any]:
        """An empty cache for one sequence; behind the model's own layers those of its draft."""
        own = new_cache(self.model, self._kv_bits)
        return [*own, *self.draft.new_cache()] if self.draft else own

    def take_draft(self, draft: "MlxModel") -> None:
        """Have a smaller model guess words, if both know the same ones and can be cut back."""
        has_same_words = self.tokenizer.get_vocab() == draft.tokenizer.get_vocab()
        if has_same_words and self.is_trimmable and draft.is_trimmable:
            self.draft = draft

    def drop_draft(self) -> int:
        """Do without from now on; bytes that this frees."""
        draft, self.draft = self.draft, None
        if draft is None:
            return 0
        arrays = (array for _, array in tree_flatten(draft.model.parameters()))
        return int(sum(array.nbytes for array in arrays)) + draft.extra_bytes

    @property
    def extra_bytes(self) -> int:
        """Bytes taken for speed alone, which ``save_memory`` gives back."""
        return self._unpacked.extra_bytes + (self.draft.extra_bytes if self.draft else 0)

    def unpack_steps(self, has_room: Callable[[int], bool]) -> Iterator[int]:
        """Unpack what there is room for, layer by layer; bytes of each. On a CPU alone."""
        if not is_on_cpu():
            return
        yield from self._unpacked.unpack_steps(has_room)
        if self.draft:
            yield from self.draft.unpack_steps(has_room)

    def save_memory(self) -> None:
        """Give up the unpacked layers; answers are slower from now on."""
        self._unpacked.pack()
        if self.draft:
            self.draft.save_memory()

    def render_prompt(self, messages: Sequence[Message], tools: Tools = ()) -> list[int]:
        """Tokens of the conversation under the model's chat template, ready for its answer.

        Raises TemplateFailed when there is no template or it refuses these messages, and
        ToolsUnsupported for ``tools`` of a model whose calls nobody can read.
        """
        if tools and not (self.tokenizer.has_tool_calling and self.tokenizer.tool_parser):
            raise ToolsUnsupported(
                "This model calls no tools, or not in a way that is known here.",
                "Leave the tools out, or choose a model that was made to call them.",
            )
        if not self.has_chat_template:
            raise TemplateFailed(
                "This model has no chat template: it continues text, but was not made to converse.",
                "Choose a version of it whose name says “instruct”, “it” or “chat”.",
            )
        with foreign_errors(_template_failed):
            if messages[-1].role == "assistant":  # it is written on from where it ended
                return self._render(messages, tools, continue_final_message=True)
            return self._render(messages, tools, add_generation_prompt=True)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text to be continued, without any template. Raises TemplateFailed."""
        with foreign_errors(_template_failed):
            return [int(token) for token in self.tokenizer.encode(text)]

    def count_tokens(self, text: str) -> int:
        """Tokens of a text by itself."""
        with foreign_errors(_template_failed):
            return len(self.tokenizer.encode(text, add_special_tokens=False))

    def stable_prefix_tokens(
        self, messages: Sequence[Message], prompt: Sequence[int], tools: Tools = ()
    ) -> int:
        """How many tokens of ``prompt`` will still be there when the conversation has gone on.

        Templates drop earlier reasoning, so the end of today's prompt may not be part of the next.
        """
        longer = [*messages, Message("user", _DUMMY)]
        if messages[-1].role != "assistant":
            longer.insert(-1, Message("assistant", _DUMMY))
        with foreign_errors(_template_failed):
            later = self._render(longer, tools, add_generation_prompt=True)
        return _common_prefix(prompt, later)

    @staticmethod
    def peak_memory_bytes() -> int:  # who keeps this method must not keep the model
        """The most that MLX has held in arrays since it started."""
        return int(mx.get_peak_memory())

    def _render(self, messages: Sequence[Message], tools: Tools, **ending: bool) -> list[int]:
        """Tokens of the messages. Marks that somebody wrote stay text and begin no turn."""
        raw = [template_message(message) for message in messages]
        is_jinja = isinstance(self.tokenizer.chat_template, str)
        options: dict[str, Any] = {"sanitize_control_tokens": True} if is_jinja else {}
        options |= {"tools": [dict(tool) for tool in tools]} if tools else {}
        tokens = self.tokenizer.apply_chat_template(raw, tokenize=True, **ending, **options)
        return [int(token) for token in tokens]

    def answer_start(
        self, messages: Sequence[Message], prompt: Sequence[int], tools: Tools = ()
    ) -> list[int]:
        """Tokens that the template has put before the answer, where reasoning may be opened.

        A mark in somebody's message opens nothing, so what the messages alone render to is cut off.
        """
        if not self.tokenizer.has_thinking:
            return []
        with foreign_errors(_template_failed):
            said = self._render(messages, tools, add_generation_prompt=False)
        return list(prompt[_common_prefix(prompt, said) :])

    def plain_decoder(self) -> TextDecoder:
        """A decoder for which marks are text."""
        return plain_decoder(self.tokenizer.detokenizer)

    def scorer(self, count: int) -> Scorer:
        """Scores tokens, with that many of the likeliest beside each. Refers to no model."""
        return scorer(self.tokenizer, count)

    def call_reader(self, tools: Tools) -> Callable[[str], tuple[ToolCall, ...]]:
        """Reads calls from what a model wrote between its marks. Refers to no model.

        Raises GenerationError for what is no call.
        """
        parse: Any = self.tokenizer.tool_parser

        def read(text: str) -> tuple[ToolCall, ...]:
            with foreign_errors(GenerationError):
                return read_calls(text, parse, tools)

        return read

    def text_decoder(self, start: Sequence[int], has_tools: bool = False) -> TextDecoder:
        """A decoder for an answer that begins with ``start``, which may have opened reasoning."""
        state = "normal"
        if self.tokenizer.has_thinking:
            opened = self.tokenizer.rfind_think_start(start)
            if opened > self.tokenizer.rfind_think_end(start):
                state = "reasoning"
        state = self.tokenizer.response_initial_state or state
        states = self._text_states.make_state(state)
        return TextDecoder(self.tokenizer.detokenizer, states, has_tools)


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _template_failed(reason: str) -> EngineError:
    return TemplateFailed(
        f"The model's chat template refused this conversation: {reason or 'no reason given'}",
        "Remove the system prompt, or choose another model.",
    )
