"""The device that MLX computes on, and the memory that it holds there. Inference thread only."""

import contextlib
import ctypes
import gc
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import mlx.core as mx

from engine.records import DeviceFacts

_trim_heap: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


def is_on_cpu() -> bool:
    """Whether MLX computes on the processor, for want of anything faster."""
    return bool(mx.default_device().type == mx.DeviceType.cpu)


def device_facts(has_fast_blas: bool) -> DeviceFacts:
    """The device that MLX computes on, as it describes itself."""
    info = mx.device_info()
    versions = {}
    for name in ("mlx", "mlx-lm", "transformers", "gradio", "huggingface_hub"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    is_gpu = not is_on_cpu()
    is_metal = is_gpu and mx.metal.is_available()
    working_set = info.get("max_recommended_working_set_size") or info.get("total_memory")
    return DeviceFacts(
        backend="metal" if is_metal else "cuda" if is_gpu else "cpu",
        device_name=str(info.get("device_name", "unknown")),
        working_set_bytes=int(working_set) if is_gpu and working_set else None,
        accelerated_blas=is_gpu or has_fast_blas,
        versions=versions,
    )


def release_memory() -> None:
    """Give memory of dropped arrays back to the system.

    glibc keeps what was freed: a 150 MB model was still there after its unload. Its malloc_trim,
    which other C libraries do not have, hands it over within a millisecond.
    """
    gc.collect()
    mx.clear_cache()
    if _trim_heap is not None:
        _trim_heap(0)


def active_memory_bytes() -> int:
    """Bytes that MLX holds in arrays now."""
    return int(mx.get_active_memory())
