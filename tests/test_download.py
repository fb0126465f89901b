"""Downloads from a server that misbehaves."""

import errno
import hashlib
import multiprocessing
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from vitseg_lib import files
from vitseg_lib.files import InputError, download

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA1 = hashlib.sha1(CONTENT).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every path but /missing; what is odd about it is in its attributes."""

    daemon_threads = True
    ranges = True  # whether it honours Range
    lengths = True  # whether it says how long the answer is
    drop_after: int | None = None  # bytes after which it hangs up
    drops = 0  # how many answers it cuts so
    busy = 0  # how many requests it answers with 503 first

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/weights.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_):
        pass

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path == "/missing":
            return self.send_error(404)
        if self.server.busy > 0:
            self.server.busy -= 1
            return self.send_error(503)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if self.server.lengths:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        if self.server.drop_after is not None and self.server.drops > 0:
            self.server.drops -= 1
            body = body[: self.server.drop_after]
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(files, "RETRY_SECONDS", 0.0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, path, **options):
    return download(server.url, path, progress=False, **options)


@pytest.mark.parametrize("sums", [{}, {"sha256": SHA256[:8]}, {"sha256": SHA256.upper()}, {"sha1": SHA1}])
def test_download_brings_the_bytes_and_leaves_no_part(server, tmp_path, sums):
    target = tmp_path / "new" / "weights.bin"
    assert fetch(server, target, **sums) == target
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["weights.bin"]


def test_download_shows_a_progress_bar_on_stderr(server, tmp_path, capsys):
    download(server.url, tmp_path / "weights.bin")
    out, err = capsys.readouterr()
    assert out == "" and "weights.bin" in err and "B/s" in err


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    target = tmp_path / "weights.bin"
    target.write_bytes(CONTENT)
    fetch(server, target, sha256=SHA256)
    assert server.asked == []


def test_another_file_in_its_place_is_left_alone(server, tmp_path):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"somebody's own")
    with pytest.raises(InputError, match=r"weights\.bin is not the expected file: its SHA256 is .*move it away"):
        fetch(server, target, sha256=SHA256[:8])
    assert target.read_bytes() == b"somebody's own" and server.asked == []


def test_a_part_is_continued(server, tmp_path):
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:100_000])
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert server.asked == ["bytes=100000-"]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:100_000])
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(("part", "asked"), [(CONTENT, 1), (CONTENT + b"more", 2)])
def test_a_part_as_long_as_the_file_or_longer(server, tmp_path, part, asked):
    (tmp_path / "weights.bin.part").write_bytes(part)
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT
    assert len(server.asked) == asked


def test_a_dropped_connection_is_resumed(server, tmp_path):
    server.drop_after, server.drops = 40_000, 100  # each answer brings 40 000 bytes: eight are needed
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert server.asked == [None, *(f"bytes={done}-" for done in range(40_000, 300_000, 40_000))]


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.busy = files.ATTEMPTS
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert len(server.asked) == files.ATTEMPTS + 1


def test_it_gives_up_when_nothing_new_arrives_and_a_later_call_resumes(server, tmp_path):
    server.ranges, server.drop_after, server.drops = False, 40_000, 100
    with pytest.raises(InputError, match=r"could not be fetched \(.*closed early; 40,000 bytes .* resumes it"):
        fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert names(tmp_path) == [".weights.bin.lock", "weights.bin.part"]
    assert len(server.asked) == 2 + files.ATTEMPTS
    server.ranges, server.drops = True, 0
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert server.asked[-1] == "bytes=40000-"


def test_a_wrong_sum_removes_the_part_and_names_both(server, tmp_path):
    with pytest.raises(InputError, match=rf"127\.0\.0\.1.*SHA256 is {SHA256[:8]}, not 00000000"):
        fetch(server, tmp_path / "weights.bin", sha256="00000000")
    assert names(tmp_path) == [".weights.bin.lock"]


def test_a_part_of_something_else_is_found_out(server, tmp_path):
    (tmp_path / "weights.bin.part").write_bytes(b"x" * 100_000)
    with pytest.raises(InputError, match="did not arrive as expected"):
        fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)


def test_a_server_that_does_not_say_the_length(server, tmp_path):
    server.lengths = False
    fetch(server, tmp_path / "weights.bin", sha256=SHA256)
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT


def test_a_missing_page_and_a_dead_host_name_the_remedy(server, tmp_path):
    target = tmp_path / "weights.bin"
    with pytest.raises(InputError, match=r"missing could not be fetched .*404.*by hand and save it as .*weights\.bin"):
        download(server.url.replace("weights.bin", "missing"), target, progress=False)
    with Server() as other:
        dead = other.url
    with pytest.raises(InputError, match=r"refused.*check address and network.*save it as .*weights\.bin"):
        download(dead, target, progress=False)
    assert names(tmp_path) == [".weights.bin.lock"]


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://example.org/a", "weights.bin"])
def test_only_http_and_https(tmp_path, url):
    with pytest.raises(InputError, match="only http and https"):
        download(url, tmp_path / "a", progress=False)
    assert names(tmp_path) == []


def test_a_full_disk_during_a_download_is_explained(server, tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.tqdm, "update", full)  # called between two writes
    with pytest.raises(InputError, match=r"weights\.bin\.part: the disk is full"):
        fetch(server, tmp_path / "weights.bin")


def download_at_once(url, path, barrier):
    barrier.wait()
    assert download(url, path, sha256=SHA256, progress=False).read_bytes() == CONTENT


def test_processes_that_want_one_file_at_once_all_get_it(server, tmp_path):
    server.drop_after, server.drops = 200_000, 1  # whoever is first has to resume
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    arguments = (server.url, tmp_path / "weights.bin", barrier)
    processes = [context.Process(target=download_at_once, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=200000-"], "one process fetched, the others found its file"
