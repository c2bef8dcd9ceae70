"""Texts that are not part of the program: where each comes from, and its size and hash."""

from pathlib import Path

from lstmlm.system.errors import BadInput
from lstmlm.system.paths import find_cache
from lstmlm.text.download import RemoteText, fetch

# Downloaded at the first use. d2l publishes the SHA-1 of the first; this SHA-256 is of the same bytes
FETCHED = {
    text.name: text
    for text in (
        RemoteText(
            name="time_machine",
            file="time_machine.txt",
            url="https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
            size=178_979,
            sha256="8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
        ),
        RemoteText(
            name="tiny_shakespeare",
            file="tiny_shakespeare.txt",
            url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            size=1_115_394,
            sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
        RemoteText(
            name="names",
            file="names.txt",
            url="https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
            size=228_145,
            sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        ),
    )
}

# Licensed, or in an archive: the user places them. (file, its size in bytes where it is known, source)
BY_HAND = {
    "ptb_char": ("ptb.char.train.txt", None, "the folder data of Mikolov's simple-examples.tgz"),
    "text8": ("text8", 100_000_000, "http://mattmahoney.net/dc/text8.zip, unzipped"),
    "enwik8": ("enwik8", 100_000_000, "http://mattmahoney.net/dc/enwik8.zip, unzipped"),
}

# The files of the other parts, in the folder of the file of the training part
OWN_PARTS = {"ptb_char": {"val": "ptb.char.valid.txt", "test": "ptb.char.test.txt"}}


def find_text(name: str) -> Path:
    """The file of a text in FETCHED or BY_HAND. BadInput for another name."""
    if name in FETCHED:
        return fetch(FETCHED[name])
    if name in BY_HAND:
        return find_placed_text(name)
    raise BadInput(f"data.name: no such text: {name!a:.40}: choose one with data=NAME, or data=file data.path=FILE")


def is_at_hand(name: str) -> bool:
    """Whether a text can be read without a download."""
    return name not in FETCHED or (find_cache() / FETCHED[name].file).is_file()


def find_placed_text(name: str) -> Path:
    """The file of a text in BY_HAND. BadInput says where to get it and where to put it."""
    file, size, source = BY_HAND[name]
    path = find_cache() / file
    instead = f"get it from {source}, put it there, or give data.path=FILE"
    if not path.is_file():
        raise BadInput(f"data={name}: no text at {path}: {instead}")
    if size is not None and size != path.stat().st_size:
        raise BadInput(f"data={name}: {path} has {path.stat().st_size:,} bytes, not {size:,}: {instead}")
    return path
