"""The mutants of `python -m tests.mutation`: each is one change, and the source without it is not touched."""

import ast

from helpers.mutants import find_changes, mutate, show

SOURCE = '''
def clip(x: int = 1, *, low=0.5):
    """Words, 3."""
    if x < low and f(x, low) != 3:
        del x.y[0]
        x.y[0] = x + 2
        raise ValueError("no", x + 1)
    g(f"{x + 1}")
    return True
'''


def test_each_mutant_changes_one_place_and_compiles():
    plain = ast.unparse(ast.parse(SOURCE))
    changes = find_changes(ast.parse(SOURCE))
    mutants = {mutate(SOURCE, index) for index in range(len(changes))}
    assert len(mutants) == len(changes) and plain + "\n" not in mutants
    for index, mutant in enumerate(sorted(mutants)):
        compile(mutant, str(index), "exec")
    assert {(change.kind, change.line) for change in changes} == {
        ("constant", 2),
        ("negated condition", 4),
        ("boolean", 4),
        ("comparison", 4),
        ("swapped arguments", 4),
        ("constant", 4),
        ("constant", 5),
        ("dropped statement", 6),
        ("constant", 6),
        ("arithmetic", 6),
        ("dropped statement", 8),
        ("constant", 9),
    }
    assert {change.function for change in changes} == {2}
    assert ["- if x < low and f(x, low) != 3:", "+ if x <= low and f(x, low) != 3:"] in [
        show(SOURCE, index) for index in range(len(changes))
    ]
