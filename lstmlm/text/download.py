"""Downloads of published texts into the cache: over https only, checked by size and SHA-256 at every use.

An interrupted download is kept as FILE.part and resumed; FILE itself is whole or does not exist.
"""

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from lstmlm.system.bar import Bar
from lstmlm.system.durable import lock_directory, sync_directory
from lstmlm.system.errors import BadInput, EnvironmentFault, LstmlmError
from lstmlm.system.escape import escape_controls
from lstmlm.system.paths import find_cache

log = logging.getLogger("lstmlm")

TRIES = 3
PAUSE = 0.5  # seconds after the first try; twice that after the second
TIMEOUT = 10  # seconds without a byte


@dataclass(frozen=True)
class RemoteText:
    """A text at an address, with its size and hash."""

    name: str  # of the setting data=
    file: str  # in the cache; never taken from an address or a response
    url: str
    size: int  # bytes
    sha256: str


def fetch(text: RemoteText) -> Path:
    """The file of a text, checked against its hash; downloaded where it does not exist or is damaged.

    EnvironmentFault where the network or the disk fails, BadInput where the server sends another text.
    """
    path = find_cache() / text.file
    try:
        if is_whole(path, text):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_directory(path.parent, wait=True):
            if not is_whole(path, text):  # else another process downloaded it while this one waited
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


def is_whole(path: Path, text: RemoteText) -> bool:
    return path.is_file() and path.stat().st_size == text.size and hash_content(path) == text.sha256


def hash_content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def get_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def download(text: RemoteText, part: Path) -> None:
    """Complete `part`, the first bytes of the text from an earlier download, if there are any.

    EnvironmentFault after TRIES failed attempts, BadInput where the complete file has another hash.
    """
    etag: str | None = None  # of the file that `part` is from, where the server named it
    for attempt in range(1, TRIES + 1):
        start = get_size(part)
        try:
            if start < text.size:
                with connect(text.url, start, etag) as response:
                    etag = response.headers["ETag"]
                    save_body(response, part, text, start if response.status == 206 else 0)
        except EnvironmentFault:
            if attempt == TRIES:
                raise
            time.sleep(PAUSE * attempt)
            continue
        size, got = get_size(part), hash_content(part)
        if got == text.sha256:
            return
        part.unlink()
        if start == 0 or attempt == TRIES:  # else the bytes of the earlier download may be wrong
            expected = f"expected {text.size:,} bytes with {text.sha256[:12]}"
            raise BadInput(f"SHA-256 mismatch ({expected}, got {size:,} with {got[:12]}), file removed")


def connect(url: str, start: int, etag: str | None) -> HTTPResponse:
    """Request the bytes from `start` on, if the file still has that ETag.

    EnvironmentFault where another attempt may succeed, BadInput where it cannot.
    """
    if not is_allowed(url):
        raise BadInput("only https is allowed")
    request = Request(url)
    if start:
        request.add_header("Range", f"bytes={start}-")
        if etag:
            request.add_header("If-Range", etag)
    try:
        response: HTTPResponse = build_opener(AllowedRedirects).open(request, timeout=TIMEOUT)
        return response
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the file there is shorter now
            return connect(url, 0, None)
        if 300 <= error.code < 400:
            raise BadInput(f"refused redirect to {error.headers['Location']!a:.80}") from None
        temporary = error.code in (408, 429) or error.code >= 500
        raise (EnvironmentFault if temporary else BadInput)(f"the server answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise EnvironmentFault(describe_error(error)) from None


def is_allowed(url: str) -> bool:
    return urlsplit(url).scheme == "https"


class AllowedRedirects(HTTPRedirectHandler):
    """Follows a redirect to an allowed address; any other redirect becomes an HTTPError."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if not is_allowed(newurl):
            return None
        fp.close()  # otherwise its body, of any length, would be read
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def save_body(response: HTTPResponse, part: Path, text: RemoteText, start: int) -> None:
    """Write the body to `part` from byte `start` on, with a bar; at most one byte more than the text has."""
    size = start
    with (
        open(part, "ab" if start else "wb") as file,
        Bar(initial=start, total=text.size, desc=text.file, unit="B", unit_scale=True) as bar,
    ):
        while block := read_block(response, text.size + 1 - size):
            size += file.write(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())
    if size <= text.size and response.length:
        raise EnvironmentFault(f"the connection was closed after {size:,} of {text.size:,} bytes")


def read_block(response: HTTPResponse, limit: int) -> bytes:
    """The next bytes of the body, at most `limit`; none at its end."""
    try:
        return response.read1(min(limit, 2**16))
    except (OSError, HTTPException) as error:
        raise EnvironmentFault(describe_error(error)) from None


def describe_error(error: Exception) -> str:
    inner = getattr(error, "reason", error)  # URLError wraps the error itself
    return escape_controls(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)
