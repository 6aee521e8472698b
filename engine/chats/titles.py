"""A conversation's title, made from its first exchange. Pure."""

import re

MAX_TITLE_CHARS = 60
UNTITLED = "New chat"
_MARKUP = re.compile(r"[*_`~]+|(?<!\w)[#>|]+")
_GREETINGS = frozenset(
    "hello hi hey hallo hola bonjour ciao morning good evening afternoon there you how are".split()
)


def make_title(question: str, answer: str = "") -> str:
    """The question's first words; the answer's, where the question only says hello."""
    for text in (question, answer):
        title = shorten(text)
        words = re.findall(r"\w+", title.casefold())
        if words and not _GREETINGS.issuperset(words):
            return title
    return shorten(question) or UNTITLED


def shorten(text: str, max_chars: int = MAX_TITLE_CHARS) -> str:
    """One line without Markdown, cut between words where that is possible."""
    line = " ".join(_MARKUP.sub("", text[: 20 * max_chars]).split())
    if len(line) <= max_chars:
        return line
    cut = line[: max_chars - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > max_chars // 2 else cut).rstrip(" ,.;:") + "…"
