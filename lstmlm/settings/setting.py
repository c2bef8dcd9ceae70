"""What is known of a setting, kept as metadata of its dataclass field: one home for each fact."""

import math
from dataclasses import Field, dataclass, field
from typing import Any

from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path

ALWAYS = object()  # in place of `before`: the setting is as old as the checkpoint format


@dataclass(frozen=True)
class Setting:
    """The facts of one setting, besides its name and type.

    `help` is the text of `train --help` and the comment in conf/config.yaml. A value must be one of `choices`, or a
    finite number from `at_least` to `at_most`, or above `above`; `words` are accepted in place of a number. `is_path`:
    it names a file or a folder. `before` is the value that stands for the setting in files written before it existed,
    `former_name` its name in such files. `may_change` on resume: it alters where or how long the run computes, not
    what. A setting that does not matter (`matters`) leaves the weights as they are: runs that differ in it are the same
    experiment.
    """

    help: str
    choices: tuple[str, ...] = ()
    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    words: tuple[str, ...] = ()
    is_path: bool = False
    before: Any = ALWAYS
    former_name: str | None = None
    may_change: bool = False
    matters: bool = True

    @property
    def is_bounded(self) -> bool:
        return self.at_least != -math.inf or self.above != -math.inf

    def check(self, name: str, value: Any) -> None:
        """BadInput that names the setting, as `name`, if the value is none that it takes; None passes where it may."""
        if self.is_path and value is not None:
            expand_path(value, name)
        if self.choices and value is not None and value not in self.choices:
            raise BadInput(f"{name}: no such option {value!r}: choose one of {', '.join(self.choices)}")
        if isinstance(value, str) and self.words and value not in self.words:
            numbers = f"a number from {self.at_least} to {self.at_most}"
            raise BadInput(f"{name}: no such option {value!r}: choose {', '.join(self.words)} or {numbers}")
        if self.is_bounded and value is not None and value not in self.words and not self._admits(value):
            raise BadInput(f"{name}: must be finite and {self._describe_bounds()}, got {shorten(value)}")

    def _admits(self, value: float) -> bool:
        try:
            return math.isfinite(value) and value > self.above and self.at_least <= value <= self.at_most
        except OverflowError:  # an int that no float holds
            return False

    def _describe_bounds(self) -> str:
        if self.above != -math.inf:
            return f"more than {self.above}"
        return f"{self.at_least} or more" if self.at_most == math.inf else f"{self.at_least} to {self.at_most}"


def shorten(value: Any, width: int = 40) -> str:
    """The value as text, cut to a width; of an integer that Python would not write, how long it is."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of {value.bit_length():,} bits"
    text = str(value)
    return text if len(text) <= width else text[:width] + "..."


def setting(help: str, **facts: Any) -> Any:
    """A dataclass field with these facts, and without a default: the values are in conf/."""
    return field(metadata={"setting": Setting(help, **facts)})


def group() -> Any:
    """A dataclass field that holds a group of settings."""
    return field()


def facts_of(declared: "Field[Any]") -> Setting:
    """The facts of a field that `setting` declared."""
    facts: Setting = declared.metadata["setting"]
    return facts
