"""The files that a text comes from, and by which names the user gave them."""

from dataclasses import dataclass
from pathlib import Path

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path, find_shipped
from lstmlm.text.decoding import find_encoding
from lstmlm.text.files import find_copies, hash_files, list_files
from lstmlm.text.folder import SHOWN, Listing, shorten_names
from lstmlm.text.published import OWN_PARTS, find_text
from lstmlm.text.remedy import refuse_other_kinds


@dataclass(frozen=True)
class Origin:
    """The files of a text, by the part that they are for: "train" alone, or every part that has files of its own."""

    name: str
    path: str
    files: dict[str, list[Path]]
    named_by: dict[str, str]  # for each part the setting or option by which the user named its files
    sha256: str  # of the bytes of all files, decompressed, one after the other
    sizes: dict[str, list[int]]  # bytes of each file, for each part
    notes: tuple[str, ...] = ()  # on the files, for the log

    @property
    def num_bytes(self) -> int:
        return sum(sum(sizes) for sizes in self.sizes.values())

    @property
    def all_files(self) -> list[Path]:
        return [file for files in self.files.values() for file in files]


def locate_text(name: str, path: str | None, what: str) -> Path:
    """The path of a corpus: `path` where one is given, else the embedded text or a text in the cache."""
    if name == "tide_clock":
        if path is not None:
            raise BadInput(f"data.path: has no effect with data=tide_clock: add data=file to train on {path!r}")
        return find_shipped("data") / "tide_clock.txt"
    if path is not None:
        return Path(expand_path(path, what))
    if name == "file":
        raise BadInput("data.path: data=file needs a text: add data.path=my.txt")
    return find_text(name)


def find_origin(data: Data, what: str = "data.path") -> Origin:
    """The files that the settings name. `what` is the option that data.path was given by."""
    path = locate_text(data.name, data.path, what)
    own = {which: path.with_name(file) for which, file in OWN_PARTS.get(data.name, {}).items()}
    for which, part in (("val", data.val_path), ("test", data.test_path)):
        if part is not None:
            own[which] = Path(expand_path(part, f"data.{which}_path"))
    named_by = {"train": what} | {which: f"data.{which}_path" for which in own}
    given = {"train": path} | own
    listings = {which: list_files(part, named_by[which], data.join) for which, part in given.items()}
    if data.vocab == "char" and data.join == "lines":
        for which, listing in listings.items():
            refuse_other_kinds(listing, given[which], named_by[which], find_encoding(data.encoding))
    files = {which: listing.files for which, listing in listings.items()}
    sha256, lengths = hash_files({named_by[which]: paths for which, paths in files.items()})
    sizes = {which: lengths[named_by[which]] for which in files}
    notes = []
    for which, listing in listings.items():
        notes += [*format_names(listing, named_by[which]), *listing.format_left_out()]
        copies = find_copies(files[which], sizes[which], named_by[which])
        notes += [f"warning: {copy.name} is a copy of {first.name}" for first, copy in copies[:SHOWN]]
        notes += [f"warning: {len(copies) - SHOWN:,} more files are copies"] if len(copies) > SHOWN else []
    return Origin(data.name, str(path.absolute()), files, named_by, sha256, sizes, tuple(notes))


def format_names(listing: Listing, what: str) -> list[str]:
    """A note that names the files, where there are several."""
    count = len(listing.files)
    return [f"{what}: {count:,} files, one after the other: {shorten_names(listing.files)}"] if count > 1 else []
