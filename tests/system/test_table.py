"""Tables line up, and have no columns that say nothing."""

from lstmlm.system.table import format_table

HEAD = ["name", "nats", "", "note"]


def test_columns_are_as_wide_as_their_widest_cells():
    rows = [HEAD, ["a", "1.25", "x", "first"], ["longer", "10.5", "", ""]]
    assert format_table(rows, right=[1]) == ["name    nats     note", "a       1.25  x  first", "longer  10.5"]


def test_a_column_without_contents_is_left_out_with_its_head():
    assert format_table([HEAD, ["a", "", "", "b"]], right=[1]) == ["name  note", "a     b"]
