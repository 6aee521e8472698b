"""Child process: a Pomona's downloads on one folder, until it is killed or kills itself.

    python -m tests.engine.download_child FOLDER HUB [--die N] [--update] [MODEL ...]

Starts or updates the models and says "ready" on its output. With ``--die`` it kills itself at the
N-th point of putting a model in its place: 1 before the old one is moved aside, 2 after that, 3
before the new one comes, 4 after that.
"""

import argparse
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

from engine.library import placing
from tests.conftest import settings_in
from tests.engine.downloading import open_downloads


def die_at(point: int) -> None:
    """Let the process kill itself, without a chance to tidy up, at a rename of a model."""
    points = iter(range(1, 100))

    def pass_point() -> None:
        if next(points) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def rename(source: Path, target: Path) -> None:
        pass_point()
        os.rename(source, target)
        pass_point()

    placing.os = SimpleNamespace(  # type: ignore[attr-defined]
        **{**vars(os), "rename": rename}
    )


def main() -> None:
    """Open, start, and wait."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("hub")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--die", type=int, default=0)
    args = parser.parse_intermixed_args()
    if args.die:
        die_at(args.die)
    downloads, _ = open_downloads(settings_in(args.folder), args.hub)
    for repo_id in args.models:
        (downloads.update if args.update else downloads.start)(repo_id)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
