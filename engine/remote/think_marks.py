"""Reasoning that a server leaves in the text, in think marks at its beginning. Pure."""

_BEGIN, _END = "<think>", "</think>"


class ThinkMarks:
    """Splits a text that comes in pieces; half a mark is held back until it is known."""

    def __init__(self) -> None:
        self._held = ""
        self._is_begun = False
        self._is_thinking = False

    def split(self, text: str) -> tuple[str, str]:
        """Reasoning and answer of what is certain now."""
        if self._is_begun and not self._is_thinking:
            return "", text
        self._held += text
        if not self._is_begun:
            start = self._held.lstrip()
            if start != _BEGIN and _BEGIN.startswith(start):
                return "", ""
            self._is_begun = True
            self._is_thinking = start.startswith(_BEGIN)
            if not self._is_thinking:
                return "", self.rest()[1]
            self._held = start[len(_BEGIN) :]
        thought, mark, answer = self._held.partition(_END)
        if mark:
            self._is_thinking, self._held = False, ""
            return thought, answer
        held_chars = _begun_chars(thought)
        self._held = thought[len(thought) - held_chars :]
        return thought[: len(thought) - held_chars], ""

    def rest(self) -> tuple[str, str]:
        """Reasoning and answer of what was held back, when no more comes."""
        held, self._held = self._held, ""
        return (held, "") if self._is_thinking else ("", held)


def _begun_chars(text: str) -> int:
    """How many characters at the end may be the beginning of the closing mark."""
    return next((n for n in range(len(_END) - 1, 0, -1) if text.endswith(_END[:n])), 0)
