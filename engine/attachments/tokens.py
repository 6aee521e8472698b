"""How many tokens a text takes, guessed without a tokenizer. Pure."""

import re

# Tokenizers of today take about four Latin letters at once, and one or two of most other scripts.
_LATIN_CHARS_PER_TOKEN = 4.0
_OTHER_CHARS_PER_TOKEN = 1.5
_WORD_TOKENS = 1.3
_LATIN = re.compile(r"[\x00-\u024f]+")
_WORDS = re.compile(r"\w+|[^\w\s]")


def estimate_tokens(text: str) -> int:
    """About how many tokens; within a third for prose and code in most languages."""
    latin = _LATIN.findall(text)
    latin_chars = sum(map(len, latin))
    words = sum(len(_WORDS.findall(piece)) for piece in latin)
    by_chars = latin_chars / _LATIN_CHARS_PER_TOKEN
    others = (len(text) - latin_chars) / _OTHER_CHARS_PER_TOKEN
    return round(max(by_chars, (by_chars + _WORD_TOKENS * words) / 2) + others)
