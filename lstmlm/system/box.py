"""A box around lines of text, for a terminal."""

import sys
from collections.abc import Sequence

from lstmlm.system.columns import count_columns, wrap

UNICODE, ASCII = "┌─┐│└┘", "+-+|++"


def draw_box(lines: Sequence[str], width: int) -> list[str]:
    """The lines, broken to fit, in a box of at most `width` columns, drawn with what stdout can encode."""
    left_top, line, right_top, side, left_bottom, right_bottom = list(UNICODE if can_encode(UNICODE) else ASCII)
    inside = [part for text in lines for part in wrap(text, width - 4)]
    room = max(map(count_columns, inside), default=0)
    body = [f"{side} {text}{' ' * (room - count_columns(text))} {side}" for text in inside]
    return [left_top + line * (room + 2) + right_top, *body, left_bottom + line * (room + 2) + right_bottom]


def can_encode(text: str) -> bool:
    """Can stdout write these characters?"""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
