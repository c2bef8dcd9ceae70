"""Text for a terminal: characters that would control the terminal are replaced by escapes."""

# Marks that change the direction of the text after them, so that a line may be displayed as another. The marks of one
# place (U+200E, U+200F, U+061C), which Hebrew and Arabic texts are full of, only say on which side a sign stands
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def escape_controls(text: str) -> str:
    """Replace control characters (except line end and tab), marks of direction and lone surrogates by escapes.

    A surrogate that stands for a byte (PEP 383), as in a name that is not UTF-8, is shown as the byte: `\\xe9`.
    """
    return "".join(escape_character(char) if is_control(char) else char for char in text)


def escape_character(char: str) -> str:
    code = ord(char)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(char)[1:-1]


def is_control(char: str) -> bool:
    """Whether `escape_controls` replaces this character."""
    code = ord(char)
    return (code < 32 and char not in "\n\t") or 127 <= code < 160 or 0xD800 <= code < 0xE000 or char in BIDI
