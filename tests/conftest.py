"""What all tests share: one running engine, since one thread owns MLX in a process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Settings
from engine.chats import Chats
from engine.settings import Limits
from tests.models import write_chunked_model, write_model, write_recurrent_model

LIMITS = Limits(
    waiting_requests=24, active_requests=8, template_probe_s=2.0, keep_prompts_after_s=0.1
)


def settings_in(folder: Path, limits: Limits = LIMITS) -> Settings:
    """Settings that see nothing of this computer's own models and data."""
    return Settings(
        data_dir=folder / "data",
        models_dir=folder / "models",
        cache_dir=folder / "cache",
        log_dir=folder / "logs",
        hf_cache_dir=folder / "hub",
        lmstudio_dirs=(folder / "lmstudio",),
        limits=limits,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine with tiny models: tiny/llama, tiny/other, tiny/chunked, tiny/recurrent."""
    settings = settings_in(tmp_path_factory.mktemp("engine"))
    opened = Engine.open(settings)
    write_model(settings.models_dir / "tiny" / "llama")
    write_model(settings.models_dir / "tiny" / "other", seed=1, layers=1, context=512)
    write_chunked_model(settings.models_dir / "tiny" / "chunked")
    write_recurrent_model(settings.models_dir / "tiny" / "recurrent")
    opened.inference.start()
    opened.inference.device_facts()
    yield opened
    opened.close()


@pytest.fixture
def opening() -> Iterator[Callable[..., Chats]]:
    """Opens stores of conversations, and closes them all at the end."""
    with ExitStack() as stack:

        def open_at(path: Path | None, **more: Any) -> Chats:
            chats = Chats(path, **more)
            stack.callback(chats.close)
            return chats

        yield open_at
