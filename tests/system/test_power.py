"""The power fails at any moment of a save: on every disk that may then be left, a good checkpoint is found."""

import os
from pathlib import Path

import pytest

from lstmlm.checkpoints import checkpoint
from lstmlm.runs.resume import load_newest_good
from lstmlm.system import durable
from lstmlm.system.errors import BadInput


class Disk:
    """Records what the commit protocol asks of the disk, and lays out what may be there after a power cut.

    Data that was not fsynced may be empty, half or zeros; renames reach the disk in order, those after the last fsync
    of the directory perhaps not. (A file system that orders less than that is not one to keep runs on.)
    """

    def __init__(self, monkeypatch) -> None:
        self.asked: list[tuple] = []
        handles: dict[int, str] = {}
        replace, fsync = os.replace, os.fsync

        def opened(path, mode="r", **options):
            file = open(path, mode, **options)  # noqa: SIM115
            if "w" in mode:
                handles[file.fileno()] = Path(path).name
            return file

        def fsynced(handle):
            fsync(handle)
            name = handles.pop(handle, None)
            self.asked.append(("fsync", name) if name else ("fsync directory",))

        def replaced(source, target):
            name = Path(source).name
            if name.endswith(".tmp"):
                self.asked.append(("written", name, Path(source).read_bytes()))
            replace(source, target)
            self.asked.append(("rename", name, Path(target).name))

        monkeypatch.setattr(durable, "open", opened, raising=False)
        monkeypatch.setattr(durable.os, "fsync", fsynced)
        monkeypatch.setattr(durable.os, "replace", replaced)

    def after_cuts(self):
        """Yield (how many requests were made, files by name) for each state that a power cut may leave."""
        for cut in range(len(self.asked) + 1):
            made = self.asked[:cut]
            contents = {name: data for kind, name, data in (r for r in self.asked if r[0] == "written")}
            safe = {request[1] for request in made if request[0] == "fsync"}
            last_sync = max((k for k, request in enumerate(made) if request[0] == "fsync directory"), default=-1)
            renames = [k for k, request in enumerate(made) if request[0] == "rename"]
            certain = [k for k in renames if k < last_sync]
            for reached in range(len(certain), len(renames) + 1):
                for spoil in (lambda data: b"", lambda data: data[: len(data) // 2], lambda data: bytes(len(data))):
                    files: dict[str, bytes] = {}
                    for k in renames[:reached]:
                        _, source, target = self.asked[k]
                        if source in contents:
                            files[target] = contents[source] if source in safe else spoil(contents[source])
                        elif source in files:
                            files[target] = files.pop(source)
                    yield cut, files


@pytest.mark.parametrize("careless", [False, True], ids=["as it is", "without fsync"])
def test_a_power_cut_leaves_a_good_checkpoint_at_least_as_new_as_the_last_acknowledged(
    run_directory, tmp_path, monkeypatch, careless
):
    loaded = checkpoint.load_checkpoint(run_directory / "last.safetensors")
    disk, acknowledged = Disk(monkeypatch), {}
    run = tmp_path / "run"
    run.mkdir()
    for step in (1, 2, 3):
        checkpoint.save_last_checkpoint(run, loaded.tensors, loaded.record | {"step": step})
        assert disk.asked[-1] == ("fsync directory",)  # or a power cut may undo the renames
        acknowledged[len(disk.asked)] = step
    if careless:  # the test must notice a protocol that forgets
        disk.asked = [request for request in disk.asked if request[0] != "fsync"]
        acknowledged = {}
    lost = states = 0
    for k, (cut, files) in enumerate(disk.after_cuts()):
        states += 1
        place = tmp_path / f"state{k}"
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
        promised = max((step for when, step in acknowledged.items() if when <= cut), default=0)
        if files and (promised or careless):
            try:
                lost += load_newest_good(place).record["step"] < promised
            except BadInput:
                lost += 1
    assert states > 20
    assert (lost > 0) is careless
