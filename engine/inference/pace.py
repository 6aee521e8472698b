"""How much of a prompt to read at once while others wait for their next token. Pure.

Learned from how long the last steps took on this computer: a step that reads may take a few times
as long as one in which everybody only writes, so that nobody's answer stands still. Steps are never
made so short that reading becomes wasteful.
"""

_PATIENCE = 5.0  # steps of writing that one step of reading may take
_MOMENT_S = 0.2  # for which nobody minds that all read at once
_LEAST_SHARE = 4  # of the usual step, that is always read
_WEIGHT = 0.3  # of the newest step


class Pace:
    """Times of one lane's steps, in seconds."""

    def __init__(self) -> None:
        self._write_s: float | None = None
        self._read_token_s: float | None = None

    def note(self, seconds: float, read_tokens: int, is_writing: bool) -> None:
        """Take a step into account: how long it took, and what was done in it."""
        if not read_tokens:
            self._write_s = _mean(self._write_s, seconds)
            return
        own_s = seconds - (self._write_s or 0.0 if is_writing else 0.0)
        self._read_token_s = _mean(self._read_token_s, max(0.0, own_s) / read_tokens)

    def share(self, step_tokens: int, prompts: int, *, is_writing: bool) -> int:
        """How much to read of each of several prompts at once.

        They share a step. Where others write, they get as much as those have patience for; where
        nobody does, a whole step each if all of that is read in a moment.
        """
        equal = max(1, step_tokens // prompts)
        if not self._read_token_s or (is_writing and not self._write_s):
            return equal
        patience_s = _PATIENCE * (self._write_s or 0.0) if is_writing else _MOMENT_S
        tokens = int(patience_s / self._read_token_s) // prompts
        if is_writing:
            return max(1, equal // _LEAST_SHARE, min(equal, tokens))
        return max(equal, min(step_tokens, tokens))


def _mean(old: float | None, new: float) -> float:
    """The newest step counts a little, one that another program held up not much more."""
    if old is None:
        return new
    return old + _WEIGHT * (min(new, 4 * old) - old)
