"""Where things live on this computer, and the limits that keep everything bounded."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

APP_NAME = "Pomona"
# How much of a prompt is read at once, and so how long others may wait for their next token.
PREFILL_STEP_TOKENS = {"cpu": 128, "metal": 1024, "cuda": 1024}
GUIDE_ID = "pomona/guide"
GUIDE_DIR = Path(__file__).resolve().parent.parent / "assets" / "guide" / "model"


@dataclass(frozen=True)
class Limits:
    """Upper bounds of everything that could grow."""

    waiting_requests: int = 64
    active_requests: int = 16
    prompt_cache_bytes: int = 1_000_000_000
    prompt_cache_sequences: int = 64
    kept_prompts_bytes: int = 2_000_000_000
    keep_prompts_after_s: float = 2.0  # an answer: soon another may follow
    message_chars: int = 400_000
    messages: int = 2_000
    template_probe_s: float = 6.0
    load_patience_s: float = 20.0
    scan_models: int = 5_000


@dataclass(frozen=True)
class Settings:
    """Folders and limits of one Pomona.

    ``hf_cache_dir`` and ``lmstudio_dirs`` belong to other programs and are only read.
    """

    data_dir: Path
    models_dir: Path
    cache_dir: Path
    log_dir: Path
    hf_cache_dir: Path
    lmstudio_dirs: tuple[Path, ...]
    extra_models: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        models_dir: Path | None = None,
        data_dir: Path | None = None,
        extra_models: tuple[Path, ...] = (),
    ) -> "Settings":
        """Settings from arguments first, then POMONA_* variables, then the platform's folders.

        A data folder of one's own also holds the cache and the logs, so that it can be moved or
        deleted as a whole. The Hub's cache is found as huggingface_hub finds it.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("HOME") or Path.home())
        own_data = data_dir.absolute() if data_dir else _path_from(env, "POMONA_DATA_DIR")
        own_models = models_dir.absolute() if models_dir else _path_from(env, "POMONA_MODELS_DIR")
        data = own_data or platformdirs.user_data_path(APP_NAME, appauthor=False)
        return cls(
            data_dir=data,
            models_dir=own_models or data / "models",
            cache_dir=own_data / "cache"
            if own_data
            else platformdirs.user_cache_path(APP_NAME, appauthor=False),
            log_dir=own_data / "logs"
            if own_data
            else platformdirs.user_log_path(APP_NAME, appauthor=False),
            hf_cache_dir=_hf_cache_dir(env, home),
            lmstudio_dirs=(
                home / ".lmstudio" / "models",
                home / ".cache" / "lm-studio" / "models",
            ),
            extra_models=extra_models,
        )


def _path_from(env: Mapping[str, str], name: str) -> Path | None:
    """The folder that a variable names, absolute, with ``~`` and ``$NAME`` filled in."""
    value = env.get(name, "").strip()
    filled = re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda m: env.get(m[1] or m[2], m[0]), value)
    return Path(os.path.expanduser(filled)).absolute() if value else None


def _hf_cache_dir(env: Mapping[str, str], home: Path) -> Path:
    """As huggingface_hub: HF_HUB_CACHE, its older name, HF_HOME, XDG_CACHE_HOME, home."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if (cache := _path_from(env, name)) is not None:
            return cache
    if (hf_home := _path_from(env, "HF_HOME")) is not None:
        return hf_home / "hub"
    xdg = _path_from(env, "XDG_CACHE_HOME") or home / ".cache"
    return xdg / "huggingface" / "hub"
