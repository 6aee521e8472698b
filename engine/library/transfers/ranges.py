"""Sets of byte ranges, and which part of a file to fetch next. Pure.

A range is (start, end) with ``end`` not in it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class RangeSet:
    """Byte ranges, merged and in order."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total_bytes = 0
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def add(self, start: int, end: int) -> int:
        """Add a range, and return how many of its bytes are new."""
        if start >= end:
            return 0
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        swallowed = sum(self._ends[i] - self._starts[i] for i in range(first, last))
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self.total_bytes += end - start - swallowed
        return end - start - swallowed

    def remove(self, start: int, end: int) -> None:
        """Take a range out; what was not in it stays out."""
        kept = [
            piece
            for a, b in self
            for piece in ((a, min(b, start)), (max(a, end), b))
            if piece[0] < piece[1]
        ]
        self._starts = [a for a, _ in kept]
        self._ends = [b for _, b in kept]
        self.total_bytes = sum(b - a for a, b in kept)

    def frontier(self) -> int:
        """Up to where everything from the beginning is in it."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    def clipped(self, size_bytes: int) -> "RangeSet":
        """What of it lies in a file of that size."""
        return RangeSet((a, min(b, size_bytes)) for a, b in self if a < size_bytes)


def first_gap(present: RangeSet, taken: Iterable[Range], size_bytes: int) -> Range | None:
    """The first range below ``size_bytes`` that is neither present nor taken."""
    covered = RangeSet([*present, *taken])
    at = 0
    for start, end in covered:
        if start > at:
            return at, min(start, size_bytes)
        at = max(at, end)
    return (at, size_bytes) if at < size_bytes else None


def next_range(
    present: RangeSet, taken: Iterable[Range], size_bytes: int, part_bytes: int
) -> Range | None:
    """The next part to ask for: the beginning of the first gap, at most ``part_bytes``.

    Parts are handed out from the front of the file, so that hashing can follow behind.
    """
    gap = first_gap(present, taken, size_bytes)
    return gap and (gap[0], min(gap[1], gap[0] + part_bytes))
