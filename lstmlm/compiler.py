"""The C compiler of this machine, and a cache of what it made.

A library is kept under a hash of all that it depends on: source, compiler, flags, processor. So nothing is built twice,
and a cache that is carried to another machine holds nothing that this one would run by mistake.
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


def processor() -> str:
    """What the instructions that a compiler may use depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
    kept = {line for line in lines if line.partition(":")[0].strip() in names}
    return "\n".join([platform.machine(), platform.processor(), *sorted(kept)])


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[0]
        raise NoCompiler(f"{Path(words[0]).name} failed: {said}")
    return done.stdout


def build(source: Path, folder: Path, native: bool = True) -> Path:
    """The library made of a C file, in the folder, from now on; NoCompiler says why not.

    `native` lets the compiler use all instructions of this processor; if it does not know how, it builds without.
    Two processes may build at once: each writes a file of its own and then gives it its name, whole.
    """
    try:
        compiler = find_compiler()
        flags = [*FLAGS, NATIVE] if native else FLAGS
        parts = (source.read_text(), run(compiler, "--version"), " ".join(flags), processor())
        library = folder / f"{source.stem}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.so"
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as here:
                made = Path(here) / library.name
                compile_with_or_without_native(compiler, flags, source, made)
                os.replace(made, library)
        return library
    except (OSError, subprocess.SubprocessError) as error:
        raise NoCompiler(str(error)) from None


def compile_with_or_without_native(compiler: str, flags: list[str], source: Path, made: Path) -> None:
    try:
        run(compiler, *flags, str(source), "-o", str(made), "-lm")
    except NoCompiler:
        if NATIVE not in flags:
            raise
        run(compiler, *FLAGS, str(source), "-o", str(made), "-lm")
