"""The prompt of a text: which it is where none is given, and how one that was typed is read."""

from collections.abc import Callable

from lstmlm.checkpoints.arrays import get_prompt
from lstmlm.checkpoints.record import Record
from lstmlm.commands.display import print_note
from lstmlm.evaluation.given_text import read_typed_text
from lstmlm.system.errors import BadInput
from lstmlm.text.oov import make_readable, name_characters, remove_unknown
from lstmlm.text.vocab import Vocab


def choose_prompt(record: Record, vocab: Vocab) -> str:
    """The prompt where none is given: that of the run's own samples, which a note tells."""
    if prompt := remove_unknown(vocab, get_prompt(record)):
        print_note(f'no prompt: reading on from "{prompt}", the beginning of the run\'s samples')
    return prompt


def suggest_quoting(text: str) -> str:
    """How to type a line end or a tab, for a text with a backslash and a letter in its place; empty for others."""
    meant = [code for code in ("\\n", "\\t", "\\r") if code in text]
    if not meant:
        return ""
    return f"{meant[0]} is a backslash and a letter: for the control character type $'{text}' in bash or zsh"


def make_prompt_check(record: Record, vocab: Vocab, oov: str) -> Callable[..., str]:
    """A function from a prompt, and the name of its source, to the text that the model reads; --oov says how."""

    def check_prompt(text: str, source: str = "prompt") -> str:
        text = read_typed_text(record, text)
        if (hint := suggest_quoting(text)) and source != "--prompt-file" and vocab.find_unknown("\\"):
            raise BadInput(f"{source}: {hint}")
        if oov != "error" and (unknown := vocab.find_unknown(text)):
            print_note(f"{'left out' if oov == 'skip' else 'read as <unk>'}: {name_characters(vocab, unknown)}")
        return make_readable(vocab, text, oov, source)

    return check_prompt
