"""The command line: ``python -m tests.benchmarks [group ...]``; all groups when none is named."""

import sys
from collections.abc import Callable, Iterable, Sequence

from tests.benchmarks.chat import chat_figures
from tests.benchmarks.chats_group import chats_figures
from tests.benchmarks.discover_group import discover_figures
from tests.benchmarks.download_group import download_figures
from tests.benchmarks.figures import Figure, format_figures
from tests.benchmarks.library_group import library_figures
from tests.benchmarks.machine import machine_lines
from tests.benchmarks.memory_group import memory_figures
from tests.benchmarks.speed_group import speed_figures

GROUPS: dict[str, Callable[[], Iterable[Figure]]] = {
    "chat": chat_figures,
    "chats": chats_figures,
    "discover": discover_figures,
    "download": download_figures,
    "library": library_figures,
    "memory": memory_figures,
    "speed": speed_figures,
}


def main(arguments: Sequence[str]) -> int:
    """Print the machine and the figures of the groups; exit status 2 for an unknown group."""
    for name in arguments:
        if name not in GROUPS:
            print(f"benchmarks: no group {name!r}; there is {', '.join(GROUPS)}", file=sys.stderr)
            return 2
    for line in machine_lines():
        print(line, flush=True)
    for name in arguments or GROUPS:
        figures = []
        for figure in GROUPS[name]():
            figures.append(figure)
            print(f"measured {figure.name}: {figure.ratio:.2f}", file=sys.stderr, flush=True)
        print(f"\n{name}", *format_figures(figures), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
