"""A conversation that grows: how long its first token takes late, at its beginning, and unread.

The conversation is held once. Its last turn is then asked again and again, each time with another
message, so that every run reuses all earlier turns and nothing more; a first turn of another
conversation stands beside each.
"""

import itertools

from engine.records import Message
from tests.benchmarks.engine_bench import EngineBench
from tests.benchmarks.models import random_text

TURNS = 20
TURN_WORDS = 85
ANSWER_TOKENS = 8
_FIRST_SEED = 1_000_000


class GrowingConversation:
    """``turns`` - 1 turns held already, and the last one to be asked."""

    def __init__(self, bench: EngineBench, turns: int = TURNS) -> None:
        self._bench = bench
        self._seeds = itertools.count(_FIRST_SEED)
        self._messages: list[Message] = []
        for _ in range(turns - 1):
            self._messages.append(self._new_message())
            answer = bench.answer(self._messages, ANSWER_TOKENS)
            self._messages.append(Message("assistant", answer.text))

    def last_turn_s(self) -> float:
        """Seconds to the first token of the last turn, with all earlier turns to reuse."""
        return self._first_token_s([*self._messages, self._new_message()])

    def first_turn_s(self) -> float:
        """Seconds to the first token of a new conversation."""
        return self._first_token_s([self._new_message()])

    def unread_s(self) -> float:
        """Seconds to the first token of the last turn after another beginning: nothing to reuse."""
        beginning = self._new_message()
        return self._first_token_s([beginning, *self._messages[1:], self._new_message()])

    def _first_token_s(self, messages: list[Message]) -> float:
        return self._bench.answer(messages, ANSWER_TOKENS).stats.time_to_first_token_s

    def _new_message(self) -> Message:
        return Message("user", random_text(next(self._seeds), TURN_WORDS))
