"""Puts the app's fast BLAS under MLX on Linux; to be imported before mlx."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.inference.blas import open_fast_blas  # noqa: E402  (found by the path above)

IS_FAST = open_fast_blas(Path(tempfile.gettempdir()))
