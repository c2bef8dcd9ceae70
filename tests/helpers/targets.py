"""The instructions that kernels can be built for and that this processor runs."""

import platform
from pathlib import Path

# option of the compiler: the flag of /proc/cpuinfo of a processor that runs the result
X86 = {"-msse2": "sse2", "-mavx": "avx", "-march=x86-64-v3": "avx2", "-march=x86-64-v4": "avx512vl"}


def list_targets(*, fma: bool = False) -> list[str | None]:
    """Options for narrower and wider vectors; with `fma`, those with fused multiplication and addition alone."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.exists():
        return [None]
    flags = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    return [option for option, flag in X86.items() if flag in flags and (not fma or option.startswith("-march"))]
