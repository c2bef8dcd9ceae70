"""The kernel in C and its cache: whatever is in the way of it, a layer gives the same, and says why it is slower."""

import functools
import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch
from helpers.command_line import ROOT

from lstmlm.inspection.equality import measure_difference
from lstmlm.kernels import build
from lstmlm.kernels.build import NoCompiler, build_library, find_compiler, hash_briefly
from lstmlm.layers import fused_native
from lstmlm.layers.fused import FusedLSTM

WITHOUT = "backend=fused runs in PyTorch, without its kernel in C: "


@pytest.fixture
def compiler():
    try:
        return find_compiler()
    except NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture
def asked_anew(monkeypatch, caplog):
    """As in a new process: no library was looked for, and nothing was said."""
    monkeypatch.setattr(fused_native, "find_kernel", functools.cache(fused_native.find_kernel.__wrapped__))
    monkeypatch.setattr(fused_native, "log_reason", functools.cache(fused_native.log_reason.__wrapped__))
    caplog.set_level(logging.INFO, "lstmlm")


def layer_of(dtype=torch.float32):
    """Values and a gradient of a layer, the same each time."""
    generator = torch.Generator().manual_seed(0)
    layer = FusedLSTM(7, 20).to(dtype)
    for param in layer.parameters():
        param.data = 0.3 * torch.randn(param.shape, generator=generator).to(dtype)
    zeros = torch.zeros(3, 20, dtype=dtype)
    Y, _ = layer(torch.arange(15).view(5, 3) % 7, (zeros, zeros))
    Y.square().sum().backward()
    return Y.detach(), layer.W_h.grad


@pytest.fixture
def in_pytorch(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fused_native, "can_run", lambda W: False)
        return layer_of()


@pytest.fixture
def source(compiler, tmp_path):
    """What is built at once."""
    path = tmp_path / "small.c"
    path.write_text("int answer(void) { return 42; }")
    return path


def test_two_processes_that_build_at_once_leave_one_library_and_both_work(source, tmp_path):
    words = f"""
import ctypes, pathlib, sys
from lstmlm.kernels.build import build_library
print("ready", flush=True)
sys.stdin.readline()
print(ctypes.CDLL(build_library(pathlib.Path({str(source)!r}), pathlib.Path({str(tmp_path / "cache")!r}))).answer())
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen([sys.executable, "-c", words], env=environment, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[0] for process in both] == ["42\n"] * 2
    assert list((tmp_path / "cache").iterdir()) == [build_library(source, tmp_path / "cache")]


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit"])
def test_a_damaged_library_is_built_again_and_never_loaded(source, tmp_path, damage):
    made = build_library(source, tmp_path / "cache")
    good = made.read_bytes()
    flipped = good[:99] + bytes([good[99] ^ 1]) + good[100:]
    made.write_bytes({"cut": good[: len(good) // 2], "empty": b"", "one bit": flipped}[damage])
    assert build_library(source, tmp_path / "cache") == made and made.read_bytes() == good
    assert list((tmp_path / "cache").iterdir()) == [made]


def test_where_the_cache_cannot_be_written_one_line_says_so_and_pytorch_computes(
    compiler, asked_anew, in_pytorch, tmp_path, monkeypatch, caplog
):
    (tmp_path / "kernels").write_text("a file where the folder should be")
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path))
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(layer_of(), in_pytorch, strict=True))
    (record,) = caplog.records
    assert record.getMessage().startswith(WITHOUT) and "kernels" in record.getMessage()


def test_a_compiler_that_fails_is_named_in_one_line(asked_anew, in_pytorch, tmp_path, monkeypatch, caplog):
    (tmp_path / "mycc").write_text("#!/bin/sh\necho no such target >&2\nexit 1\n")
    (tmp_path / "mycc").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "mycc"))
    assert all(torch.equal(a, b) for a, b in zip(layer_of(), in_pytorch, strict=True))
    assert [record.getMessage() for record in caplog.records] == [WITHOUT + "mycc failed: no such target"]


def test_without_the_kernel_by_choice_nothing_is_logged(asked_anew, in_pytorch, monkeypatch, caplog):
    monkeypatch.setenv("LSTMLM_NATIVE", "0")
    assert all(torch.equal(a, b) for a, b in zip(layer_of(), in_pytorch, strict=True))
    layer_of(torch.float64)
    assert caplog.records == []


def test_another_dtype_is_computed_in_pytorch_with_one_line_in_the_log(asked_anew, caplog):
    for _ in range(2):
        layer_of(torch.float64)
    said = WITHOUT + "that is for float32 on a cpu, not for float64 on cpu"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_clang_gives_a_kernel_that_is_right(asked_anew, in_pytorch, tmp_path, monkeypatch, caplog):
    if shutil.which("clang") is None:
        pytest.skip("clang is not on this machine")
    monkeypatch.setenv("CC", "clang")
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path))
    for ours, theirs in zip(layer_of(), in_pytorch, strict=True):
        assert measure_difference(ours, theirs) < 1e-5
    assert caplog.records == [] and len(list((tmp_path / "kernels").iterdir())) == 1


def test_another_processor_compiler_or_source_has_a_library_of_its_own(source, tmp_path, monkeypatch):
    made = {build_library(source, tmp_path / "cache").name}
    with monkeypatch.context() as patch:
        patch.setattr(build, "describe_processor", lambda: "model name: another")
        made.add(build_library(source, tmp_path / "cache").name)
    with monkeypatch.context() as patch:
        patch.setattr(build, "FLAGS", [*build.FLAGS, "-DANOTHER"])
        made.add(build_library(source, tmp_path / "cache").name)
    (tmp_path / "some.h").write_text("/* a header */")
    made.add(build_library(source, tmp_path / "cache").name)
    assert len(made) == 4 == len(list((tmp_path / "cache").iterdir()))


# A library that another user can have written is not loaded

ANOTHER = 65534
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users of POSIX")


@pytest.fixture
def give_away(monkeypatch):
    """Give a file or folder to another user or, where only root could, become another user than its owner."""

    def give(path):
        if os.geteuid() == 0:
            os.chown(path, ANOTHER, ANOTHER)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: ANOTHER)

    return give


def plant(source, cache, answer: int):
    """A library that another user made, under the name that this one has in the cache."""
    mine = build_library(source, cache)
    (source.parent / "other.c").write_text(f"int answer(void) {{ return {answer}; }}")
    other = build_library(source.parent / "other.c", source.parent / "theirs").read_bytes()
    key = mine.name.rpartition("-")[0]
    mine.unlink()
    planted = cache / f"{key}-{hash_briefly(other)}.so"
    planted.write_bytes(other)
    planted.chmod(0o755)
    return mine, planted


@posix
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_library_that_others_may_write_to_is_built_again(source, tmp_path, mode):
    mine, planted = plant(source, tmp_path / "cache", 666)
    assert build_library(source, tmp_path / "cache") == planted  # what is trusted is what the test is about
    planted.chmod(mode)
    assert build_library(source, tmp_path / "cache") == mine and mine.stat().st_mode & 0o777 == 0o755


@posix
def test_a_library_of_another_user_is_not_loaded(source, tmp_path, give_away):
    mine, planted = plant(source, tmp_path / "cache", 666)
    give_away(planted)
    if os.geteuid() == 0:
        assert build_library(source, tmp_path / "cache") == mine
    else:  # to whom the folder, too, belongs to another
        with pytest.raises(NoCompiler, match="set LSTMLM_CACHE to a folder of your own"):
            build_library(source, tmp_path / "cache")


@posix
def test_a_folder_of_another_user_is_not_used(source, tmp_path, give_away):
    build_library(source, tmp_path / "cache")
    give_away(tmp_path / "cache")
    with pytest.raises(NoCompiler, match=rf"^other users can write to {tmp_path / 'cache'}: set LSTMLM_CACHE to"):
        build_library(source, tmp_path / "cache")


@posix
def test_the_users_own_folder_is_closed_to_others_whatever_the_umask(source, tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "cache").mkdir()
        made = build_library(source, tmp_path / "cache")
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o022 == 0 and made.stat().st_mode & 0o022 == 0
    assert build_library(source, tmp_path / "cache") == made
