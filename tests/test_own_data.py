"""data/README.md's way from your own images to a result, as it is written there: its layout, files and commands.

The commands run word for word, except that `--iterations 10` is added: the last one counts.
"""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pages
import pytest
from conftest import ROOT
from PIL import Image

from vitseg_lib import cli, state_files
from vitseg_lib.cli import build_parser

SECTION = (ROOT / "data" / "README.md").read_text(encoding="utf-8").split("\n## Your own data\n")[1].split("\n## ")[0]
TREE, OWN, CITYSCAPES, COMMANDS = (block for _, block in pages.fences(SECTION))
COUNTS = {"training": 6, "validation": 2}
OTHER = 255  # in the images below: neither of the two classes
HEIGHT, WIDTH = 30, 44


def pascal_voc() -> str:
    """The classes.json that the page describes in a sentence: background first, and the setting it quotes."""
    sentence = next(part for part in SECTION.split("\n\n") if part.startswith("**Masks as Pascal VOC has them**"))
    first, setting = re.search(r"list `(\w+)` first and set `(.+?)`", sentence).groups()
    entries = [{"name": first, "colour": [0, 0, 0]}, {"name": "boat", "colour": [0, 0, 128]}]
    return json.dumps({"classes": entries} | json.loads(f"{{{setting}}}"))


# How each style writes the two classes, and what else it has in its masks.
STYLES = {
    "own": {"classes": OWN, "values": [[1], [2]], "others": [0, 255]},
    "cityscapes": {"classes": CITYSCAPES, "values": [[7], [26, 27, 28]], "others": [0, 3, 33, 255]},
    "voc": {"classes": pascal_voc(), "values": [[0], [1]], "others": [255], "palette": [0, 0, 0, 0, 0, 128]},
}


def folders_drawn(tree: str) -> list[Path]:
    """The folders of the drawing that hold files."""
    above, found = [], []
    for line in tree.strip().splitlines():
        branches, name = re.match(r"([│├└─\s]*)(\S+)", line).groups()
        above[len(branches) // 4 :] = [name]
        found.append(Path(*above))
    return [path for path in found if path.name in COUNTS]


def make_data_set(style: dict) -> None:
    """Small images in the folders of the drawing, with a classes.json and masks in a style."""
    rng, suffixes = np.random.default_rng(0), [".jpg", ".jpeg", ".png"]
    for folder in folders_drawn(TREE):
        folder.mkdir(parents=True)
    for split, count in COUNTS.items():
        for number in range(count):
            image, labels = picture(rng)
            image.save(Path("my_data/images", split, f"view{number}").with_suffix(suffixes[number % 3]))
            choices = [*style["values"], style["others"]]
            raw = np.choose(np.minimum(labels, 2), [rng.choice(values, labels.shape) for values in choices])
            mask = Image.fromarray(raw.astype(np.uint8))
            if "palette" in style:
                mask.putpalette(style["palette"])
            mask.save(Path("my_data/annotations", split, f"view{number}.png"))
    Path("my_data/classes.json").write_text(style["classes"], encoding="utf-8")


def picture(rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Light above dark, with a seam between them that is neither."""
    horizon = rng.integers(8, HEIGHT - 8)
    rows = np.arange(HEIGHT)[:, None] + np.zeros(WIDTH, int)
    labels = np.where(rows == horizon, OTHER, rows > horizon)
    light = np.where(rows > horizon, 50, 200)[..., None] + rng.normal(0, 15, (HEIGHT, WIDTH, 3))
    return Image.fromarray(light.clip(0, 255).astype(np.uint8)), labels


def run(command: str, *more: str) -> None:
    program, *words = shlex.split(command)
    assert program == "vitseg"
    assert cli.main([*words, *more]) == 0


def test_the_page_shows_what_is_tested_here():
    assert sorted(folders_drawn(TREE)) == [
        Path("my_data", kind, split) for kind in ("annotations", "images") for split in ("training", "validation")
    ]
    assert re.search(r"NAME\.jpg, \.jpeg or \.png", TREE) and TREE.splitlines()[1].startswith("├── classes.json")
    assert [entry["name"] for entry in json.loads(OWN)["classes"]] == ["sky", "sea"]
    assert [entry["values"] for entry in json.loads(CITYSCAPES)["classes"]] == STYLES["cityscapes"]["values"]
    assert [shlex.split(line)[1] for line in COMMANDS.splitlines()] == ["data", "train", "evaluate", "predict"]


@pytest.mark.parametrize("name", STYLES)
def test_from_pictures_to_a_result(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    style = STYLES[name]
    make_data_set(style)
    photo, target = picture(np.random.default_rng(7))
    photo.save("photo.jpg")
    check, train, evaluate, predict = COMMANDS.splitlines()

    run(check)
    assert "6 training" in capsys.readouterr().out
    assert "--iterations 300" in train
    run(train, "--iterations", "10")
    result = json.loads(Path("runs/mine/result.json").read_text(encoding="utf-8"))
    entries = json.loads(style["classes"])["classes"]
    assert list(result["classes"]) == [entry["name"] for entry in entries]
    capsys.readouterr()
    run(evaluate)
    printed = capsys.readouterr().out
    assert all(entry["name"] in printed for entry in entries) and f"mIoU {result['mIoU']:.2f}" in printed

    notes = state_files.read_safetensors("runs/mine/last.safetensors")[1]
    assert [(entry["name"], entry["colour"]) for entry in notes["classes"]["classes"]] == [
        (entry["name"], entry["colour"]) for entry in entries
    ]
    Path("my_data").rename("somewhere_else")  # `predict` needs nothing else than the weights
    run(predict)
    assert sorted(path.name for path in Path("predictions").iterdir()) == ["photo.png", "photo_overlay.png"]
    with Image.open("predictions/photo.png") as labels, Image.open("predictions/photo_overlay.png") as overlay:
        values, colours = np.array(labels), np.array(labels.convert("RGB"))
        assert labels.size == overlay.size == photo.size
    firsts = [values[0] for values in style["values"]]
    assert set(np.unique(values)) <= set(firsts)
    for value, entry in zip(firsts, entries, strict=True):
        assert (colours[values == value] == entry["colour"]).all()
    accuracy = (values == np.choose(np.minimum(target, 1), firsts))[target != OTHER].mean()
    assert accuracy > 0.9  # ten steps tell light from dark


def test_what_is_amiss_is_named_file_by_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_data_set(STYLES["own"])
    (deep,) = re.findall(r"^`(vitseg data check my_data --deep)` names whatever is amiss", SECTION, re.M)
    run(deep)
    for name in ("view1", "view4"):
        Image.new("L", (WIDTH, HEIGHT), 3).save(f"my_data/annotations/training/{name}.png")
    run(deep.removesuffix(" --deep"))  # the headers are sound
    capsys.readouterr()
    assert cli.main(shlex.split(deep)[1:]) == 2
    fault = capsys.readouterr().err
    assert "view1.png holds the label 3" in fault and "view4.png holds the label 3" in fault and "view2" not in fault


def test_the_commands_can_be_typed_for_photographs():
    (name,) = re.findall(r"`(\w+)` is the same command for photographs", SECTION)
    for line in COMMANDS.splitlines():
        options = build_parser().parse_args(shlex.split(line.replace("toy", name))[1:])
        assert getattr(options, "recipe", name) == name
