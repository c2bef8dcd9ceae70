"""Tables of text for a terminal."""

from collections.abc import Collection, Sequence


def format_table(rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """The lines of a table, with columns as wide as their widest cells and two spaces between them.

    The first row is the head; a column whose other cells are all empty is left out. The columns with an index in
    `right` are aligned at the right.
    """
    head, *body = rows
    columns = [k for k in range(len(head)) if any(row[k] for row in body)]
    widths = {k: max(len(row[k]) for row in rows) for k in columns}
    sides = {k: ">" if k in right else "<" for k in columns}
    return ["  ".join(f"{row[k]:{sides[k]}{widths[k]}}" for k in columns).rstrip() for row in rows]
