"""One request on its way through a lane: its prompt, its answer so far, its times."""

import functools
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, InUse
from engine.inference.context import check_room, fit_prompt, given_indexes, with_system_prompt
from engine.inference.scored_text import ScoredText
from engine.inference.stops import StopStrings
from engine.inference.tool_text import Tools
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
    ToolCall,
    ToolCalls,
)

logger = logging.getLogger(__name__)
_ARRIVALS = itertools.count(1)
_DISPLACED = InUse("The model had to make room for another.", "Send the message again.")

if TYPE_CHECKING:
    from engine.inference.backend import MlxModel
    from engine.inference.decoding import Piece, Scorer


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
        self.text: str | None = None  # to be continued, instead of messages to be answered
        self.tools: Tools = ()
        self.chat_id = ""
        self.was_looked_up = False
        self.draft_gain = 0.0
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
        self._score: Scorer | None = None
        self._scored = ScoredText()
        self._read_calls: Callable[[str], tuple[ToolCall, ...]] = lambda _: ()

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
        if self.text is None:
            self._prepare_answer(model)
        else:
            self.prompt = model.encode(self.text)
            check_room(len(self.prompt), model.context_tokens)
            self._decoder = model.plain_decoder()
        self.max_tokens = min(self.params.max_tokens, model.context_tokens - len(self.prompt))
        self._peak_memory_bytes = model.peak_memory_bytes
        if self.params.logprobs is not None:
            self._score = model.scorer(self.params.logprobs)

    def _prepare_answer(self, model: "MlxModel") -> None:
        messages = with_system_prompt(self.messages, self.params)
        render = functools.partial(model.render_prompt, tools=self.tools)
        fitted = fit_prompt(messages, self.params, model.context_tokens, render, model.count_tokens)
        self.left_out = given_indexes(fitted.left_out, messages, self.messages)
        self.prompt, self.sent = fitted.tokens, fitted.sent
        start = model.answer_start(self.sent, self.prompt, self.tools)
        self._decoder = model.text_decoder(start, has_tools=bool(self.tools))
        if self.tools:
            self._read_calls = model.call_reader(self.tools)

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

    def on_token(self, token: int, logprobs: Any = None) -> None:
        """Take one token of the answer, and the log-probabilities that it was chosen from."""
        self._count(token)
        if self._score is None:
            self._emit(self._decoder.add(token))
            return
        if self._decoder.kind == "text":
            self._scored.add(self._score(token, logprobs))
        self._emit(self._decoder.add(token))
        if self._decoder.kind != "text":
            self._scored.forget()

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
            if not self.is_stopped and (tokens := self._scored.take_rest()):
                self.mailbox.put(TextDelta("", tokens))
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

    def _emit(self, pieces: "list[Piece]") -> None:
        for kind, text in pieces:
            if self.is_stopped:
                return
            if kind == "reasoning":
                self.mailbox.put(ReasoningDelta(text))
            elif kind == "tool":
                self._put_calls(text)
            else:
                self._put_text(self._stops.pass_on(text) if self._stops else text)

    def _put_text(self, text: str) -> None:
        if text:
            tokens = self._scored.take(text) if self._score else ()
            self.mailbox.put(TextDelta(text, tokens))

    def _put_calls(self, text: str) -> None:
        """Hand out calls; what is none, or only half of one, is text."""
        try:
            self.mailbox.put(ToolCalls(self._read_calls(text)))
        except EngineError as error:
            logger.info("a tool call could not be read: %s", error)
            self._put_text(text)

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
            draft_gain=self.draft_gain,
        )
