"""``mlx_lm.generate`` as pip installs it: its own BLAS, the model as its files are."""

import re
import subprocess
import sys
from pathlib import Path

from tests.app_process import ROOT
from tests.benchmarks.children import quiet_environment
from tests.benchmarks.models import random_text

TIMEOUT_S = 1_800.0
_SPEED = re.compile(r"(Prompt|Generation): \d+ tokens, ([\d.]+) tokens-per-sec")


def shipped_speeds(path: Path, prompt_tokens: int, answer_tokens: int) -> tuple[float, float]:
    """Tokens per second of one prompt and one answer, as the command itself prints them."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mlx_lm.generate", "--model", str(path), "--temp", "0",
            "--prompt", random_text(7, prompt_tokens), "--max-tokens", str(answer_tokens),
        ],
        cwd=ROOT, env=quiet_environment(), stdout=subprocess.PIPE, text=True, check=True,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    speeds = {name: float(per_s) for name, per_s in _SPEED.findall(done.stdout)}
    return speeds["Prompt"], speeds["Generation"]
