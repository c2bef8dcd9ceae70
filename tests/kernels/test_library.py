"""The C functions of the kernels are declared as their sources define them."""

import ctypes
import re

import pytest

from lstmlm.generation import native_stepper
from lstmlm.kernels.build import NoCompiler, build_library
from lstmlm.kernels.library import find_source, load_kernel, open_library
from lstmlm.layers import fused_native

KERNELS = {fused_native.KERNEL: fused_native.FUNCTIONS, native_stepper.KERNEL: native_stepper.FUNCTIONS}
EXPORTED = re.compile(r"^(int|void) (\w+)\(([^)]*)\) *\{", re.MULTILINE)
TYPES = {"int": ctypes.c_int, "int64_t": ctypes.c_int64, "double": ctypes.c_double, "void": None}


def type_of(declaration: str) -> object:
    """The ctypes type of a C argument, such as `const float *X`."""
    return ctypes.c_void_p if "*" in declaration else TYPES[declaration.split()[-2]]


@pytest.mark.parametrize("name", KERNELS)
def test_every_function_of_a_kernel_is_declared_with_the_types_of_its_source(name):
    source = re.sub(r"/\*.*?\*/", "", find_source(name).read_text(), flags=re.DOTALL)
    defined = {
        function: (
            TYPES[result],
            [type_of(argument) for argument in arguments.split(",") if argument.strip() != "void"],
        )
        for result, function, arguments in EXPORTED.findall(source)
    }
    assert defined and {name: (result, list(types)) for name, (result, types) in KERNELS[name].items()} == defined


def test_a_function_that_a_library_lacks_is_a_reason_not_to_use_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path))
    try:
        open_library(build_library(find_source("lstm_step"), tmp_path), {})
    except NoCompiler as error:
        pytest.skip(str(error))
    with pytest.raises(NoCompiler, match="nothing_of_this_name"):
        load_kernel("lstm_step", {"nothing_of_this_name": (ctypes.c_int, [])})
