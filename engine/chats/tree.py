"""A conversation as a tree: messages with parents; brothers are versions of one turn. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

Parents = Mapping[int, int | None]


def path_to(leaf: int | None, parents: Parents) -> list[int]:
    """Messages from the first one to ``leaf``; a circle or a gap in a damaged file ends it."""
    path: list[int] = []
    seen: set[int] = set()
    while leaf is not None and leaf in parents and leaf not in seen:
        seen.add(leaf)
        path.append(leaf)
        leaf = parents[leaf]
    return path[::-1]


def versions_of(path: Sequence[int], parents: Parents) -> dict[int, tuple[int, int]]:
    """For each message of a path which version of its turn it is, from 1, and of how many."""
    children = children_of(parents.items())
    found = {}
    for message_id in path:
        brothers = children[parents[message_id]]
        found[message_id] = (brothers.index(message_id) + 1, len(brothers))
    return found


def newest_below(message_id: int, parents: Parents) -> int:
    """The end of the newest branch that goes on from a message; itself when none does."""
    children = children_of(parents.items())
    while children[message_id]:
        message_id = children[message_id][-1]
    return message_id


def children_of(pairs: Iterable[tuple[int, int | None]]) -> dict[int | None, list[int]]:
    """Messages by their parent, the oldest first."""
    children: dict[int | None, list[int]] = defaultdict(list)
    for message_id, parent_id in sorted(pairs):
        children[parent_id].append(message_id)
    return children
