"""The page of a trained model, as a file: what it is called, begins with and stores where nothing else is asked for."""

from pathlib import Path

from lstmlm.checkpoints.arrays import get_prompt
from lstmlm.checkpoints.record import Record
from lstmlm.inspection.page import choose_weights, make_page
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import BadInput
from lstmlm.text.oov import check_text, remove_unknown
from lstmlm.text.vocab import Vocab


def write_page(
    model: RNNModel,
    vocab: Vocab,
    record: Record,
    path: Path,
    weights: str | None = None,
    title: str | None = None,
    prompt: str | None = None,
    what: str = "prompt",
) -> str:
    """Write one HTML file that runs the model in a browser, and return the form of its weights.

    None stands for: float32, or bf16 for a large model; the name of the run's text; what the run's samples begin with.
    BadInput for a form that there is not, a prompt that the model cannot read, and a model of documents; `what` names
    the prompt.
    """
    if vocab.boundary is not None:
        raise BadInput("page: the model writes documents, and a page writes one text without end: use lstmlm generate")
    weights = weights or choose_weights(model)
    prompt = remove_unknown(vocab, get_prompt(record)) if prompt is None else check_text(vocab, prompt, what)
    title = name_text(record) if title is None else title
    write_durably(path, make_page(model, vocab, title, weights, prompt).encode())
    return weights


def name_text(record: Record) -> str:
    """The name of the text that the model was trained on, in words: of a file of one's own the file's name."""
    data = record["data"]
    return str(Path(data["path"]).stem if data["name"] == "file" else data["name"]).replace("_", " ")
