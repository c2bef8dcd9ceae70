"""A conversation with a model: each line is a turn, and the state is kept between them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lstmlm.generation.sampling import softmax, sort_descending
from lstmlm.generation.writer import Writer, choose_first_character, write_pieces
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.text.vocab import Vocab

TOP = 10  # characters that /top shows

HELP = """\
TEXT        the text goes on with it, and then by itself; an empty line: by itself
/undo       take the last turn back, and its random numbers: the same line then gives the same text
/seed 7     other random numbers
/temp 0.5   another temperature; 0: always the most probable character
/top        the most probable next characters
/reset      begin again
/save FILE  write the whole text to a file
/help       this
/quit       the end; so is the end of input"""


class Conversation:
    """One text that grows turn by turn.

    `fresh` has read nothing yet; `length` and `stop` bound what it writes in a turn; `known` takes what the user typed
    and gives what the vocabulary has of it, or raises BadInput.
    """

    def __init__(
        self, fresh: Writer, vocab: Vocab, length: float, stop: tuple[str, ...], known: Callable[[str], str]
    ) -> None:
        self.fresh, self.vocab, self.length, self.stop, self.known = fresh, vocab, length, stop, known
        self.settings = fresh.settings
        self.reset()

    def turn(self, line: str) -> Iterator[tuple[str, float | None]]:
        """What a line brings: pieces of text, with the surprisal (nats) of those that the model wrote.

        BadInput, and nothing has changed, for a line that cannot be used.
        """
        if not line.startswith("/"):
            yield from self.tell(line)
            return
        name, _, argument = line.partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            raise BadInput(f"{name}: no such command: there are {', '.join(COMMANDS)}, /quit")
        yield command(self, argument.strip()), None

    def tell(self, prompt: str) -> Iterator[tuple[str, float | None]]:
        prompt = self.known(prompt)
        self.before.append((self.writer.copy(), self.text))
        self.writer.settings = self.settings
        if prompt or self.writer.logits is None:
            self.writer.read(self.vocab.encode(prompt or choose_first_character(self.vocab)))
        self.text += prompt
        yield prompt, None
        for (piece,), drawn in write_pieces(self.writer, self.vocab, self.length, self.stop):
            self.text += piece
            yield piece, drawn.surprisals()[0]

    def undo(self, _: str = "") -> str:
        if not self.before:
            raise BadInput("/undo: there is no turn to take back")
        self.writer, self.text = self.before.pop()
        return f"back at {escape_controls(repr(self.text[-40:]))}" if self.text else "back at the beginning"

    def temperature(self, given: str) -> str:
        self.settings = replace(self.settings, temperature=parse_number(float, "/temp", given)).check(lambda _: "/temp")
        return f"temperature {self.settings.temperature:g}"

    def seed(self, given: str) -> str:
        seed = parse_number(int, "/seed", given)
        if not 0 <= seed < 2**63:
            raise BadInput(f"/seed: must be 0 or more, got {seed}")
        self.writer.seeds, self.writer.count = [seed], 0
        return f"seed {seed}"

    def top(self, _: str = "") -> str:
        """At temperature 1 and before any filter: what the model itself believes."""
        writer = self.writer.copy()
        if writer.logits is None:
            writer.read(self.vocab.encode(choose_first_character(self.vocab)))
        probs = softmax(writer.allowed())
        best = sort_descending(probs)[0, :TOP]
        return "\n".join(f"{probs[0, id]:6.1%}  {escape_controls(repr(self.vocab.to_tokens(id)))}" for id in best)

    def reset(self, _: str = "") -> str:
        self.writer, self.text, self.before = self.fresh.copy(), "", []
        return "at the beginning"

    def save(self, file: str) -> str:
        if not file:
            raise BadInput("/save: needs the name of a file")
        try:
            Path(file).write_text(self.text, encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise BadInput(f"/save: {file}: {error.strerror}") from None
        return f"{len(self.text)} characters in {file}"

    def help(self, _: str = "") -> str:
        return HELP


COMMANDS = {
    "/undo": Conversation.undo,
    "/seed": Conversation.seed,
    "/temp": Conversation.temperature,
    "/top": Conversation.top,
    "/reset": Conversation.reset,
    "/save": Conversation.save,
    "/help": Conversation.help,
}


def parse_number(kind: type, what: str, given: str):
    try:
        return kind(given)
    except ValueError:
        raise BadInput(f"{what}: {given!a} is not a number") from None
