"""How much the download queue does at once, and how much of the disk it leaves alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QueueLimits:
    """``at_once`` models are fetched, the rest waits; the margin stays free beyond the files.

    ``look_s`` passes between looks at a folder that another Pomona uses, while jobs wait there.
    """

    at_once: int = 2
    margin_share: float = 0.02
    margin_bytes: int = 500_000_000
    look_s: float = 2.0

    def with_margin(self, size_bytes: int) -> int:
        """What must be free before that many bytes are written."""
        return size_bytes + int(size_bytes * self.margin_share) + self.margin_bytes
