"""`vitseg reproduce` from the download to the file, on a small recipe and a server of our own."""

import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import tiny
import torch
from PIL import Image

from vitseg_lib import cli, recipes
from vitseg_lib.course.figures import ch11_results
from vitseg_lib.data.ade20k import read_labels
from vitseg_lib.data.classes import read_classes
from vitseg_lib.model import weights

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


class Quiet(SimpleHTTPRequestHandler):
    requests: ClassVar[list[str]] = []

    pause = 0.0  # seconds before the answer

    def do_GET(self):
        time.sleep(self.pause)
        super().do_GET()

    def log_message(self, *_):
        self.requests.append(self.path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny.make_pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture
def server(tmp_path):
    """The address of a server of the folder `server`."""
    folder = tmp_path / "server"
    folder.mkdir()
    Quiet.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """A recipe `tiny` whose checkpoint lies on a server, as mmsegmentation's do; returns the checkpoint's path."""
    checkpoint = tmp_path / "server" / "tiny.pth"
    model = recipes.build_model(tiny.TINY, 2)
    torch.save({"meta": {"CLASSES": ["dark", "bright"]}, "state_dict": weights.to_mmseg(model)}, checkpoint)
    row = recipes.Published(
        mIoU=50.0,
        mIoU_ms_flip=51.0,
        params_M=1.0,
        memory_GB=1.0,
        images_per_s=1.0,
        url=f"{server}/tiny.pth",
        sha256_prefix=hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:8],
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", replace(tiny.TINY, published=row))
    monkeypatch.setenv("VITSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return checkpoint


def vitseg(*arguments) -> int:
    return cli.main([*map(str, arguments), "--device", "cpu", "--no-progress"])


def test_ours_stands_beside_theirs(published, root, capsys):
    assert vitseg("reproduce", "tiny", "--data", root, "--ms-flip", "--save-predictions", "kept", "--out", "found") == 0
    result = json.loads((published.parent.parent / "found" / "tiny.json").read_text())
    printed = capsys.readouterr().out
    for mode, theirs in (("whole", 50.0), ("ms_flip", 51.0)):
        assert result[mode]["difference"] == result[mode]["mIoU"] - theirs
        assert f"{result[mode]['mIoU']:6.2f} {theirs:9.2f} {result[mode]['difference']:+10.2f}" in printed
    kept = sorted(path.relative_to("kept").as_posix() for path in Path("kept").rglob("*.png"))
    assert kept == [f"tiny/{mode}/{number}.png" for mode in ("ms_flip", "whole") for number in (0, 1)]
    assert result["images"] == 2 and result["recipe"] == "tiny" and result["precision"] == "fp32"
    assert "Not ADE20K's 2,000 validation images" in printed


def test_the_tables_read_what_it_wrote(published, root, capsys):
    assert vitseg("reproduce", "tiny", "--data", root) == 0
    result = json.loads(Path("benchmarks/results/reproduced/tiny.json").read_text())
    row = next(line for line in ch11_results.table([result]).split("\n") if "`tiny`" in line)
    assert row.endswith(f"| {result['whole']['mIoU']:.2f}, 2 images, 2 classes |")
    capsys.readouterr()
    assert cli.main(["recipes"]) == 0
    assert f"mIoU {result['whole']['mIoU']:.2f}" in capsys.readouterr().out


def test_the_scores_are_those_of_evaluate(published, root):
    assert vitseg("reproduce", "tiny", "--data", root, "--out", "found") == 0
    assert vitseg("evaluate", "tiny", "--weights", published, "--data", root, "--json", "one.json") == 0
    folder = published.parent.parent
    ours, theirs = (json.loads((folder / name).read_text()) for name in ("found/tiny.json", "one.json"))
    assert ours["whole"]["mIoU"] == theirs["mIoU"] and ours["whole"]["classes"] == theirs["classes"]


def test_a_result_is_not_overwritten_unless_requested(published, root, capsys):
    assert vitseg("reproduce", "tiny", "--data", root, "--out", "found") == 0
    before = (published.parent.parent / "found" / "tiny.json").read_text()
    assert vitseg("reproduce", "tiny", "--data", root, "--out", "found", "--limit", "1") == 2
    assert "Will not overwrite" in capsys.readouterr().err
    assert (published.parent.parent / "found" / "tiny.json").read_text() == before
    assert vitseg("reproduce", "tiny", "--data", root, "--out", "found", "--limit", "1", "--overwrite") == 0
    assert json.loads((published.parent.parent / "found" / "tiny.json").read_text())["images"] == 1


def test_a_checkpoint_that_was_changed_on_the_way_is_refused(published, root, capsys):
    published.write_bytes(published.read_bytes() + b"more")
    assert vitseg("reproduce", "tiny", "--data", root, "--out", "found") == 2
    assert "did not arrive as expected" in capsys.readouterr().err
    assert not (published.parent.parent / "found").exists()


@pytest.mark.slow
def test_of_many_processes_one_fetches(server, tmp_path, toy_root, monkeypatch):
    monkeypatch.setattr(Quiet, "pause", 4.0)  # time for the other process to come too
    model = recipes.build_model(recipes.get("toy"), 12)
    weights.save(model, tmp_path / "server" / "iter_160000.safetensors", classes=read_classes(toy_root).as_dict())
    arguments = ["--weights", f"{server}/iter_160000.safetensors", "--data", toy_root, "--limit", 2, "--device", "cpu"]
    command = [*TORCHRUN, "-m", "vitseg_lib", "evaluate", "toy", *arguments, "--json", tmp_path / "result.json"]
    environment = os.environ | {"VITSEG_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(Quiet.requests) == 1 and "iter_160000" in Quiet.requests[0]
    assert json.loads((tmp_path / "result.json").read_text())["mIoU"] >= 0
    assert done.stdout.count("mIoU") == 1


def test_a_recipe_that_nobody_published_is_refused(published, root, capsys):
    assert vitseg("reproduce", "vit_b16_80k", "--data", root) == 2
    assert "Nobody published weights or figures for vit_b16_80k" in capsys.readouterr().err


def test_predictions_are_kept_with_the_classes_colours(published, root, capsys):
    arguments = ("evaluate", "tiny", "--weights", published, "--data", root, "--save-predictions", "kept")
    assert vitseg(*arguments) == 0
    folder = published.parent.parent / "kept"
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "1.png"]
    labels = read_labels(folder / "0.png", read_classes(root))
    with Image.open(root / "images" / "validation" / "0.png") as image:
        assert labels.shape == (image.height, image.width) and set(labels.ravel().tolist()) <= {0, 1}
    with Image.open(folder / "0.png") as kept:
        assert kept.mode == "P" and kept.getpalette()[3:9] == [0, 0, 90, 250, 250, 0]
    assert vitseg(*arguments) == 2 and "Will not overwrite" in capsys.readouterr().err
    assert vitseg(*arguments, "--overwrite") == 0
