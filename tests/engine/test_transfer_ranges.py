"""Ranges are counted right, whatever order they come in."""

import random

import pytest

from engine.library.transfers.ranges import RangeSet, first_gap, next_range

SIZE = 60


def bytes_of(ranges: RangeSet) -> set[int]:
    return {at for start, end in ranges for at in range(start, end)}


def test_a_set_of_ranges_is_a_set_of_bytes() -> None:
    draw = random.Random(4)
    for _ in range(300):
        ranges, truth = RangeSet(), set[int]()
        for _ in range(draw.randrange(1, 12)):
            start = draw.randrange(SIZE)
            end = draw.randrange(start, SIZE + 1)
            new = set(range(start, end)) - truth
            assert ranges.add(start, end) == len(new)
            truth |= new
            assert bytes_of(ranges) == truth
            assert ranges.total_bytes == len(truth)
            pairs = list(ranges)
            assert all(a[1] < b[0] for a, b in zip(pairs, pairs[1:], strict=False))
        frontier = next(at for at in range(SIZE + 1) if at not in truth)
        assert ranges.frontier() == frontier
        size = draw.randrange(SIZE)
        assert bytes_of(ranges.clipped(size)) == {at for at in truth if at < size}


def test_parts_cover_what_is_missing_once_and_from_the_front() -> None:
    draw = random.Random(5)
    for _ in range(200):
        present = RangeSet(
            (start, draw.randrange(start, SIZE + 1))
            for start in (draw.randrange(SIZE) for _ in range(draw.randrange(4)))
        )
        taken: list[tuple[int, int]] = []
        while (part := next_range(present, taken, SIZE, 7)) is not None:
            assert 0 < part[1] - part[0] <= 7
            taken.append(part)
        parts = [set(range(*part)) for part in taken]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert bytes_of(present) | set().union(*parts) == set(range(SIZE))
        assert taken == sorted(taken)


@pytest.mark.parametrize(("present", "taken", "gap"), (
    ([], [], (0, 60)), ([(0, 60)], [], None), ([(0, 10)], [(10, 20)], (20, 60)),
    ([(5, 60)], [], (0, 5)), ([], [(0, 30), (30, 60)], None), ([(0, 10), (20, 30)], [], (10, 20)),
))  # fmt: skip
def test_the_first_gap_is_neither_here_nor_on_its_way(
    present: list[tuple[int, int]], taken: list[tuple[int, int]], gap: tuple[int, int] | None
) -> None:
    assert first_gap(RangeSet(present), taken, SIZE) == gap
