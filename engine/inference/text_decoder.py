"""From tokens to text, split into answer and reasoning. On the inference thread alone."""

from typing import Any

from mlx_lm.generate import TextStateMachine


class TextDecoder:
    """Turns tokens into text, split into answer and reasoning."""

    def __init__(self, detokenizer: Any, state: Any) -> None:
        self._detokenizer = detokenizer
        self._state = state

    def add(self, token: int) -> list[tuple[bool, str]]:
        """Text that became certain with this token, as (is_reasoning, text) pieces."""
        self._detokenizer.add_token(token)
        return self._split(self._detokenizer.last_segment)

    def finish(self, is_stopped_by_model: bool) -> list[tuple[bool, str]]:
        """The rest. A half-read control mark is dropped where the model itself ended."""
        self._detokenizer.finalize()
        pieces = self._split(self._detokenizer.last_segment)
        if not is_stopped_by_model:
            _, rest, state = TextStateMachine.flush(self._state)
            if rest:
                pieces.append((state == "reasoning", rest))
        return pieces

    def _split(self, text: str) -> list[tuple[bool, str]]:
        if not text:
            return []
        self._state, segments = TextStateMachine.split(self._state, text)
        return [(state == "reasoning", piece) for state, piece in segments if piece]
