"""What one model takes at most while it answers: known only when nothing else runs beside it."""

from types import ModuleType
from typing import Any


class PeakMeter:
    """Measures the peak of an answer by a model that is alone in memory. Inference thread only."""

    def __init__(self, backend: ModuleType) -> None:
        self._mx = backend.mx
        self._current = object()

    def begin(self, turn: Any, kept_bytes: int) -> None:
        """Measure for ``turn``; ``kept_bytes`` are prompts kept from before, which are not its."""
        current = self._current = object()
        self._mx.reset_peak_memory()
        # Neither closure nor meter may hold the turn: it refers to its model.
        turn.own_peak_bytes = lambda: self._peak_bytes(current, kept_bytes)

    def spoil(self) -> None:
        """Something else runs now: nobody can tell whose memory the peak is."""
        self._current = object()

    def _peak_bytes(self, asker: object, kept_bytes: int) -> int:
        """0 when it is not known."""
        if asker is not self._current:
            return 0
        return max(0, int(self._mx.get_peak_memory()) - kept_bytes)
