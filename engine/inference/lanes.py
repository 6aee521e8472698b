"""BatchLane serves everybody in one continuous batch: all get their next token in one pass."""

import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from engine.errors import EngineError, TemplateFailed
from engine.inference.backend import BatchGenerator, foreign_errors
from engine.inference.draft_lane import DraftLane as DraftLane
from engine.inference.lane import Lane
from engine.inference.lane import step_failed as step_failed
from engine.inference.pace import Pace
from engine.inference.sampling import processors_for, sampler_for
from engine.inference.solo_lane import SoloLane as SoloLane
from engine.inference.turn import Turn
from engine.records import FinishReason

PROOF_TOKENS = 4
_PREFILL_PROMPTS = 8


class BatchLane(Lane):
    """Continuous batching: everybody's next token in one pass."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._active: dict[int, Turn] = {}
        self._suspects: deque[Turn] = deque()
        self._pace = Pace()
        self._generator = self._new_generator()

    def _new_generator(self) -> Any:
        return BatchGenerator(
            self.model.model,
            completion_batch_size=self._active_limit,
            prefill_batch_size=min(_PREFILL_PROMPTS, self._active_limit),
            prefill_step_size=self._prefill_step_tokens,
        )

    @property
    def held_bytes(self) -> int:
        """What the caches of all who are served take now."""
        return int(self._generator.prompt_cache_nbytes)

    def close(self, error: EngineError) -> None:
        """End every request with ``error``, and free the batch."""
        super().close(error)
        self._generator.close()

    def _stop_serving(self) -> None:
        self._active.clear()
        self._suspects.clear()
        self._generator.close()
        self._generator = self._new_generator()

    def _active_turns(self) -> Iterable[Turn]:
        return [*self._active.values(), *self._suspects]

    def _drop_cancelled(self) -> None:
        super()._drop_cancelled()
        for turn in [turn for turn in self._suspects if turn.is_cancelled]:
            self._suspects.remove(turn)
            turn.finish("cancelled")
        gone = [uid for uid, turn in self._active.items() if turn.is_cancelled]
        if gone:
            self._take_out(gone, "cancelled")

    def _take_out(self, uids: list[int], reason: FinishReason) -> None:
        """End answers in the middle, and keep what was read for them."""
        caches = self._generator.remove(uids, return_prompt_caches=True)
        for uid in uids:
            turn = self._active.pop(uid)
            turn.finish(reason)
            cache, tokens = caches.get(uid, (None, []))
            self.memory.remember(tokens, cache, turn.chat_id)

    def _advance(self) -> None:
        self._admit()
        if not self._active:
            return
        turns = self._active.values()
        reading = [turn for turn in turns if not turn.tokens_since_insert][:_PREFILL_PROMPTS]
        is_writing = any(turn.tokens_since_insert for turn in turns)
        whole_tokens = self._step_tokens(reading)
        step_tokens = self._pace.share(whole_tokens, max(1, len(reading)), is_writing=is_writing)
        self._generator.prefill_step_size = step_tokens
        started_at = time.perf_counter()
        prompt_responses, responses = self._generator.next()
        if not any(response.end_of_prompt for response in prompt_responses):
            read_tokens = step_tokens * len(prompt_responses)
            self._pace.note(time.perf_counter() - started_at, read_tokens, is_writing)
        for response in prompt_responses:
            self._on_prefill(response)
        for response in responses:
            self._on_token(response)

    def _admit(self) -> None:
        """Let the next ones in; after a failure one suspect at a time, each proven by tokens."""
        if self._suspects:
            if all(t.tokens_since_insert >= PROOF_TOKENS for t in self._active.values()):
                self._insert(self._suspects.popleft())
            return
        while self._waiting and len(self._active) < self._active_limit:
            if (turn := self._let_in()) is None:
                break
            self._insert(turn)

    def _insert(self, turn: Turn) -> None:
        tokens = turn.prompt + turn.output
        try:
            with foreign_errors(step_failed):
                cache, rest = self.memory.nearest(tokens)
                reused = len(tokens) - len(rest)
                (uid,) = self._generator.insert_segments(
                    segments=[self._segments(turn, rest, reused)],
                    max_tokens=[turn.max_tokens - len(turn.output)],
                    caches=[cache],
                    all_tokens=[tokens[:reused]],
                    samplers=[
                        sampler_for(turn.params, len(self.model.tokenizer), len(turn.output))
                    ],
                    logits_processors=[processors_for(turn.params)],
                    stop_sequences=[self.model.stop_sequences],
                )
        except EngineError as error:
            turn.fail(error)
            return
        self._active[uid] = turn
        turn.begin_prefill(reused)

    def _segments(self, turn: Turn, rest: list[int], reused: int) -> list[list[int]]:
        """Split where a cache that cannot be trimmed later has to be kept now."""
        if self.model.is_trimmable or turn.output or not turn.sent:
            return [rest]
        try:
            stable = self.model.stable_prefix_tokens(turn.sent, turn.prompt, turn.tools) - reused
        except TemplateFailed:  # it renders this conversation, but not a longer one of ours
            return [rest]
        return [rest[:stable], rest[stable:]] if 0 < stable < len(rest) else [rest]

    def _on_prefill(self, response: Any) -> None:
        turn = self._active.get(response.uid)
        if turn is None:
            return
        done_tokens, total_tokens = response.progress
        turn.on_prefill(len(turn.prompt) - total_tokens + done_tokens)
        if response.end_of_segment and not response.end_of_prompt and not self.model.is_trimmable:
            cache, tokens = self._generator.extract_cache([response.uid])[response.uid]
            self.memory.remember(tokens, cache)

    def _on_token(self, response: Any) -> None:
        turn = self._active[response.uid]
        if response.finish_reason == "stop":
            turn.on_end_token(response.token)
        else:
            turn.on_token(response.token, response.logprobs)
            if turn.is_stopped and response.finish_reason is None:
                self._take_out([response.uid], "stop")
            elif turn.is_stopped:
                turn.finish("stop")
            elif response.finish_reason == "length":
                turn.finish_full()
        if response.finish_reason is not None:
            del self._active[response.uid]
            self.memory.remember(response.all_tokens, response.prompt_cache, turn.chat_id)

    def _recover(self, error: EngineError) -> None:
        """Start a new batch. The one to blame fails alone; the others are tried one by one."""
        turns = list(self._active.values())
        self._active.clear()
        self._generator.close()
        self._generator = self._new_generator()
        unproven = [turn for turn in turns if turn.tokens_since_insert < PROOF_TOKENS]
        blamed = turns if len(turns) == 1 else unproven if len(unproven) == 1 else []
        for turn in turns:
            if turn in blamed:
                turn.fail(error)
            else:
                self._suspects.append(turn)
