"""The files that a text comes from, and by which names the user gave them."""

from dataclasses import dataclass
from pathlib import Path

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import find_shipped
from lstmlm.text.files import hash_files, list_files
from lstmlm.text.published import OWN_PARTS, find_text


@dataclass(frozen=True)
class Origin:
    """The files of a text, by the part that they are for: "train" alone, or every part that has files of its own."""

    name: str
    path: str
    files: dict[str, list[Path]]
    named_by: dict[str, str]  # for each part the setting or option by which the user named its files
    sha256: str  # of the bytes of all files, decompressed, one after the other
    num_bytes: int

    @property
    def all_files(self) -> list[Path]:
        return [file for files in self.files.values() for file in files]


def locate_text(name: str, path: str | None) -> Path:
    """The path of a corpus: `path` where one is given, else the embedded text or a text in the cache."""
    if name == "tide_clock":
        if path is not None:
            raise BadInput(f"data.path: has no effect with data=tide_clock: add data=file to train on {path!r}")
        return find_shipped("data") / "tide_clock.txt"
    if path is not None:
        return Path(path)
    if name == "file":
        raise BadInput("data.path: data=file needs a text: add data.path=my.txt")
    return find_text(name)


def find_origin(data: Data, what: str = "data.path") -> Origin:
    """The files that the settings name. `what` is the option that data.path was given by."""
    path = locate_text(data.name, data.path)
    own = {which: path.with_name(file) for which, file in OWN_PARTS.get(data.name, {}).items()}
    own |= {which: Path(part) for which, part in (("val", data.val_path), ("test", data.test_path)) if part is not None}
    named_by = {"train": what} | {which: f"data.{which}_path" for which in own}
    files = {which: list_files(part, named_by[which]) for which, part in ({"train": path} | own).items()}
    sha256, num_bytes = hash_files({named_by[which]: paths for which, paths in files.items()})
    return Origin(data.name, str(path.absolute()), files, named_by, sha256, num_bytes)
