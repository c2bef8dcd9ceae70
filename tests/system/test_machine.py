"""What a process keeps of the machine."""

import platform
import subprocess
import sys

import pytest


def faults_of_a_step(before: str) -> int:
    """Pages that a process got from the system for one more step of 40 MB, freed like those before."""
    program = f"""
import resource, torch
from lstmlm.system.machine import keep_memory
{before}
def faults():
    torch.zeros(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
first = [faults() for _ in range(20)][-1]  # it takes some to find their places
print(faults() - first)
"""
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_a_step_frees_is_there_for_the_next():
    assert faults_of_a_step("keep_memory()") < 100 < 1000 < faults_of_a_step("")
