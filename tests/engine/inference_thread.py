"""Run a function on the engine's inference thread, where alone mlx may be used."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from engine import Engine


def on_thread(engine: Engine, function: Callable[[], Any], timeout_s: float = 60) -> Any:
    """What ``function`` returns or raises there."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    engine.inference._thread.post(run)
    return future.result(timeout_s)


def loaded_model(engine: Engine, repo_id: str) -> Any:
    """The MlxModel of a loaded model; to be used on the thread only."""
    engine.inference.load(repo_id).result(timeout=60)
    return engine.inference._thread._residents[repo_id].lane.model
