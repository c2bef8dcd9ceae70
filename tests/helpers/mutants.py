"""Small faults that are put into a module: a mutant is the module with one change of its syntax tree."""

import ast
import difflib
from collections.abc import Callable, Iterator
from typing import NamedTuple

COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.Gt: ast.GtE,
    ast.Eq: ast.NotEq,
    ast.Is: ast.IsNot,
    ast.In: ast.NotIn,
}
COMPARISONS |= {other: own for own, other in COMPARISONS.items()}
ARITHMETIC: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
ARITHMETIC |= {ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult}
WORDS = (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Raise)  # nothing is changed inside: messages, and names alone
BLOCKS = ("body", "orelse", "finalbody")
TYPES = ("annotation", "returns", "decorator_list")


class Change(NamedTuple):
    kind: str
    line: int
    function: int  # the first line of the function around it, 0 outside of any
    apply: Callable[[], None]  # to the tree that it was found in


def find_changes(tree: ast.Module) -> list[Change]:
    """All changes of a tree, in a fixed order."""
    return list(visit(tree, 0))


def mutate(source: str, index: int) -> str:
    """The source with one change. Its comments are lost."""
    tree = ast.parse(source)
    find_changes(tree)[index].apply()
    return ast.unparse(tree) + "\n"


def show(source: str, index: int) -> list[str]:
    """The lines that a change removes and adds, without their indentation."""
    plain = ast.unparse(ast.parse(source)) + "\n"
    lines = difflib.ndiff(plain.splitlines(), mutate(source, index).splitlines())
    return [line[:2] + line[2:].strip() for line in lines if line[0] in "+-"]


def visit(node: ast.AST, function: int) -> Iterator[Change]:
    """The changes of a node and of all below it."""
    if isinstance(node, WORDS):
        return
    if isinstance(node, ast.FunctionDef):
        function = min(each.lineno for each in (node, *node.decorator_list))
    for kind, apply in list_changes(node):
        yield Change(kind, getattr(node, "lineno", 0), function, apply)
    for block in (getattr(node, name, None) for name in BLOCKS):
        for place, statement in enumerate(block if isinstance(block, list) else []):
            if may_be_dropped(statement):
                yield Change("dropped statement", statement.lineno, function, set_item(block, place, ast.Pass()))
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and field not in TYPES:
                yield from visit(child, function)


def list_changes(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    """The changes of one node itself."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                yield "comparison", set_item(node.ops, place, COMPARISONS[type(operator)]())
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield "arithmetic", set_field(node, "op", ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield "boolean", set_field(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.Constant(value=bool()):
            yield "constant", set_field(node, "value", not node.value)
        case ast.Constant(value=int() | float()):
            yield "constant", set_field(node, "value", node.value + 1 if node.value in (0, 1) else node.value * 2)
        case ast.Call(args=[_, _, *_]):
            yield "swapped arguments", set_field(node, "args", [node.args[1], node.args[0], *node.args[2:]])
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield "negated condition", set_field(node, "test", ast.UnaryOp(ast.Not(), node.test))


def may_be_dropped(statement: ast.stmt) -> bool:
    """Whether the module can do without a statement: no name is missing then, and it is no docstring."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case _:
            return isinstance(statement, (ast.Expr, ast.AugAssign, ast.Break, ast.Continue))


def set_field(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)


def set_item(items: list, place: int, value: object) -> Callable[[], None]:
    return lambda: items.__setitem__(place, value)
