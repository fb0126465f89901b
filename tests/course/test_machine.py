"""The check of the machine: it never hangs, never fails, and never claims what is not there."""

import http.server
import socket
import threading

import psutil
import pytest
import torch

from vitseg_lib.course import machine


@pytest.fixture
def server():
    """A server on this machine that refuses every request: it is there all the same."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as running:
        running.RequestHandlerClass.log_message = lambda *_: None
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


@pytest.fixture
def deaf():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_server_that_says_no_is_there(server):
    assert machine._network(server, 10)[1] == "there"


def test_a_server_that_says_nothing_is_not_waited_for(deaf):
    assert machine._network(deaf, 0.2)[1] == "no answer"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "https://no.such.host.invalid/", "nonsense"])
def test_no_server_is_no_error(address):
    assert machine._network(address, 3600)[1] == "no answer"  # a refusal is an answer: the hour is not waited out


def test_ade20k_is_believed_only_when_it_is_whole(toy_root, tmp_path, monkeypatch):
    monkeypatch.delenv("VITSEG_DATA", raising=False)
    assert machine._ade20k(())[1] == "not found"
    assert machine._ade20k((tmp_path, tmp_path / "nothing", toy_root))[1] == "not found"
    count = len(list((toy_root / "images" / "training").iterdir()))
    monkeypatch.setattr(machine, "ADE20K_TRAINING_IMAGES", count)
    assert machine._ade20k((tmp_path, toy_root))[1] == f"{count} training images"
    monkeypatch.setenv("VITSEG_DATA", str(toy_root))
    assert machine._ade20k(())[1] == f"{count} training images"


def test_the_table_agrees_with_torch_and_psutil():
    rows = {what: here for what, here, _ in machine.check(timeout=0).rows}
    assert list(rows) == ["CPU", "memory", "GPU", "ADE20K", "network"]
    assert rows["memory"] == f"{psutil.virtual_memory().total / 2**30:.0f} GB"
    assert (rows["GPU"] == "none") == (not torch.cuda.is_available() and not torch.backends.mps.is_available())


def test_a_table_reads_as_markdown_and_as_text():
    table = machine.Table(("", "here"), (("memory", "a|b"), ("disk", "c")))
    assert table._repr_markdown_() == "|  | here |\n| --- | --- |\n| memory | a¦b |\n| disk | c |"
    assert repr(table) == "        here\nmemory  a|b\ndisk    c"
