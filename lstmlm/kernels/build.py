"""The C compiler of this machine, and a cache of what it made.

A library is kept under two hashes: of all that it depends on, which are source, headers, compiler, flags and processor,
and of itself. So nothing is built twice, a cache that is carried to another machine holds nothing that this one would
run by mistake, and a file that was cut short or otherwise damaged is not loaded (that can kill the process), but built
again.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC"]  # never -ffast-math
NATIVE = "-march=native"


class NoCompiler(Exception):
    """Why a source cannot be built here, in a few words."""


def find_compiler() -> str:
    """The path of CC, or of cc, gcc or clang."""
    names = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for name in names:
        if path := shutil.which(name):
            return path
    raise NoCompiler(f"no C compiler ({', '.join(names)})")


def describe_processor() -> str:
    """What the instructions that a compiler may use depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
    kept = {line for line in lines if line.partition(":")[0].strip() in names}
    return "\n".join([platform.machine(), platform.processor(), *sorted(kept)])


def run_command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[0]
        raise NoCompiler(f"{Path(words[0]).name} failed: {said}")
    return done.stdout


def build_library(source: Path, folder: Path, native: bool = True) -> Path:
    """The library made of a C file, in the folder, from now on; NoCompiler says why not.

    `native` lets the compiler use all instructions of this processor; if it does not know how, it builds without.
    Two processes may build at once: each writes a file of its own and then gives it its name, whole; from one compiler
    they get the same bytes, and so the same name.
    """
    try:
        compiler = find_compiler()
        flags = [*FLAGS, NATIVE] if native else FLAGS
        written = [file.read_text() for file in (source, *sorted(source.parent.glob("*.h")))]
        parts = (*written, run_command(compiler, "--version"), " ".join(flags), describe_processor())
        name = f"{source.stem}-{hash_briefly(chr(0).join(parts).encode())}"
        for library in folder.glob(f"{name}-*.so"):
            if library == name_by_content(name, library):
                return library
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as here:
            made = Path(here) / "made.so"
            compile_with_or_without_native(compiler, flags, source, made)
            library = folder / name_by_content(name, made).name
            os.replace(made, library)
        return library
    except (OSError, subprocess.SubprocessError) as error:
        raise NoCompiler(str(error)) from None


def hash_briefly(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def name_by_content(name: str, library: Path) -> Path:
    """What the library would be called beside where it is: the name, and the hash of what is in it."""
    return library.with_name(f"{name}-{hash_briefly(library.read_bytes())}.so")


def compile_with_or_without_native(compiler: str, flags: list[str], source: Path, made: Path) -> None:
    try:
        run_command(compiler, *flags, str(source), "-o", str(made), "-lm")
    except NoCompiler:
        if NATIVE not in flags:
            raise
        run_command(compiler, *FLAGS, str(source), "-o", str(made), "-lm")
