"""Child: ``mlx_lm.server`` with the BLAS below it that Pomona would open."""

import tempfile
from pathlib import Path

from engine.inference.blas import open_fast_blas

if __name__ == "__main__":
    open_fast_blas(Path(tempfile.gettempdir()))
    from mlx_lm.server import main  # BLAS comes before mlx

    main()
