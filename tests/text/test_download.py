"""A downloaded text is whole and has its hash, or there is one line and no file; a cut download is resumed."""

import hashlib
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from helpers.command_line import ROOT, composed_config, shared_text

from lstmlm.runs.prepare import prepare
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.text import download, published
from lstmlm.text.download import RemoteText, fetch

TALE = b"".join(b"Line %d: the tide comes in, the tide goes out.\n" % k for k in range(4000))
OTHER = TALE.replace(b"tide", b"moon")
PAGE = b"<html>404, but with a friendly 200</html>"
CUT = 100_000  # more than is read at once
A_NAME = {"Content-Disposition": 'attachment; filename="../elsewhere.txt"'}  # of a server that would choose it


# Answers: what a server may say to a request


def whole(body: bytes, etag: str = '"1"', length: int | None = None):
    """All of the body, whatever was asked for; `length`: what the server claims."""

    def answer(request) -> None:
        request.head(200, {"ETag": etag, "Content-Length": len(body) if length is None else length, **A_NAME})
        request.wfile.write(body)

    return answer


def cut(body: bytes = TALE, etag: str = '"1"'):
    """The first bytes of the body, and then the connection is closed."""
    return whole(body[:CUT], etag, len(body))


def ranged(body: bytes = TALE, etag: str = '"1"'):
    """A server that knows ranges: the rest that was asked for, if it is of the same file."""

    def answer(request) -> None:
        start = int(re.findall(r"\d+", request.headers.get("Range", "0"))[0])
        if request.headers.get("If-Range", etag) != etag:
            return whole(body, etag)(request)
        if start >= len(body):
            return status(416)(request)
        if start == 0:
            return whole(body, etag)(request)
        request.head(206, {"ETag": etag, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"})
        return request.wfile.write(body[start:])

    return answer


def status(code: int, **headers):
    def answer(request) -> None:
        request.head(code, headers)

    return answer


def stalled(request) -> None:
    """The first bytes, and then nothing until the test is over."""
    request.head(200, {"Content-Length": len(TALE)})
    request.wfile.write(TALE[:CUT])
    request.server.over.wait(20)


def endless(request) -> None:
    """Without a length, for as long as somebody reads."""
    request.head(200, {})
    while True:
        request.wfile.write(TALE)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.headers.get("Range"), self.headers.get("If-Range")))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def head(self, code: int, headers: dict) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, str(value))
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """Gives its `answers` one by one, the last again and again; `asked` has (Range, If-Range) of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.over = [], [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, *_) -> None:
        assert isinstance(sys.exc_info()[1], ConnectionError)  # of a client that went away


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        https = download.is_allowed
        monkeypatch.setattr(download, "is_allowed", lambda url: url.startswith(server.url) or https(url))
        monkeypatch.setattr(download, "PAUSE", 0)
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tale(server) -> RemoteText:
    return RemoteText(
        "tale", "tale.txt", server.url + "..%2f..%2felsewhere", len(TALE), hashlib.sha256(TALE).hexdigest()
    )


def test_all_bytes_are_in_the_file_before_it_is_synchronized(server, tale, monkeypatch):
    """A power cut after that must not lose what is still in a buffer."""
    sizes: list[int] = []
    synchronize = os.fsync

    def look(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        synchronize(handle)

    monkeypatch.setattr(os, "fsync", look)
    server.answers = [whole(TALE)]
    fetch(tale)
    assert len(TALE) in sizes


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    said = []
    monkeypatch.setattr(download.log, "warning", lambda line, *words: said.append(line % words))
    return said


def left(cache: Path) -> dict[str, bytes]:
    """What is in the cache, but for the lock."""
    return {path.name: path.read_bytes() for path in cache.glob("*") if path.name != ".lock"}


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# What should happen


def test_a_text_is_fetched_once_under_our_own_name(server, tale, cache):
    server.answers = [whole(TALE)]
    for _ in range(2):
        assert fetch(tale) == cache / "tale.txt"
    assert left(cache) == {"tale.txt": TALE} and server.asked == [(None, None)]


def test_a_terminal_sees_a_bar_and_a_file_does_not(server, tale, capsys, cache, monkeypatch):
    server.answers = [whole(TALE)]
    fetch(tale)
    assert capsys.readouterr() == ("", "")
    (cache / "tale.txt").unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch(tale)
    out, err = capsys.readouterr()
    assert out == "" and "tale.txt: 100%" in err


def test_the_published_texts_are_those_that_are_kept_beside_the_project():
    for text in published.FETCHED.values():
        data = shared_text(text.file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (text.size, text.sha256)
        assert text.url.startswith("https://") and Path(text.file).name == text.file


def test_a_damaged_text_is_named_and_fetched_again(server, tale, cache, warnings):
    server.answers = [whole(TALE)]
    flipped = bytes([TALE[0] ^ 1]) + TALE[1:]
    for damaged in (flipped, TALE[:-1], b""):
        cache.mkdir(exist_ok=True)
        (cache / "tale.txt").write_bytes(damaged)
        assert fetch(tale).read_bytes() == TALE
        assert warnings.pop() == (
            f"warning: {cache / 'tale.txt'} is damaged, its SHA-256 is not that of the text: fetching it again"
        )
    assert len(server.asked) == 3 and not warnings


def test_two_at_once_fetch_it_once(server, tale, cache):
    arrived, go_on = threading.Event(), threading.Event()

    def slow(request) -> None:
        arrived.set()
        go_on.wait(10)
        whole(TALE)(request)

    server.answers = [slow]
    found = []
    both = [threading.Thread(target=lambda: found.append(fetch(tale))) for _ in range(2)]
    both[0].start()
    assert arrived.wait(10)
    both[1].start()
    time.sleep(0.1)  # for the second to come to the lock, or past it
    go_on.set()
    for thread in both:
        thread.join()
    assert found == [cache / "tale.txt"] * 2 and left(cache) == {"tale.txt": TALE} and len(server.asked) == 1


# Interruptions


def test_a_cut_connection_is_resumed(server, tale, cache):
    server.answers = [cut(), ranged()]
    assert fetch(tale).read_bytes() == TALE
    assert server.asked == [(None, None), (f"bytes={CUT}-", '"1"')] and list(left(cache)) == ["tale.txt"]


def test_a_connection_that_is_cut_again_and_again_leaves_the_part_for_the_next_run(server, tale, cache):
    server.answers = [cut()]
    line = rf"data=tale: cannot download http://.*: the connection was closed after {CUT:,} of .*: put the file at"
    with pytest.raises(EnvironmentFault, match=line):
        fetch(tale)
    assert len(server.asked) == 3 and left(cache) == {"tale.txt.part": TALE[:CUT]}
    server.answers = [ranged()]
    assert fetch(tale).read_bytes() == TALE
    assert server.asked[3:] == [(f"bytes={CUT}-", None)] and list(left(cache)) == ["tale.txt"]


@pytest.mark.parametrize("second", [whole(TALE), ranged(TALE, '"2"')], ids=["ignores ranges", "has another file now"])
def test_a_server_that_cannot_resume_starts_again(server, tale, cache, second):
    server.answers = [cut(OTHER), second]
    assert fetch(tale).read_bytes() == TALE
    assert server.asked == [(None, None), (f"bytes={CUT}-", '"1"')] and list(left(cache)) == ["tale.txt"]


LEFT_BEHIND = {"another text": OTHER[:CUT], "all of it": TALE, "too much": OTHER + b"and more", "nothing": b""}


@pytest.mark.parametrize("part", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_whatever_part_an_earlier_run_left_the_text_is_the_right_one(server, tale, cache, part):
    cache.mkdir()
    (cache / "tale.txt.part").write_bytes(part)
    server.answers = [ranged()]
    assert fetch(tale).read_bytes() == TALE
    assert list(left(cache)) == ["tale.txt"] and len(server.asked) == {OTHER[:CUT]: 2, TALE: 0}.get(part, 1)


def test_a_part_longer_than_what_is_served_is_given_up(server, tale, cache):
    cache.mkdir()
    (cache / "tale.txt.part").write_bytes(TALE[:CUT])
    server.answers = [ranged(PAGE)]
    with pytest.raises(BadInput, match="SHA-256 mismatch"):
        fetch(tale)
    assert left(cache) == {}


def test_a_server_that_stalls_is_waited_for_so_long_and_no_longer(server, tale, cache, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.answers = [stalled]
    with pytest.raises(EnvironmentFault, match=r"cannot download .*: timed out: put the file at .*tale\.txt, or give"):
        fetch(tale)
    assert len(server.asked) == 3 and left(cache) == {"tale.txt.part": TALE[:CUT]}


def test_a_kill_leaves_a_part_and_the_next_run_resumes_it(server, tale, cache):
    server.answers = [stalled, ranged()]
    program = "from lstmlm.text import download; download.is_allowed = lambda url: True; "
    program += f"download.fetch(download.{tale!r})"
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while child.poll() is None and len(left(cache).get("tale.txt.part", b"")) < CUT // 2:
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL and list(left(cache)) == ["tale.txt.part"]
    had = len(left(cache)["tale.txt.part"])
    assert fetch(tale).read_bytes() == TALE
    assert server.asked == [(None, None), (f"bytes={had}-", None)] and list(left(cache)) == ["tale.txt"]


# What is refused


@pytest.mark.parametrize("length", [len(PAGE), ""], ids=["with its length", "without"])
@pytest.mark.parametrize("there", [None, OTHER], ids=["at first", "in the place of a damaged one"])
def test_a_page_in_the_place_of_the_text_is_not_the_text(server, tale, cache, warnings, length, there):
    cache.mkdir()
    if there:
        (cache / "tale.txt").write_bytes(there)
    server.answers = [whole(PAGE, length=length)]
    expected, got = (hashlib.sha256(data).hexdigest()[:12] for data in (TALE, PAGE))
    with pytest.raises(BadInput) as refusal:
        fetch(tale)
    assert str(refusal.value) == (
        f"data=tale: cannot download {tale.url}: SHA-256 mismatch (expected {len(TALE):,} bytes with {expected}, got "
        f"{len(PAGE)} with {got}), file removed: put the file at {cache / 'tale.txt'}, or give data.path=FILE"
    )
    assert left(cache) == ({"tale.txt": there} if there else {}) and len(server.asked) == 1


TOO_LONG = {"endless": endless, "longer": whole(TALE + b"and more")}


@pytest.mark.parametrize("answer", TOO_LONG.values(), ids=TOO_LONG)
def test_of_a_body_that_is_too_long_one_byte_too_many_is_read_and_none_is_kept(server, tale, cache, answer):
    server.answers = [answer]
    with pytest.raises(BadInput, match=rf"SHA-256 mismatch .*, got {len(TALE) + 1:,} with"):
        fetch(tale)
    assert left(cache) == {} and len(server.asked) == 1


def test_another_text_of_the_same_size_is_refused(server, tale, cache):
    server.answers = [whole(OTHER)]
    with pytest.raises(BadInput, match=rf"SHA-256 mismatch .*, got {len(TALE):,} with"):
        fetch(tale)
    assert left(cache) == {} and len(server.asked) == 1


@pytest.mark.parametrize(
    ("code", "kind", "tries"),
    [
        (400, BadInput, 1),
        (404, BadInput, 1),
        (403, BadInput, 1),
        (408, EnvironmentFault, 3),
        (429, EnvironmentFault, 3),
        (500, EnvironmentFault, 3),
        (503, EnvironmentFault, 3),
    ],
)
def test_the_status_that_the_server_answers_is_named(server, tale, cache, code, kind, tries):
    server.answers = [status(code)]
    with pytest.raises(kind, match=rf"^data=tale: cannot download .*: the server answered {code}: put the file at"):
        fetch(tale)
    assert len(server.asked) == tries and left(cache) == {}


def test_each_further_try_waits_longer(server, tale, cache, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(download, "PAUSE", 3.0)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    server.answers = [status(503)]
    with pytest.raises(EnvironmentFault):
        fetch(tale)
    assert pauses == [3.0, 6.0]


def test_the_folders_of_the_cache_are_made(server, tale, monkeypatch, tmp_path):
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path / "a" / "b" / "c"))
    server.answers = [whole(TALE)]
    assert fetch(tale).read_bytes() == TALE


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/tale.txt", "file:///etc/passwd", "ftp://127.0.0.1/x", "//127.0.0.1:1/x"]
)
def test_a_redirect_away_from_https_is_refused(server, tale, cache, target):
    server.answers = [status(302, Location=target)]
    with pytest.raises(BadInput, match=rf"refused redirect to '{re.escape(target)}'"):
        fetch(tale)
    assert len(server.asked) == 1 and left(cache) == {}


def test_a_redirect_within_https_is_followed_and_its_body_not_read(server, tale, cache, monkeypatch):
    def elsewhere(request) -> None:
        request.head(302, {"Location": server.url + "there", "Content-Length": 100})
        server.over.wait(20)

    monkeypatch.setattr(download, "TIMEOUT", 5)
    monkeypatch.setattr(download, "TRIES", 1)
    server.answers = [elsewhere, whole(TALE)]
    assert fetch(tale).read_bytes() == TALE and len(server.asked) == 2


def test_http_is_refused(cache):
    with pytest.raises(BadInput, match="only https is allowed"):
        fetch(RemoteText("tale", "tale.txt", f"http://127.0.0.1:{closed_port()}/", 1, ""))
    assert left(cache) == {}


# The machine


def test_a_full_disk_is_one_line(server, tale, cache):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    cache.mkdir()
    (cache / "tale.txt.part").symlink_to("/dev/full")
    server.answers = [whole(TALE)]
    with pytest.raises(
        EnvironmentFault, match=r"data=tale: cannot write .*tale\.txt: No space left on device: make room"
    ):
        fetch(tale)
    assert [path.name for path in cache.glob("tale*")] == ["tale.txt.part"] and len(server.asked) == 1


def test_a_cache_that_cannot_be_made_is_one_line(tale, cache):
    cache.write_text("in the way")
    with pytest.raises(
        EnvironmentFault, match=r"data=tale: cannot write .*: .*: make room there, or name another folder"
    ):
        fetch(tale)


# Through the door


@pytest.fixture
def time_machine(monkeypatch):
    """Let data=time_machine be another text."""

    def let(text: RemoteText) -> None:
        monkeypatch.setitem(published.FETCHED, "time_machine", replace(text, name="time_machine"))

    return let


def test_a_run_without_a_network_ends_in_one_line_and_writes_nothing(
    train, tale, time_machine, cache, monkeypatch, tmp_path
):
    monkeypatch.setattr(download, "is_allowed", lambda url: True)
    time_machine(replace(tale, url=f"http://127.0.0.1:{closed_port()}/"))
    code, out, err = train("data=time_machine")
    assert (code, out) == (4, "")
    assert re.fullmatch(
        r"error: data=time_machine: cannot download http://\S+: Connection refused: "
        rf"put the file at {cache}/tale\.txt, or give data\.path=FILE\n",
        err,
    )
    assert not left(cache) and not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


def test_what_a_run_reads_is_what_was_fetched(server, tale, time_machine, cache):
    time_machine(tale)
    server.answers = [cut(), ranged()]
    for _ in range(2):
        corpus = prepare(composed_config("data=time_machine")).corpus
        assert corpus.num_chars == len(TALE.decode()) and corpus.origin.path == str(cache / "tale.txt")
        assert corpus.origin.sha256 == tale.sha256
    assert len(server.asked) == 2


def test_looking_at_the_settings_or_giving_a_file_fetches_nothing(
    train, server, tale, time_machine, tmp_path, monkeypatch
):
    time_machine(tale)
    server.answers = [whole(TALE)]
    monkeypatch.setenv("COMP_LINE", "train.py data=time_machine data.")
    monkeypatch.setenv("COMP_POINT", "33")
    for words in (["data=time_machine", "--cfg", "job"], ["data=time_machine", "--help"], ["-sc", "query=bash"]):
        code, out, _ = train(*words)
        assert code == 0 and "data" in out
    (tmp_path / "my.txt").write_bytes(OTHER)
    corpus = prepare(composed_config("data=time_machine", f"data.path={tmp_path}/my.txt")).corpus
    assert corpus.num_chars == len(OTHER.decode()) and not server.asked


# By hand


def test_every_text_of_the_settings_has_a_source():
    settings = {path.stem for path in (ROOT / "conf" / "data").glob("*.yaml")}
    assert settings == {"tide_clock", "file"} | set(published.FETCHED) | set(published.BY_HAND)


@pytest.mark.parametrize("name", published.BY_HAND)
def test_a_text_to_put_there_by_hand_says_from_where_to_where(train, cache, name):
    code, _, err = train(f"data={name}")
    where = re.escape(str(cache / published.BY_HAND[name][0]))
    assert code == 2
    assert re.fullmatch(rf"error: data={name}: no text at {where}: get it from .*, put it there, or give .*\n", err)


def test_a_text_put_there_by_hand_is_used_if_its_size_is_right(cache, monkeypatch):
    cache.mkdir()
    (cache / "text8").write_bytes(b"PK an archive")
    with pytest.raises(BadInput, match=r"data=text8: .* has 13 bytes, not 100,000,000: get it from .*unzipped"):
        published.find_text("text8")
    (cache / "ptb.char.train.txt").write_bytes(b"a e r")
    assert published.find_text("ptb_char") == cache / "ptb.char.train.txt"
    with open(cache / "text8", "wb") as file:
        file.truncate(100_000_000)
    assert published.find_text("text8") == cache / "text8"


def test_a_name_without_a_text_is_refused():
    with pytest.raises(BadInput, match=r"data\.name: no such text: '\.\./x'"):
        published.find_text("../x")
