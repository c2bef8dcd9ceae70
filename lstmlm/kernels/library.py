"""Kernels as loaded libraries, with the types of their C functions declared."""

import ctypes
import os
from collections.abc import Mapping, Sequence
from ctypes import c_void_p
from pathlib import Path
from typing import Any

from lstmlm.kernels.build import NoCompiler, build_library
from lstmlm.system.paths import PACKAGE, find_cache

# function: (type of its result, types of its arguments). Undeclared, ctypes would cut an address down to 32 bits
Functions = Mapping[str, tuple[Any, Sequence[Any]]]


def find_source(name: str) -> Path:
    """The C file of a kernel."""
    return PACKAGE / "kernels" / f"{name}.c"


def load_kernel(name: str, functions: Functions) -> ctypes.CDLL:
    """The kernel with its functions declared, built into the cache if it is not there.

    Raises NoCompiler, with the reason, if the kernel cannot be built or loaded.
    """
    try:
        return open_library(build_library(find_source(name), find_cache() / "kernels"), functions)
    except (OSError, AttributeError) as error:
        raise NoCompiler(str(error)) from None


def open_library(path: Path, functions: Functions) -> ctypes.CDLL:
    """The library of a file, with these functions declared. AttributeError names one that the library lacks."""
    library = ctypes.CDLL(os.fspath(path))
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def use_torch_threads(kernel: ctypes.CDLL) -> ctypes.CDLL:
    """Give the kernel, which has team.h, the threads of PyTorch's own OpenMP; without them it runs on one thread."""
    everything = ctypes.CDLL(None)
    team = ("GOMP_parallel", "omp_get_num_threads", "omp_get_thread_num")
    if all(hasattr(everything, name) for name in team):
        kernel.use_team.argtypes = [c_void_p] * 3
        kernel.use_team(*(ctypes.cast(getattr(everything, name), c_void_p) for name in team))
    return kernel
