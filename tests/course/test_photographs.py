"""The photographs of chapters 00 and 01: small, licensed, and fit to be segmented, with published weights too."""

import json
from dataclasses import replace

import numpy as np
import torch
from conftest import ROOT

from vitseg_lib import recipes, state_files
from vitseg_lib.data.ade20k import read_pair
from vitseg_lib.data.classes import ade20k_classes
from vitseg_lib.model import weights

PHOTOS = ROOT / "data" / "photos"
MOST_BYTES = 400_000


def test_every_photograph_is_licensed_and_together_they_are_small():
    text = (PHOTOS / "README.md").read_text(encoding="utf-8")
    files = [path for path in PHOTOS.iterdir() if path.suffix != ".md"]
    assert files and sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in files:
        row = next(line for line in text.splitlines() if f"`{path.name}`" in line)
        assert path.suffix != ".jpg" or "creativecommons.org/licenses/by/" in row


def test_the_mask_is_a_grey_one_with_the_numbers_of_ade20k():
    classes = ade20k_classes()
    image, labels = read_pair(PHOTOS / "aitzgorri.jpg", PHOTOS / "aitzgorri.png", classes)
    assert image.shape == (426, 640, 3)
    found = {classes.names[k].split(",")[0] for k in np.unique(labels) if k < 255}
    assert found == {"sky", "tree", "grass", "mountain"}
    assert 0 < (labels == 255).mean() < 0.05, "a little is not labelled"


def test_chapter_00_segments_a_photograph_with_published_weights(tmp_path, monkeypatch):
    """Its own cell, with a small model in the published format in place of what a network would bring."""
    published = recipes.get("deit_s16_mln_160k").published
    small = replace(recipes.get("toy"), published=published)
    file = tmp_path / "published.pth"
    torch.save({"meta": {}, "state_dict": weights.to_mmseg(recipes.build_model(small, 150))}, file)
    asked = []
    monkeypatch.setattr(state_files, "fetch", lambda url, sha256=None: asked.append((url, sha256)) or file)
    monkeypatch.setattr(recipes, "get", lambda name: small)
    notebook = json.loads((ROOT / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    space = {"ade": ade20k_classes()}
    exec(cells[0], space)
    cell = next(source for source in cells if source.startswith("PHOTO = None"))
    *definition, last = cell.splitlines()
    exec("\n".join(definition), space)
    assert eval(last, space) == "no photograph yet"
    picture = eval(last, space | {"PHOTO": PHOTOS / "aitzgorri.jpg"})
    assert picture.name == "image and prediction of 1 scene"
    assert asked == [(published.url, published.sha256_prefix)]
