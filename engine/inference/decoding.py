"""From tokens to text: answer, reasoning and tool calls told apart. On the inference thread alone.

Marks are found in the decoded text by mlx-lm's state machine (mlx_lm.generate.TextStateMachine).
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import mlx.core as mx
from mlx_lm.generate import TextStateMachine

from engine.inference.token_bytes import token_bytes
from engine.records import ScoredToken

Kind = Literal["text", "reasoning", "tool"]
Piece = tuple[Kind, str]
"""Text that became certain; a piece of the kind "tool" is one whole call."""

Scorer = Callable[[int, Any], ScoredToken]


class TextDecoder:
    """Turns tokens into text, split into answer, reasoning and, if ``has_tools``, tool calls."""

    def __init__(self, detokenizer: Any, state: Any, has_tools: bool = False) -> None:
        self._detokenizer = detokenizer
        self._state = state
        self._has_tools = has_tools
        self._call: str | None = None

    @property
    def kind(self) -> Kind:
        """What the next text will belong to."""
        return self._kind(self._state[0])

    def add(self, token: int) -> list[Piece]:
        """Text that became certain with this token."""
        self._detokenizer.add_token(token)
        return self._split(self._detokenizer.last_segment)

    def finish(self, is_stopped_by_model: bool) -> list[Piece]:
        """The rest. A half-read control mark is dropped where the model itself ended."""
        self._detokenizer.finalize()
        pieces = self._split(self._detokenizer.last_segment)
        if not is_stopped_by_model:
            _, rest, state = TextStateMachine.flush(self._state)
            pieces += self._take(state, rest)
        return pieces + self._end_call()

    def _split(self, text: str) -> list[Piece]:
        if not text:
            return []
        self._state, segments = TextStateMachine.split(self._state, text)
        return [piece for state, text in segments for piece in self._take(state, text)]

    def _take(self, state: str, text: str) -> list[Piece]:
        kind = self._kind(state)
        if kind == "tool":
            self._call = (self._call or "") + text
            return []
        return self._end_call() + ([(kind, text)] if text else [])

    def _end_call(self) -> list[Piece]:
        call, self._call = self._call, None
        return [] if call is None else [("tool", call)]

    def _kind(self, state: str) -> Kind:
        if state == "reasoning":
            return "reasoning"
        return "tool" if state == "tool" and self._has_tools else "text"


def plain_decoder(detokenizer: Any) -> TextDecoder:
    """A decoder for which marks are text like any other."""
    return TextDecoder(detokenizer, TextStateMachine().make_state())


def scorer(tokenizer: Any, count: int) -> Scorer:
    """Scores a token by the log-probabilities that it was chosen from (vocabulary,).

    ``count`` of the likeliest come with it.
    """
    name = functools.lru_cache(maxsize=4096)(functools.partial(token_bytes, tokenizer))

    def scored(token: int, logprob: float, likeliest: tuple[ScoredToken, ...]) -> ScoredToken:
        data = name(token)
        return ScoredToken(data.decode("utf-8", "replace"), data, logprob, likeliest)

    def score(token: int, logprobs: Any) -> ScoredToken:
        row = logprobs.astype(mx.float32)
        shown = min(count, row.size)
        likeliest: Any = []
        if shown:
            found = mx.argpartition(-row, kth=shown - 1)[:shown]
            likeliest = found[mx.argsort(-row[found])].tolist()
        values = row[mx.array([token, *likeliest])].tolist()
        others = tuple(
            scored(other, value, ()) for other, value in zip(likeliest, values[1:], strict=True)
        )
        return scored(token, values[0], others)

    return score
