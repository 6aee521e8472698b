"""Names for the rows of a table: given out with its cells, and looked up when a row is chosen.

A row that was chosen from a list that has been replaced meanwhile still means what it showed. What
the browser sends is a name that this page was given, or it means nothing.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import gradio as gr

KEPT_LISTS = 4
_ROW_ID = re.compile(r'data-row="(\d{1,9})-(\d{1,9})"')


@dataclass
class RowIds:
    """What one visitor's table showed last: models by the list's number and the row's."""

    lists: OrderedDict[int, tuple[str, ...]] = field(default_factory=OrderedDict)
    count: int = 0

    @property
    def newest(self) -> tuple[str, ...]:
        """The models of the list that is shown."""
        return self.lists.get(self.count, ())

    def issue(self, repo_ids: Sequence[str]) -> list[str]:
        """A name for each row of a new list."""
        self.count += 1
        self.lists[self.count] = tuple(repo_ids)
        while len(self.lists) > KEPT_LISTS:
            self.lists.popitem(last=False)
        return [f"{self.count}-{row}" for row in range(len(repo_ids))]

    def chosen(self, event: gr.SelectData) -> str:
        """The model of the row that was chosen; empty for a name that was not given out."""
        cells = getattr(event, "row_value", None)
        found = _ROW_ID.search(str(cells[0])[:2000]) if isinstance(cells, list) and cells else None
        if found is None:
            return ""
        shown = self.lists.get(int(found[1]), ())
        row = int(found[2])
        return shown[row] if row < len(shown) else ""
