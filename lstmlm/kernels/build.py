"""Building the C kernels with this machine's compiler, into a cache.

The name of a library has two hashes: of everything that the library depends on (source, headers, compiler, flags,
processor) and of the library itself. So a library is built once; a cache that is copied to another machine holds no
library that runs there by mistake; and a library that was truncated or damaged is built again instead of being loaded,
which can kill the process.

A library runs with the rights of the user, so it is loaded only if no other user can have written it: file and folder
belong to the user or to root, and nobody else may write to them.
"""

import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

log = logging.getLogger("lstmlm")

FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC"]  # never -ffast-math
NATIVE = "-march=native"


class NoCompiler(Exception):
    """A source cannot be built here; the message has the reason in a few words."""


def find_compiler() -> str:
    """The path of the compiler that CC names, or of cc, gcc or clang."""
    names = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for name in names:
        if path := shutil.which(name):
            return path
    raise NoCompiler(f"no C compiler ({', '.join(names)})")


def describe_processor() -> str:
    """The properties of the processor that decide which instructions a compiler may use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
    kept = {line for line in lines if line.partition(":")[0].strip() in names}
    return "\n".join([platform.machine(), platform.processor(), *sorted(kept)])


def run_command(*words: str) -> str:
    """The stdout of a command; NoCompiler, with the first line of its stderr, if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[0]
        raise NoCompiler(f"{Path(words[0]).name} failed: {said}")
    return done.stdout


def build_library(source: Path, folder: Path, target: str | None = NATIVE) -> Path:
    """The path of the library built from a C file, in `folder`. Raises NoCompiler if it cannot be built.

    `target` is the compiler's option for the instructions that it may use: by default all of this processor, if the
    compiler knows how; None for those that every processor of this architecture has. Two processes may build at the
    same time: each writes a file of its own and renames it when it is whole, and one compiler gives both the same bytes
    and so the same name.
    """
    try:
        compiler = find_compiler()
        flags = [*FLAGS, target] if target else FLAGS
        written = [file.read_text() for file in (source, *sorted(source.parent.glob("*.h")))]
        parts = (*written, run_command(compiler, "--version"), " ".join(flags), describe_processor())
        name = f"{source.stem}-{hash_briefly(chr(0).join(parts).encode())}"
        folder.mkdir(0o755, parents=True, exist_ok=True)
        check_folder(folder)
        for library in folder.glob(f"{name}-*.so"):
            if is_trusted(library) and library == name_by_content(name, library):
                return library
        log.info("building the kernel %s, once: some seconds ...", source.name)
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as here:
            made = Path(here) / "made.so"
            compile_with_or_without_native(compiler, flags, source, made)
            made.chmod(0o755)  # whatever the umask
            library = folder / name_by_content(name, made).name
            os.replace(made, library)
        return library
    except (OSError, subprocess.SubprocessError) as error:
        raise NoCompiler(str(error)) from None


def is_trusted(path: Path) -> bool:
    """Whether a file or folder belongs to the user or to root, and nobody else may write to it. True on Windows."""
    if not hasattr(os, "geteuid"):
        return True
    facts = path.stat()
    return facts.st_uid in (0, os.geteuid()) and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def check_folder(folder: Path) -> None:
    """NoCompiler if another user owns the folder. What others may write to, but the user owns, is closed to them."""
    if not is_trusted(folder) and folder.stat().st_uid == os.geteuid():
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
    if not is_trusted(folder):
        raise NoCompiler(f"other users can write to {folder}: set LSTMLM_CACHE to a folder of your own")


def hash_briefly(data: bytes) -> str:
    """The first 32 digits of a SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def name_by_content(name: str, library: Path) -> Path:
    """The path that a library should have: in its folder, the name and the hash of the file's bytes."""
    return library.with_name(f"{name}-{hash_briefly(library.read_bytes())}.so")


def compile_with_or_without_native(compiler: str, flags: list[str], source: Path, made: Path) -> None:
    """Compile `source` to `made`, without -march=native if the compiler refuses it."""
    try:
        run_command(compiler, *flags, str(source), "-o", str(made), "-lm")
    except NoCompiler:
        if NATIVE not in flags:
            raise
        run_command(compiler, *FLAGS, str(source), "-o", str(made), "-lm")
