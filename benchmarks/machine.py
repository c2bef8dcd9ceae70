"""One line that says on what a figure was measured."""

import datetime
import os
import platform
from pathlib import Path

import torch


def machine() -> str:
    """Processor, cores, Python, torch, date."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    isa = torch.backends.cpu.get_cpu_capability()
    return (
        f"{processor} ({isa}), {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {datetime.date.today()}"
    )
