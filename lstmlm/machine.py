"""What this machine has."""

import math
import os


def memory() -> float:
    """Bytes of main memory; infinite where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cores() -> int:
    """How many cores this process may use, no more than OMP_NUM_THREADS where that is set."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wished = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is for nested teams
    return min(allowed, int(wished)) if wished.isdecimal() and int(wished) > 0 else allowed
