"""What this machine has, and what of it this process keeps."""

import ctypes
import math
import os


def get_total_memory() -> float:
    """Bytes of main memory; infinite where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def count_cores() -> int:
    """How many cores this process may use, no more than OMP_NUM_THREADS where that is set."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wished = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is for nested teams
    return min(allowed, int(wished)) if wished.isdecimal() and int(wished) > 0 else allowed


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_memory() -> None:
    """What this process frees stays with it, for its next step, where the C library is glibc.

    Every training step asks for the same tens of megabytes. If they are given back to the system in between, they come
    again page by page, each cleared: a quarter of the time of two layers of nn (benchmarks/LOG.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_MMAP_MAX, 0)
