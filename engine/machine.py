"""What this computer offers to models: memory, disk, and the budget kept for other programs."""

import math
import os
import shutil
from pathlib import Path

from engine.records import DeviceFacts, MachineReport
from engine.settings import Settings

CPU_BUDGET_SHARE = 0.75
_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
_OLD_CGROUP_CPU = (  # of the first version: share and period in files of their own
    Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_total_bytes() -> int:
    """Bytes of memory that this process may use: the machine's, or the container's if smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            limit = int(path.read_text().strip())
        except (OSError, ValueError):
            continue
        total = min(total, limit)
    return total


def available_cores() -> int:
    """Cores that this process may keep busy: those it may run on, or the container's share."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not on a Mac
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    for files in ((_CGROUP_CPU,), _OLD_CGROUP_CPU):
        try:
            quota, period = " ".join(path.read_text() for path in files).split()
            share = int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):  # no container, or "max": no limit
            continue
        if share > 0:  # -1 is no limit too
            cores = min(cores, math.ceil(share))
    return max(1, cores)


def memory_budget_bytes(working_set_bytes: int | None) -> int:
    """Bytes that models may take together.

    ``working_set_bytes`` is the accelerator's own figure (Metal's recommended working set, CUDA's
    memory). On a CPU there is none: three quarters of the memory, since running out of it there
    kills the process instead of raising.
    """
    if working_set_bytes is not None:
        return working_set_bytes
    return int(memory_total_bytes() * CPU_BUDGET_SHARE)


def disk_free_bytes(folder: Path) -> int:
    """Free bytes on the disk that holds ``folder``, or will hold it; 0 when that is unknown."""
    for candidate in (folder, *folder.parents):
        if os.path.exists(candidate):
            try:
                return shutil.disk_usage(candidate).free
            except OSError:
                return 0
    return 0


def describe_machine(device: DeviceFacts, settings: Settings) -> MachineReport:
    """The report that the app shows and ``/machine`` answers with."""
    return MachineReport(
        backend=device.backend,
        device_name=device.device_name,
        memory_total_bytes=memory_total_bytes(),
        memory_budget_bytes=memory_budget_bytes(device.working_set_bytes),
        disk_free_bytes=disk_free_bytes(settings.models_dir),
        accelerated_blas=device.accelerated_blas,
        versions=device.versions,
    )
