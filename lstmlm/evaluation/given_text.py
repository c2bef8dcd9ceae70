"""Texts that a user gives to a trained model, read as the run read its own. No torch."""

from lstmlm.checkpoints.record import Record
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import Data
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.text.decoding import Decoder, unify_text
from lstmlm.text.kinds import HEAD, name_kind
from lstmlm.text.vocab import Text


def get_data_settings(record: Record) -> Data:
    """The settings by which the run of a checkpoint read its own text."""
    return config_from_flat(flatten(record["config"])).data


def read_given_bytes(record: Record, data: bytes, name: str, what: str) -> Text:
    """The bytes of a text, decoded as the run's own text; `name` and `what` are for messages (Decoder)."""
    settings = get_data_settings(record)
    if settings.vocab == "byte":
        return data
    if known := name_kind(data[:HEAD]):
        raise BadInput(f"{what}: {name} is {known[0]}: {known[1]}")
    return "".join(Decoder(settings.encoding, settings.normalize).decode([data], name, what))


def read_typed_text(record: Record, text: str) -> str:
    """A text from a command line or a program, with the line ends and the NFC of the run's own text."""
    settings = get_data_settings(record)
    return text if settings.vocab == "byte" else unify_text(text, settings.normalize)
