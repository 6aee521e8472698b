"""One request on its way through a lane: its prompt, its answer so far, its times."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, InUse
from engine.inference.context import fit_prompt, given_indexes, with_system_prompt
from engine.inference.stops import StopStrings
from engine.mailbox import ChatTicket, Mailbox
from engine.records import (
    Finished,
    FinishReason,
    GenerationStats,
    Message,
    Prefill,
    Queued,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
)

_ARRIVALS = itertools.count(1)
_DISPLACED = InUse("The model had to make room for another.", "Send the message again.")

if TYPE_CHECKING:
    from engine.inference.backend import MlxModel


class Turn:
    """A request; created by the service, used on the inference thread from then on."""

    def __init__(
        self,
        model_id: str,
        messages: Sequence[Message],
        params: SamplingParams,
        on_close: Callable[[], None],
    ) -> None:
        self.model_id = model_id
        self.messages = tuple(messages)
        self.chat_id = ""
        self.was_looked_up = False
        self.kept_path: Path | None = None
        self.sent: tuple[Message, ...] = ()
        self.left_out: tuple[int, ...] = ()
        self.params = params
        self.mailbox = Mailbox(on_close)
        self.ticket = ChatTicket(self.mailbox)
        self.prompt: list[int] = []
        self.output: list[int] = []
        self.tokens_since_insert = 0
        self.max_tokens = 0
        self.own_peak_bytes: Callable[[], int] = lambda: 0
        self.on_answered: Callable[[str, GenerationStats], None] = lambda *_: None
        self.on_displaced: Callable[[Turn], None] = lambda turn: turn.fail(_DISPLACED)
        self.arrival = next(_ARRIVALS)
        self._reused_tokens = 0
        self._submitted_at = time.perf_counter()
        self._prefill_at = 0.0
        self._first_token_at = 0.0
        self._position = 0
        self._stops = StopStrings(params.stop) if params.stop else None

    @property
    def is_cancelled(self) -> bool:
        """Whether the sender wants it to end."""
        return self.ticket.is_cancelled

    @property
    def read_tokens(self) -> int:
        """Tokens that must be read before the next one can be said."""
        return len(self.prompt) + len(self.output)

    @property
    def most_tokens(self) -> int:
        """Tokens that prompt and answer may have together."""
        return len(self.prompt) + self.max_tokens

    def shorten(self, most_tokens: int) -> None:
        """Bound prompt and answer together."""
        self.max_tokens = most_tokens - len(self.prompt)

    def prepare(self, model: "MlxModel") -> None:
        """Render the prompt, once. Raises TemplateFailed and ContextOverflow."""
        if self.prompt:  # its model had to leave in the middle of the answer, and is back
            return
        messages = with_system_prompt(self.messages, self.params)
        fitted = fit_prompt(
            messages, self.params, model.context_tokens, model.render_prompt, model.count_tokens
        )
        self.left_out = given_indexes(fitted.left_out, messages, self.messages)
        self.prompt, self.sent = fitted.tokens, fitted.sent
        self.max_tokens = min(self.params.max_tokens, model.context_tokens - len(self.prompt))
        self._decoder = model.text_decoder(model.answer_start(self.sent, self.prompt))
        self._peak_memory_bytes = model.peak_memory_bytes

    def wait_at(self, position: int) -> None:
        """Tell the sender its place in line, when that has changed."""
        if position != self._position:
            self._position = position
            self.mailbox.put(Queued(position))

    def begin_prefill(self, reused_tokens: int) -> None:
        """Note that the prompt is read from now on."""
        self.tokens_since_insert = 0
        if not self.output:
            self._reused_tokens = reused_tokens
            self._prefill_at = time.perf_counter()
        self.mailbox.put(Prefill(reused_tokens, len(self.prompt), reused_tokens))

    def on_prefill(self, done_tokens: int) -> None:
        """Pass on progress. ``done_tokens`` counts the reused ones too."""
        if not self.output:
            self.mailbox.put(Prefill(done_tokens, len(self.prompt), self._reused_tokens))

    def on_token(self, token: int) -> None:
        """Take one token of the answer."""
        self._count(token)
        self._emit(self._decoder.add(token))

    @property
    def is_stopped(self) -> bool:
        """Whether one of its stop strings came, so that it has to be finished."""
        return self._stops is not None and self._stops.is_found

    def on_end_token(self, token: int) -> None:
        """Take the token with which the model ended; it is no text."""
        self._count(token)
        self.finish("stop")

    def finish(self, reason: FinishReason) -> None:
        """Hand out what was held back, and the figures."""
        if self.prompt:
            self._emit(self._decoder.finish(is_stopped_by_model=reason == "stop"))
            self._put_text(self._stops.rest() if self._stops else "")
        stats = self._stats()
        if self.output:
            self.on_answered(self.model_id, stats)
        self.mailbox.put(Finished(reason, stats))

    def finish_full(self) -> None:
        """End because no more tokens are allowed: by the setting, or by the context."""
        self.finish("length" if self.max_tokens == self.params.max_tokens else "context")

    def fail(self, error: EngineError) -> None:
        """End with an error."""
        self.mailbox.fail(error)

    def _count(self, token: int) -> None:
        if not self.output:
            self._first_token_at = time.perf_counter()
        self.output.append(token)
        self.tokens_since_insert += 1

    def _emit(self, pieces: list[tuple[bool, str]]) -> None:
        for is_reasoning, text in pieces:
            if self.is_stopped:
                return
            if is_reasoning:
                self.mailbox.put(ReasoningDelta(text))
            else:
                self._put_text(self._stops.pass_on(text) if self._stops else text)

    def _put_text(self, text: str) -> None:
        if text:
            self.mailbox.put(TextDelta(text))

    def _stats(self) -> GenerationStats:
        now = time.perf_counter()
        if not self.output:
            return GenerationStats(
                len(self.prompt), self._reused_tokens, left_out=self.left_out
            )  # fmt: skip
        prefill_s = self._first_token_at - self._prefill_at
        decode_s = now - self._first_token_at
        new_tokens = len(self.prompt) - self._reused_tokens
        more_tokens = len(self.output) - 1
        return GenerationStats(
            prompt_tokens=len(self.prompt),
            reused_tokens=self._reused_tokens,
            output_tokens=len(self.output),
            time_to_first_token_s=self._first_token_at - self._submitted_at,
            prefill_per_s=new_tokens / prefill_s if prefill_s > 0 else 0.0,
            decode_per_s=more_tokens / decode_s if decode_s > 0 and more_tokens else 0.0,
            peak_memory_bytes=self._peak_memory_bytes(),
            model_peak_bytes=self.own_peak_bytes(),
            left_out=self.left_out,
        )
