"""Child process: a Pomona's downloads on one folder, until it is killed.

Arguments: the folder, the Hub's address, and the models to start. Says "ready" on its output.
"""

import sys
import threading
from pathlib import Path

from tests.conftest import settings_in
from tests.engine.downloading import open_downloads


def main(folder: str, url: str, *repo_ids: str) -> None:
    """Open, start, and wait."""
    downloads, _ = open_downloads(settings_in(Path(folder)), url)
    for repo_id in repo_ids:
        downloads.start(repo_id)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
