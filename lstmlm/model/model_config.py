"""What a model is made of: the arguments of RNNModel, which a checkpoint records and its validation reads. No torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.settings.config import Model
from lstmlm.settings.setting import Setting, facts_of
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import LABEL_MARKS

LARGEST_VOCAB = 1 << 21


@dataclass(frozen=True)
class ModelConfig:
    """The sizes, the cell and the dropout rates of a model; the backend is no part of it, for all compute the same.

    `cell` is one of WEIGHT_NAMES: the two forms of the GRU are two cells. Without `embedding_dim` inputs are one-hot.
    The rates of dropout are those of lstmlm/model/dropout.py. Bounds are those of the settings of the same names.
    `num_labels` symbols, from FIRST_LABEL on, are labels, each of which is with every character of its documents
    (labels.py).
    """

    vocab_size: int
    num_hiddens: int
    num_layers: int = 1
    embedding_dim: int | None = None
    cell: str = "lstm"
    dropout: float = 0.0
    locked_input: float = 0.0
    locked_between: float = 0.0
    locked_output: float = 0.0
    weight_drop: float = 0.0
    num_labels: int = 0

    @property
    def has_dropout(self) -> bool:
        """Is anything dropped in training?"""
        return any((self.dropout, self.locked_input, self.locked_between, self.locked_output, self.weight_drop))

    def check(self) -> "ModelConfig":
        """Itself, or BadInput that names the first value of a wrong type or out of its bounds."""
        if self.cell not in WEIGHT_NAMES:
            raise BadInput(f"cell: {ascii(self.cell)[:40]}: choose one of {', '.join(WEIGHT_NAMES)}")
        for name, facts in BOUNDS.items():
            value = getattr(self, name)
            numbers = (int,) if name in WHOLE else (int, float)
            if type(value) not in numbers and not (name == "embedding_dim" and value is None):
                raise BadInput(f"{name}: {ascii(value)[:40]} is not a number of the right type")
            facts.check(name, value)
        return self

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "ModelConfig":
        """The inverse of `to_record`, for a record from a file; BadInput says what is wrong with it.

        Files from before a setting of the model existed lack it.
        """
        names = {field.name for field in fields(cls)}
        added_later = {name for name, facts in BOUNDS.items() if facts.before == 0.0}
        if not names - added_later <= set(record) <= names:
            raise BadInput("the model's arguments are incomplete, or unknown to this version")
        return cls(**record).check()

    def to_record(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return asdict(self)


OF_TEXT = ("vocab_size", "num_labels")  # what follows from the text, and is no setting
WHOLE = {*OF_TEXT, "num_hiddens", "num_layers", "embedding_dim"}
NUMBERS = {field.name for field in fields(ModelConfig)} - {"cell"}
BOUNDS = {
    "vocab_size": Setting("characters in the vocabulary", at_least=2, at_most=LARGEST_VOCAB),
    "num_labels": Setting("labels of documents", at_least=0, at_most=len(LABEL_MARKS), before=0),
}
BOUNDS |= {field.name: facts_of(field) for field in fields(Model) if field.name in NUMBERS}
