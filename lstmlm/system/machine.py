"""The memory and the cores of this machine, and whether the process returns freed memory to the system."""

import ctypes
import math
import os


def get_total_memory() -> float:
    """Bytes of main memory; infinite if the system does not report it."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def count_cores() -> int:
    """The number of cores that this process may use, at most OMP_NUM_THREADS if that is set."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    requested = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is for nested teams
    return min(allowed, int(requested)) if requested.isdecimal() and int(requested) > 0 else allowed


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
AT_FIRST = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65536}  # the values of glibc


def keep_memory() -> None:
    """Keep freed memory in the process instead of returning it to the system, if the C library is glibc.

    Every training step allocates the same tens of megabytes. Memory that was returned to the system comes back page by
    page, and each page is cleared first: that takes a quarter of the time of two layers of nn (benchmarks/LOG.md).
    """
    set_malloc({M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0})


def return_memory() -> None:
    """Return freed memory to the system, now and from now on: the opposite of `keep_memory`."""
    set_malloc(AT_FIRST)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def set_malloc(options: dict[int, int]) -> None:
    """Set options of glibc's malloc; nothing happens with another C library."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
        for option, value in options.items():
            mallopt(option, value)
