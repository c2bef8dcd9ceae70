"""A row of the catalogue: what is typed where a fault waits, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass

from catalogue.damage import copied, file
from catalogue.scene import IN_RUN, SMALL, Fault, Scene

# What is typed


@dataclass(frozen=True)
class Injection:
    program: str  # the attribute of Scene that is called
    words: tuple[str, ...]
    given: tuple[Fault, ...]


def typed(*words: str, given: tuple[Fault, ...] = ()) -> Injection:
    """`python train.py WORDS`."""
    return Injection("train", words, given)


def asked(*words: str, given: tuple[Fault, ...] = ()) -> Injection:
    """`python -m lstmlm WORDS`, where a finished run is in run/."""
    return Injection("command", words, (copied("whole"), *given))


def running(*faults: Fault) -> Injection:
    """A run that meets the faults."""
    return Injection("run", (), faults)


def resuming(*faults: Fault) -> Injection:
    """A run that was stopped at step 3, and saved at 2 before, meets the faults and is resumed."""
    return Injection("run", ("run",), (copied("stopped"), *faults))


def reading(content: bytes, *words: str) -> Injection:
    """A run on a text of one's own."""
    text = ("data=file", "data.path=my.txt", "data.split=[0.9,0.05,0.05]")
    return typed(*SMALL, *text, *words, IN_RUN, given=(file("my.txt", content),))


# What must come of it


@dataclass(frozen=True)
class Expectation:
    code: int
    err: str  # all of it
    out: str = ""  # somewhere in it
    untouched: bool = False  # no file is made or changed
    recovers: bool = False  # the same command with resume=auto leaves what a run leaves that met no fault
    curves: bool = True  # the curves too
    check: Callable[[Scene], bool] = lambda scene: True  # is the rest as it should be?


def refused(says: str) -> Expectation:
    """A user's mistake: one line, and no file is touched."""
    return Expectation(2, rf"error: {says}.*\n", untouched=True)


def ends(code: int, says: str, recovers: bool = True, **more) -> Expectation:
    """One line; when the fault is over, the run goes on and nothing was lost."""
    return Expectation(code, rf"{says}.*\n", recovers=recovers, **more)


def goes_on(out: str = "", recovers: bool = True, **more) -> Expectation:
    """The run ends as if there had been no fault."""
    return Expectation(0, "", out, recovers=recovers, **more)


# The row


@dataclass(frozen=True)
class Row:
    """A fault, and what holds it: cases, which test_faults.py runs; tests elsewhere; or a reason.

    `tests` are file::test, `files` are those of helpers/hostile.py, which checkpoints/test_validation.py opens;
    `because` says why this program cannot meet the fault.
    """

    id: str
    what: str
    cases: tuple[tuple[Injection, Expectation], ...] = ()
    tests: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    because: str = ""


def row(id: str, what: str, *cases: tuple[Injection | list[Injection], Expectation], **held) -> Row:
    """A case may have several injections with one expectation."""
    pairs = [(one, after) for many, after in cases for one in (many if isinstance(many, list) else [many])]
    return Row(id, what, tuple(pairs), **held)
