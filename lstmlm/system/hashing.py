"""SHA-256 of texts and bytes."""

import hashlib


def hash_text(text: str | bytes) -> str:
    """The SHA-256, in hexadecimal, of bytes, or of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text).hexdigest()
