"""A text from the net into the cache: over https only, known by its size and SHA-256 at every use.

A download that was interrupted is kept as FILE.part and gone on with; FILE itself is whole or not there.
"""

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from lstmlm.system.durable import lock_directory, sync_directory
from lstmlm.system.errors import BadInput, EnvironmentFault, LstmlmError
from lstmlm.system.escape import escape_controls
from lstmlm.system.paths import find_cache

log = logging.getLogger("lstmlm")

TRIES = 3
PAUSE = 0.5  # seconds after the first try; twice that after the second
TIMEOUT = 10  # seconds without a byte


@dataclass(frozen=True)
class Text:
    """A text, and how it is known."""

    name: str  # of the setting data=
    file: str  # in the cache; never taken from an address or an answer
    url: str
    size: int  # bytes
    sha256: str


def fetch(text: Text) -> Path:
    """The file of a text, its hash checked; downloaded where it is not there or is damaged.

    Raises EnvironmentFault where net or disk failed, BadInput where what came is not the text.
    """
    path = find_cache() / text.file
    try:
        if is_whole(path, text):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_directory(path.parent, wait=True):
            if not is_whole(path, text):  # no other process fetched it while this one waited
                if path.exists():
                    log.warning("warning: %s is damaged, its SHA-256 is not that of the text: fetching it again", path)
                part = path.with_name(f"{path.name}.part")
                download(text, part)
                os.replace(part, path)
                sync_directory(path.parent)
    except LstmlmError as error:
        instead = f"put the file at {path}, or give data.path=FILE"
        raise type(error)(f"data={text.name}: cannot download {text.url}: {error}: {instead}") from None
    except OSError as error:
        instead = "make room there, or name another folder in LSTMLM_CACHE"
        raise EnvironmentFault(f"data={text.name}: cannot write {path}: {error.strerror}: {instead}") from None
    return path


def is_whole(path: Path, text: Text) -> bool:
    return path.is_file() and path.stat().st_size == text.size and sha256_of(path) == text.sha256


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def download(text: Text, part: Path) -> None:
    """Make `part` the whole text, going on from what is there of it."""
    etag = None  # of what `part` is a part of, where an earlier try was told
    for tried in range(1, TRIES + 1):
        start = size_of(part)
        try:
            if start < text.size:
                with connect(text.url, start, etag) as response:
                    etag = response.headers["ETag"]
                    save(response, part, text, start if response.status == 206 else 0)
        except EnvironmentFault:
            if tried == TRIES:
                raise
            time.sleep(PAUSE * tried)
            continue
        size, got = size_of(part), sha256_of(part)
        if got == text.sha256:
            return
        part.unlink()
        if start == 0 or tried == TRIES:  # else it may be what was there that is wrong
            expected = f"expected {text.size:,} bytes with {text.sha256[:12]}"
            raise BadInput(f"SHA-256 mismatch ({expected}, got {size:,} with {got[:12]}), file removed")


def connect(url: str, start: int, etag: str | None) -> HTTPResponse:
    """Ask for the bytes from `start` on, if they are still those of `etag`.

    Raises EnvironmentFault where another try may do, BadInput where it will not.
    """
    if not allowed(url):
        raise BadInput("only https is allowed")
    request = Request(url)
    if start:
        request.add_header("Range", f"bytes={start}-")
        if etag:
            request.add_header("If-Range", etag)
    try:
        return build_opener(AllowedRedirects).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:  # what is there now ends before `start`
            return connect(url, 0, None)
        if 300 <= error.code < 400:
            raise BadInput(f"refused redirect to {error.headers['Location']!a:.80}") from None
        passing = error.code in (408, 429) or error.code >= 500
        raise (EnvironmentFault if passing else BadInput)(f"the server answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise EnvironmentFault(reason(error)) from None


def allowed(url: str) -> bool:
    return urlsplit(url).scheme == "https"


class AllowedRedirects(HTTPRedirectHandler):
    """Follows a redirect only to where we would go ourselves; any other becomes an HTTPError."""

    def redirect_request(self, request, response, code, message, headers, url):
        if not allowed(url):
            return None
        response.close()  # its body, of any length, would be read
        return super().redirect_request(request, response, code, message, headers, url)


def save(response: HTTPResponse, part: Path, text: Text, start: int) -> None:
    """Write the body to `part` from byte `start` on, with a bar; of a body that is too long, one byte too many."""
    size = start
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(initial=start, total=text.size, desc=text.file, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while block := read_some(response, text.size + 1 - size):
            size += file.write(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())
    if size <= text.size and response.length:
        raise EnvironmentFault(f"the connection was closed after {size:,} of {text.size:,} bytes")


def read_some(response: HTTPResponse, limit: int) -> bytes:
    """What is there of the body, at most `limit` bytes; nothing at its end."""
    try:
        return response.read1(min(limit, 2**16))
    except (OSError, HTTPException) as error:
        raise EnvironmentFault(reason(error)) from None


def reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)  # URLError wraps what happened
    return escape_controls(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)
