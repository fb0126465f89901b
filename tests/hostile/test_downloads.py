"""Servers that lie, stop, loop and talk nonsense; addresses that are none; places where nothing can be kept."""

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from hostile.stage import Case, Stage, cases
from hostile.test_disks import room_for
from vitseg_lib import files

pytestmark = [
    pytest.mark.slow,
    # urllib leaves a socket open where it is redirected to no address
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
BODY = bytes(range(256)) * 40
LEAVES = ("w.pth.part", ".w.pth.lock")


class Server(threading.Thread):
    """Answers every connection with the same bytes, whatever is asked, and hangs up."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/w.pth"
        self.answer, self.patience, self.connections = b"", 0.0, 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:  # closed
                return
            self.connections += 1
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer.replace(b"SELF", self.url.encode()))
                if self.patience:
                    threading.Event().wait(self.patience)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(files, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(files, "TIMEOUT_SECONDS", 0.1)
    server = Server()
    server.start()
    yield server
    server.socket.shutdown(socket.SHUT_RDWR)
    server.socket.close()
    server.join()


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode() + body


def announced(length: object, body: bytes = BODY) -> bytes:
    return answer("200 OK", f"Content-Length: {length}", body=body)


FAILED, ARRIVED = "could not be fetched", "did not arrive as expected"
ONCE: dict[str, tuple[bytes, str]] = {  # answers after which it does not ask again
    **{f"HTTP {status}": (answer(status, "Content-Length: 0"), FAILED) for status in (
        "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone", "418 I am a teapot"
    )},
    "a redirection to a file": (answer("302 Found", "Location: file:///etc/passwd"), FAILED),
    "a redirection to nowhere": (answer("302 Found", "Location: http://127.0.0.1:1/w.pth"), FAILED),
    "a redirection to nonsense": (answer("302 Found", "Location: http://[::1"), FAILED),
    "a reason of 5 000 letters": (answer("404 " + "no " * 2000), FAILED),
    "silence": (b"", FAILED),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", FAILED),
    "noise": (bytes(range(256)) * 9, FAILED),
    "a line of 100 000 letters": (b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n", FAILED),
    "a hundred thousand headers": (answer("200 OK", *[f"a{i}: b" for i in range(20_000)]), FAILED),
    "another file": (announced(5, b"hello"), ARRIVED),
    "a web page": (answer("200 OK", "Content-Type: text/html", body=b"<title>log in</title>"), ARRIVED),
    "nothing": (announced(0, b""), ARRIVED),
    "a length in words": (announced("many"), ARRIVED),
    "a negative length": (announced(-5), ARRIVED),
    "a length of 5 000 digits": (announced("9" * 5000), ARRIVED),
    "bytes that nobody asked for": (answer("206 Partial", "Content-Range: bytes 7-9/10", body=b"abc"), ARRIVED),
    "a range in words": (answer("206 Partial", "Content-Range: some bytes", body=b"abc"), ARRIVED),
}  # fmt: skip
AGAIN: dict[str, tuple[bytes, str]] = {  # answers after which it asks again until it gives up
    **{f"HTTP {status}": (answer(status, "Content-Length: 0"), FAILED) for status in (
        "408 Timeout", "416 No", "429 Too Many", "500 Error", "502 Bad Gateway", "503 Busy", "507 Full"
    )},
    "a redirection to itself": (answer("302 Found", "Location: SELF"), FAILED),
    "less than is announced": (announced(10**6), FAILED),
    "a petabyte, announced": (announced(10**15), FAILED),
    "half of a chunk": (answer("200 OK", "Transfer-Encoding: chunked", body=b"ffff\r\nhello"), FAILED),
    "chunks of nonsense": (answer("200 OK", "Transfer-Encoding: chunked", body=b"zz\r\nhello"), FAILED),
}  # fmt: skip
ADDRESSES = (
    "w.pth", "ftp://example.org/w.pth", "file:///etc/passwd", "http://", "https:///w.pth", "http://[::1/w.pth",
    "http://127.0.0.1:port/w.pth", "http://127.0.0.1:99999/w.pth", "http://127.0.0.1:1/w.pth", "http://a b/w.pth",
    "http://127.0.0.1:1/ä.pth", "http://..", "http://127.0.0.1:1/a\nb",
)  # fmt: skip


def fetch(stage: Stage, url: str, name: str = "w.pth", sha256: str = "0" * 8) -> Callable[[], object]:
    return lambda: files.download(url, stage.folder / name, sha256=sha256, progress=False)


@pytest.mark.parametrize("what", [*ONCE, *AGAIN])
def test_a_bad_server(what, server, refused):
    server.answer, says = (ONCE | AGAIN)[what]
    case = Case(f"a server's answer: {what}", partial(fetch, url=server.url), (server.url.split("/")[2], says), LEAVES)
    refused(case)
    assert (server.connections > 1) == (what in AGAIN)


def test_a_server_that_falls_silent(server, refused):
    server.answer, server.patience = announced(10**6), 0.3
    refused(Case("a server that falls silent", partial(fetch, url=server.url), (FAILED,), LEAVES))


@pytest.mark.parametrize(
    "case", cases(Case(f"the address {url!r}", partial(fetch, url=url), (url.split()[0],), LEAVES) for url in ADDRESSES)
)
def test_a_bad_address(case, refused, server):
    refused(case)


PLACES = {
    "what is there is another file": (lambda s: s.write("w.pth", "mine"), "is not the expected file"),
    "what is there is a folder": (lambda s: (s.folder / "w.pth").mkdir(), "it is a folder"),
    "a folder stands where the part goes": (lambda s: (s.folder / "w.pth.part").mkdir(), "it is a folder"),
}


@pytest.mark.parametrize("what", PLACES)
def test_a_bad_place(what, server, refused):
    prepare, says = PLACES[what]
    server.answer = announced(len(BODY))

    def make(stage: Stage) -> Callable[[], object]:
        prepare(stage)
        return fetch(stage, server.url)

    refused(Case(f"a download: {what}", make, ("w.pth", says), LEAVES[1:]))


def test_a_download_into_a_file_and_onto_a_full_disk(server, refused):
    server.answer = announced(len(BODY))
    inside = Case(
        "a download into a file", lambda s: s.write("f", "") and fetch(s, server.url, "f/w.pth"), ("is a file",)
    )
    refused(inside)
    full = Case("a download onto a full disk", partial(fetch, url=server.url), ("w.pth.part", "grew larger"), LEAVES)
    refused(full, within=room_for(1000))
