"""What one visitor's Manage tab shows, kept on the server."""

from dataclasses import dataclass, field

from ui.download_rows import RowsShown
from ui.row_ids import RowIds


@dataclass
class ManageShown:
    """Names by row and what is asked about; buttons act on these, not on what the browser sends.

    ``version`` is that of the downloads when the library was last looked at. ``note`` is what the
    last action on ``chosen`` has to say. ``newest`` has newer revisions on the Hub by model,
    ``spoiled`` the files whose content is wrong, where somebody had them checked. ``is_open`` says
    whether the tab is seen: only then its timer runs.
    """

    is_open: bool = False
    jobs: RowsShown = field(default_factory=RowsShown)
    rows: RowIds = field(default_factory=RowIds)
    picks: list[str] = field(default_factory=list)
    chosen: str = ""
    deleting: str = ""
    note: str = ""
    newest: dict[str, str] = field(default_factory=dict)
    spoiled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    version: int = -1
    serial: int = 0

    def begin(self) -> int:
        """Start a look at things; one that was overtaken by a later one is dropped."""
        self.serial += 1
        return self.serial

    def choose(self, repo_id: str) -> None:
        """Open the actions of a model."""
        self.chosen, self.note = repo_id, ""
