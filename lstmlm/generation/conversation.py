"""A conversation with a model: each line is a turn, and the state is kept between turns."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lstmlm.generation.sampling import softmax, sort_descending
from lstmlm.generation.writer import Writer, choose_first_character, write_sample
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.system.paths import expand_path
from lstmlm.text.vocab import TextDecoder, Vocab

TOP = 10  # characters that /top shows

HELP = """\
TEXT        append it, then let the model continue; an empty line: let the model continue
/undo       take the last turn back, and its random numbers: the same line then gives the same text
/seed 7     other random numbers
/temp 0.5   another temperature; 0: always the most probable character
/top        the most probable next characters
/reset      start again from an empty text
/save FILE  write the whole text to a file
/help       show this
/quit       end; so does the end of input"""


class Conversation:
    """One text that grows turn by turn.

    `fresh` is a writer of one sample that has read nothing yet. `length` and `stop` limit the characters that the model
    writes in a turn. `check_prompt` takes what the user typed and returns the text to read, or raises BadInput.
    """

    def __init__(
        self, fresh: Writer, vocab: Vocab, length: float, stop: tuple[str, ...], check_prompt: Callable[[str], str]
    ) -> None:
        self.fresh, self.vocab, self.length, self.stop, self.check_prompt = fresh, vocab, length, stop, check_prompt
        self.settings = fresh.settings
        self.writer, self.text = fresh.copy(), ""
        self.decoder = vocab.make_decoder()  # one for all turns: a character of several bytes may begin in one of them
        self.before: list[tuple[Writer, str, TextDecoder]] = []  # each turn

    def take_turn(self, line: str) -> Iterator[tuple[str, float | None]]:
        """Yield the pieces of text that a line brings, with the surprisal (nats) of those that the model wrote.

        A line that cannot be used raises BadInput and changes nothing.
        """
        if not line.startswith("/"):
            yield from self.continue_text(line)
            return
        name, _, argument = line.partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            raise BadInput(f"{name}: no such command: there are {', '.join(COMMANDS)}, /quit")
        yield command(self, argument.strip()), None

    def continue_text(self, prompt: str) -> Iterator[tuple[str, float | None]]:
        """Append the prompt and let the model continue; yields as `take_turn`."""
        prompt = self.check_prompt(prompt)
        self.before.append((self.writer.copy(), self.text, self.decoder.copy()))
        self.writer.settings = self.settings
        if prompt or self.writer.logits is None:
            self.writer.read(self.vocab.encode(prompt or choose_first_character(self.vocab)))
        if prompt:
            prompt = self.decoder.finish() + prompt
        self.text += prompt
        yield prompt, None
        for piece, drawn in write_sample(self.writer, self.vocab, self.length, self.stop, self.decoder):
            self.text += piece
            yield piece, drawn.surprisals.item()

    # The commands: each takes its argument and returns the line to show

    def undo(self, _: str = "") -> str:
        if not self.before:
            raise BadInput("/undo: there is no turn to take back")
        self.writer, self.text, self.decoder = self.before.pop()
        return f"back at {escape_controls(repr(self.text[-40:]))}" if self.text else "back at the beginning"

    def set_temperature(self, given: str) -> str:
        self.settings = replace(self.settings, temperature=parse_number(float, "/temp", given)).check(lambda _: "/temp")
        return f"temperature {self.settings.temperature:g}"

    def set_seed(self, given: str) -> str:
        seed = int(parse_number(int, "/seed", given))
        if not 0 <= seed < 2**63:
            raise BadInput(f"/seed: must be 0 or more, got {seed}")
        self.writer.seeds, self.writer.count = [seed], 0
        return f"seed {seed}"

    def show_top(self, _: str = "") -> str:
        """At temperature 1 and before any filter: the model's own probabilities."""
        writer = self.writer.copy()
        if writer.logits is None:
            writer.read(self.vocab.encode(choose_first_character(self.vocab)))
        probs = softmax(writer.mask_unk())
        best = sort_descending(probs)[0, :TOP].tolist()
        return "\n".join(f"{probs[0, id]:6.1%}  {escape_controls(repr(self.vocab.decode([id])))}" for id in best)

    def reset(self, _: str = "") -> str:
        self.writer, self.text, self.before, self.decoder = self.fresh.copy(), "", [], self.vocab.make_decoder()
        return "at the beginning"

    def save(self, file: str) -> str:
        if not file:
            raise BadInput("/save: needs the name of a file")
        text = self.text + self.decoder.copy().finish()
        try:
            Path(expand_path(file, "/save")).write_bytes(self.vocab.to_file(text))
        except OSError as error:
            raise BadInput(f"/save: {file}: {error.strerror}") from None
        return f"{len(text)} characters in {file}"

    def show_help(self, _: str = "") -> str:
        return HELP


COMMANDS: dict[str, Callable[[Conversation, str], str]] = {
    "/undo": Conversation.undo,
    "/seed": Conversation.set_seed,
    "/temp": Conversation.set_temperature,
    "/top": Conversation.show_top,
    "/reset": Conversation.reset,
    "/save": Conversation.save,
    "/help": Conversation.show_help,
}


def parse_number(kind: type[int] | type[float], command: str, given: str) -> float:
    """The number that was given to a command, or BadInput."""
    try:
        return kind(given)
    except ValueError:
        raise BadInput(f"{command}: {given!a} is not a number") from None
