"""What a figure is: ours beside a reference, their ratio, and the target that the ratio has.

Machines are noisy, so ours and the reference are run in turns, and a figure is made of medians:
the ratio is the median of the pairs' ratios, not the ratio of the medians. Beside it stands the
ratio of the best runs, which other programs' load disturbs least.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Run = TypeVar("Run")
Pairs = tuple[tuple[float, float], ...]
HEADER = ("figure", "ours", "reference", "ratio", "lowest to highest", "of bests", "target", "")
_GAP = "  "


@dataclass(frozen=True)
class Target:
    """The ratio to reach."""

    limit: float
    is_upper: bool = False

    def is_met(self, ratio: float) -> bool:
        """Whether ``ratio`` is on the good side of the limit."""
        if self.is_upper:
            return ratio <= self.limit
        return ratio >= self.limit

    def __str__(self) -> str:
        side = "at most" if self.is_upper else "at least"
        return f"{side} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the report: (ours, reference) pairs, at least one, and what they shall reach.

    The ratio is ours / reference. With ``is_speedup`` both are durations and it is
    reference / ours: how many times faster. ``best`` is max for speeds, min for durations.
    """

    name: str
    unit: str
    pairs: Pairs
    target: Target
    best: Callable[[Iterable[float]], float] = max
    is_speedup: bool = False

    @property
    def ours(self) -> float:
        """The median of our runs."""
        return median(ours for ours, _ in self.pairs)

    @property
    def reference(self) -> float:
        """The median of the reference's runs."""
        return median(theirs for _, theirs in self.pairs)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of every pair."""
        return tuple(self._ratio_of(*pair) for pair in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return median(self.ratios)

    @property
    def ratio_of_bests(self) -> float:
        """Our best run beside the reference's best."""
        ours, theirs = zip(*self.pairs, strict=True)
        return self._ratio_of(self.best(ours), self.best(theirs))

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.target.is_met(self.ratio)

    def _ratio_of(self, ours: float, reference: float) -> float:
        return reference / ours if self.is_speedup else ours / reference


def alternate(
    ours: Callable[[], Run], reference: Callable[[], Run], pairs: int
) -> tuple[tuple[Run, Run], ...]:
    """Run both in turns, ``pairs`` times each, after one run of each that does not count."""
    ours()
    reference()
    return tuple((ours(), reference()) for _ in range(pairs))


def format_figures(figures: Sequence[Figure]) -> list[str]:
    """The report's lines, in columns, a header first."""
    rows = [HEADER, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(figure: Figure) -> tuple[str, ...]:
    lowest, highest = min(figure.ratios), max(figure.ratios)
    return (
        figure.name,
        f"{_format_number(figure.ours)} {figure.unit}",
        f"{_format_number(figure.reference)} {figure.unit}",
        f"{figure.ratio:.2f}",
        f"{lowest:.2f} to {highest:.2f} of {len(figure.ratios)}",
        f"{figure.ratio_of_bests:.2f}",
        str(figure.target),
        "met" if figure.is_met else "missed",
    )


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
