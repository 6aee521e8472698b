"""Stop strings: an answer ends before the first of them. Pure."""

from collections.abc import Sequence


class StopStrings:
    """Looks for the strings in a text that comes in pieces.

    What may be the beginning of one is held back until it is known not to be.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(strings)
        self._held = ""
        self.is_found = False

    def pass_on(self, text: str) -> str:
        """What of the text is sure to belong to the answer; nothing more once one was found."""
        if self.is_found:
            return ""
        whole = self._held + text
        found = [at for at in map(whole.find, self._strings) if at >= 0]
        if found:
            self.is_found, self._held = True, ""
            return whole[: min(found)]
        held_chars = self._begun_chars(whole)
        self._held = whole[len(whole) - held_chars :]
        return whole[: len(whole) - held_chars]

    def rest(self) -> str:
        """What was held back: the text ended, so it is no stop string."""
        rest, self._held = self._held, ""
        return rest

    @property
    def is_holding(self) -> bool:
        """Whether a part of the text is held back."""
        return bool(self._held)

    def _begun_chars(self, whole: str) -> int:
        """How many characters at the end may belong to a stop string that goes on."""
        longest = max(map(len, self._strings)) - 1
        for chars in range(min(longest, len(whole)), 0, -1):
            if any(string.startswith(whole[-chars:]) for string in self._strings):
                return chars
        return 0
