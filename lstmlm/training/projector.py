"""Files for TensorBoard's PROJECTOR: the characters, each a point, by its column of the output layer's weights.

V = vocab_size, H = num_hiddens.
"""

import unicodedata
from pathlib import Path

from torch import Tensor

from lstmlm.system.durable import name_refusals
from lstmlm.system.escape import escape_controls
from lstmlm.text.vocab import Vocab

MOST = 2000  # characters; the most frequent come first in a vocabulary
NAMES = {" ": "space", "\n": "line end", "\t": "tab"}
CONFIG = """embeddings {
  tensor_name: "characters"
  tensor_path: "projector_points.tsv"
  metadata_path: "projector_labels.tsv"
}
"""


def write_projector(directory: Path, W_hq: Tensor, vocab: Vocab) -> None:
    """Write the points, from W_hq (H, V), their labels and classes, and the file that names both."""
    columns = W_hq.detach().float().cpu().T[:MOST].tolist()
    points = "\n".join("\t".join(f"{number:.4g}" for number in column) for column in columns)
    labels = [f"{name_character(token)}\t{classify(token)}" for token in vocab.idx_to_token[: len(columns)]]
    files = {"projector_points.tsv": points, "projector_labels.tsv": "\n".join(["character\tclass", *labels])}
    for name, text in (files | {"projector_config.pbtxt": CONFIG}).items():
        with name_refusals(directory / name):
            (directory / name).write_text(text + "\n" * (name != "projector_config.pbtxt"), encoding="utf-8")


def name_character(token: str) -> str:
    """As it is shown: white space by name, control characters as escapes."""
    return NAMES.get(token) or escape_controls(token) if token.strip() or token in NAMES else ascii(token)[1:-1]


def classify(token: str) -> str:
    kind = unicodedata.category(token) if len(token) == 1 else ""
    if token in "aeiouAEIOU" and token:
        return "vowel"
    names = {"Ll": "small letter", "Lu": "capital letter", "Nd": "digit", "Zs": "white space", "Cc": "white space"}
    return names.get(kind) or {"L": "letter", "P": "punctuation"}.get(kind[:1], "other")
