"""Code blocks of Markdown: where a text is code, and which fence holds it. Pure."""

import re
from collections.abc import Iterator

# As in CommonMark: at most three spaces, three or more of one mark, a language after it.
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*(.*)$")


def iter_blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Pieces of a text in order: whether it is code, and its lines without the fences."""
    fence, lines = "", list[str]()
    for line in text.split("\n"):
        new = fence_after(fence, line)
        if new == fence:
            lines.append(line)
            continue
        if lines:
            yield bool(fence), "\n".join(lines)
        fence, lines = new, []
    if lines:
        yield bool(fence), "\n".join(lines)


def open_fence(text: str) -> str:
    """The fence that a text leaves open, or nothing."""
    fence = ""
    for line in text.split("\n"):
        fence = fence_after(fence, line)
    return fence


def fence_after(fence: str, line: str) -> str:
    """Which fence is open behind a line, when ``fence`` was open before it."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    mark, rest = found.groups()
    if not fence:  # a backtick behind backticks makes it a piece of code within a line
        return "" if mark[0] == "`" and "`" in rest else mark
    is_end = mark[0] == fence[0] and len(mark) >= len(fence) and not rest.strip()
    return "" if is_end else fence


def longer_fence(text: str) -> str:
    """A fence that no line of a text can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)
