"""SHA-256 of texts and bytes."""

import hashlib


def hash_text(text: str | bytes) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text).hexdigest()
