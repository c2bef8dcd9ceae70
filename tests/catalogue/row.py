"""A row of the catalogue."""

from dataclasses import dataclass

from injections import Expectation, Injection


@dataclass(frozen=True)
class Row:
    """A fault, and what holds it: cases, which test_faults.py runs; tests elsewhere; or a reason.

    `tests` are file::test, `files` are those of hostile.py, which a test in test_gate.py opens; `because` says why
    this program cannot meet the fault.
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
