"""Which scored tokens go out with which piece of text: those whose bytes it ends. Pure."""

from collections import deque

from engine.records import ScoredToken


class ScoredText:
    """Tokens come when they are chosen, their text when it is certain; this brings them together.

    A token may be a part of a character, and text may be held back: bytes are counted.
    """

    def __init__(self) -> None:
        self._waiting: deque[ScoredToken] = deque()
        self._ahead_bytes = 0  # of text that is out, beyond the tokens that are

    def add(self, token: ScoredToken) -> None:
        """A token was chosen."""
        self._waiting.append(token)

    def forget(self) -> None:
        """What waits was no text: a mark, or the beginning of something else."""
        self._waiting.clear()
        self._ahead_bytes = 0

    def take(self, text: str) -> tuple[ScoredToken, ...]:
        """The tokens that end with this text, which goes out now."""
        self._ahead_bytes += len(text.encode())
        taken = []
        while self._waiting and len(self._waiting[0].data) <= self._ahead_bytes:
            taken.append(self._waiting.popleft())
            self._ahead_bytes -= len(taken[-1].data)
        return tuple(taken)

    def take_rest(self) -> tuple[ScoredToken, ...]:
        """What is left at the end, where a mark was cut out of the text."""
        rest = tuple(self._waiting)
        self.forget()
        return rest
