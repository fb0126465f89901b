"""The command line as people use it: results, help with examples, and one sentence for each kind of bad input."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from vitseg_lib import cli, files, recipes
from vitseg_lib.commands import listing
from vitseg_lib.data.ade20k import read_classes, read_labels
from vitseg_lib.model import weights

COMMANDS = ("recipes", "data", "train", "evaluate", "reproduce", "predict", "convert", "export")


def vitseg(*arguments) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture
def refused(capsys):
    """Run a command that must fail; return its one sentence."""

    def run(*arguments) -> str:
        capsys.readouterr()
        assert vitseg(*arguments) == 2
        error = capsys.readouterr().err.strip().split("\n")[-1]
        assert error.startswith("vitseg: error: ") and error.endswith("."), error
        return error

    return run


@pytest.fixture(scope="module")
def root(tmp_path_factory, request):
    """Four training and two validation scenes of the committed ones."""
    source = request.getfixturevalue("toy_root")
    root = tmp_path_factory.mktemp("data")
    shutil.copy(source / "classes.json", root)
    for kind in ("images", "annotations"):
        for split, count in (("training", 4), ("validation", 2)):
            (root / kind / split).mkdir(parents=True)
            for path in sorted((source / kind / split).iterdir())[:count]:
                shutil.copy(path, root / kind / split)
    return root


@pytest.fixture
def broken(root, tmp_path):
    """A copy of `root` that a test may spoil."""
    return shutil.copytree(root, tmp_path / "broken")


@pytest.fixture(scope="module")
def toy_file(root, tmp_path_factory):
    """Untrained weights of the toy recipe, with classes in the header."""
    path = tmp_path_factory.mktemp("weights") / "toy.safetensors"
    classes = read_classes(root)
    weights.save(recipes.build_model(recipes.get("toy"), len(classes)), path, classes=classes.as_dict())
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as stop:
        vitseg(command, "--help")
    assert stop.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1].strip().split("\n")[0]
    options = cli.build_parser().parse_args(example.split()[1:])
    assert callable(options.run)


def test_help_lists_all_commands_without_importing_torch():
    code = (
        "import sys; from vitseg_lib import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(command in found.stdout for command in COMMANDS)


def test_recipes_lists_every_recipe_and_what_was_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_json(tmp_path / "runs" / "a" / "result.json", {"recipe": "deit_b16_80k", "mIoU": 12.345})
    assert vitseg("recipes") == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[1 : 1 + len(recipes.names())]] == recipes.names()
    assert any(line.startswith("deit_b16_80k ") and line.endswith("mIoU 12.35") for line in lines)
    assert sum(line.endswith("not run") for line in lines) == len(recipes.names()) - 1


def test_train_evaluate_predict_convert(root, tmp_path, capsys):
    out = tmp_path / "run"
    options = ("--iterations", 2, "--batch-size", 2, "--device", "cpu", "--no-progress")
    assert vitseg("train", "toy", "--data", root, "--out", out, *options) == 0
    trained = json.loads((out / "result.json").read_text())
    file = out / "last.safetensors"
    where = ("--data", root, "--device", "cpu", "--no-progress")
    assert vitseg("evaluate", "toy", "--weights", file, *where, "--json", tmp_path / "r.json") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert {key: result[key] for key in ("mIoU", "mAcc", "aAcc", "classes")} == {
        key: trained[key] for key in ("mIoU", "mAcc", "aAcc", "classes")
    }
    photo = next((root / "images" / "validation").iterdir())
    assert vitseg("predict", photo, "--recipe", "toy", "--weights", file, "--out", tmp_path / "p", "--no-progress") == 0
    labels = read_labels(tmp_path / "p" / f"{photo.stem}.png", read_classes(root))
    with Image.open(photo) as image:
        assert labels.shape == image.size[::-1]
    assert labels.max() < len(read_classes(root))  # a prediction ignores nothing
    for to, loader in (("mmseg", weights.load_mmseg), ("timm", None)):
        target = tmp_path / f"{to}.{'pth' if to == 'mmseg' else 'safetensors'}"
        assert vitseg("convert", "toy", "--weights", file, "--to", to, "--out", target) == 0
        model = recipes.build_model(recipes.get("toy"), len(read_classes(root)))
        loader(model, target) if loader else weights.load_timm(model.encoder, target)
        trained_state = weights.read_safetensors(file)[0]
        assert torch.equal(
            model.encoder.blocks[5].mlp.expand.weight, trained_state["encoder.blocks.5.mlp.expand.weight"]
        )
    assert "mIoU" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["--ms-flip", "--slide"])
def test_other_ways_to_evaluate(mode, root, toy_file, tmp_path):
    where = ("--data", root, "--device", "cpu", "--no-progress", "--limit", 1, "--json", tmp_path / "r.json")
    assert vitseg("evaluate", "toy", "--weights", toy_file, *where, mode) == 0
    assert json.loads((tmp_path / "r.json").read_text())["mode"] == mode[2:].replace("-", "_")


def odd_images(folder):
    """Photographs of every kind that people have."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (37, 53, 3), dtype=np.uint8))
    made = {
        "one_pixel.png": Image.new("RGB", (1, 1), "red"),
        "narrow.png": Image.new("RGB", (4000, 17), "green"),
        "grey.jpg": colour.convert("L"),
        "sixteen_bit.png": Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16)),
        "cmyk.jpg": colour.convert("CMYK"),
        "palette.png": colour.convert("P"),
        "alpha.png": colour.convert("RGBA"),
        "one_bit.png": colour.convert("1"),
    }
    for name, image in made.items():
        image.save(folder / name)
    return [folder / name for name in made]


@pytest.mark.parametrize("recipe", ["toy", "toy_mln"])
def test_photographs_of_every_kind(recipe, tmp_path):
    photos = odd_images(tmp_path)
    assert vitseg("predict", *photos, "--recipe", recipe, "--weights", "random", "--out", tmp_path / "p") == 0
    for photo in photos:
        with Image.open(photo) as image, Image.open(tmp_path / "p" / f"{photo.stem}.png") as labels:
            assert labels.size == image.size


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["deit_s16_160k", "deit_s16_mln_160k"])
def test_photographs_of_every_kind_at_full_size(recipe, tmp_path):
    photos = odd_images(tmp_path)
    assert vitseg("predict", *photos, "--recipe", recipe, "--weights", "random", "--out", tmp_path / "p") == 0
    assert len(list((tmp_path / "p").iterdir())) == 2 * len(photos)


def test_a_full_size_recipe_on_ade20k_files(ade20k_root, tmp_path):
    where = ("--data", ade20k_root, "--device", "cpu", "--no-progress", "--limit", 3, "--json", tmp_path / "r.json")
    assert vitseg("evaluate", "deit_s16_160k", "--weights", "random", *where) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert len(result["classes"]) == 150 and 0 <= result["mIoU"] < 5  # random weights know nothing


def test_an_unknown_recipe(refused, root):
    error = refused("evaluate", "deit_s16_16k", "--weights", "random", "--data", root)
    assert "'deit_s16_160k'" in error


def test_a_missing_data_set(refused, tmp_path):
    assert "there is no data set" in refused("train", "toy", "--data", tmp_path / "x", "--out", tmp_path / "r").lower()
    assert not (tmp_path / "r").exists()


def test_a_missing_image(refused, broken, tmp_path):
    next((broken / "images" / "training").iterdir()).unlink()
    assert "has no image" in refused("train", "toy", "--data", broken, "--out", tmp_path / "r")
    assert "does not exist" in refused(
        "predict", tmp_path / "no.jpg", "--recipe", "toy", "--weights", "random", "--out", tmp_path / "p"
    )


def test_a_truncated_image(refused, broken, toy_file, tmp_path):
    path = sorted((broken / "images" / "validation").iterdir())[0]
    path.write_bytes(path.read_bytes()[:1500])
    for workers in (0, 1):
        where = ("--data", broken, "--no-progress", "--device", "cpu", "--workers", workers)
        error = refused("evaluate", "toy", "--weights", toy_file, *where)
        assert path.name in error and "truncated" in error


def test_a_mask_of_another_size(refused, broken, toy_file):
    path = sorted((broken / "annotations" / "validation").iterdir())[0]
    Image.new("L", (5, 5)).save(path)
    error = refused("evaluate", "toy", "--weights", toy_file, "--data", broken, "--no-progress")
    assert path.name in error and "5 wide and 5 high" in error


def test_a_label_outside_the_classes(refused, broken, tmp_path):
    for path in (broken / "annotations" / "training").iterdir():
        with Image.open(path) as image:
            spoilt = np.array(image)
        spoilt[0, 0] = 77
        Image.fromarray(spoilt).save(path)
    error = refused("train", "toy", "--data", broken, "--out", tmp_path / "r", "--no-progress")
    assert "label 77" in error and ".png" in error


def test_weights_of_another_model(refused, root, toy_file, tmp_path):
    error = refused("evaluate", "toy_mln", "--weights", toy_file, "--data", root)
    assert "neck.branches.0" in error and "toy.safetensors" in error
    weights.save(recipes.build_model(recipes.get("toy"), 3), tmp_path / "three.safetensors")
    error = refused("evaluate", "toy", "--weights", tmp_path / "three.safetensors", "--data", root)
    assert "of another shape" in error and "3×64×1×1" in error


def test_weights_that_are_not_there_or_were_never_published(refused, root, tmp_path):
    assert "no such weights file" in refused("evaluate", "toy", "--weights", tmp_path / "w.pth", "--data", root)
    assert "Nobody published" in refused("evaluate", "toy", "--weights", "published", "--data", root)


def test_a_full_disk(refused, root, toy_file, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    error = refused(
        "evaluate",
        "toy",
        "--weights",
        toy_file,
        "--data",
        root,
        "--limit",
        1,
        "--no-progress",
        "--json",
        tmp_path / "r.json",
    )
    assert "r.json" in error and "space" in error
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(refused, root, tmp_path):
    photo = next((root / "images" / "validation").iterdir())
    predict = ("predict", photo, "--recipe", "toy", "--weights", "random", "--out", tmp_path / "p")
    assert vitseg(*predict) == 0
    assert "overwrite" in refused(*predict)
    assert vitseg(*predict, "--overwrite") == 0
    assert "holds images" in refused("data", "toy", "--out", root)
    other = tmp_path / "other" / photo.name
    other.parent.mkdir()
    shutil.copy(photo, other)
    assert "written twice" in refused(
        "predict", photo, other, "--recipe", "toy", "--weights", "random", "--out", tmp_path / "q"
    )


def test_a_device_that_is_not_there(refused, root):
    assert "device cuda:99" in refused("evaluate", "toy", "--weights", "random", "--data", root, "--device", "cuda:99")


def test_check_names_a_data_set(refused, root, capsys):
    assert vitseg("data", "check", root) == 0
    assert "vitseg data check ROOT" in refused("data", "check")


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "show_recipes", interrupted)
    assert vitseg("recipes") == 130
    assert capsys.readouterr().err.strip() == "vitseg: stopped"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_no_memory_is_one_sentence(monkeypatch, refused, error):
    def fail(options):
        raise error

    monkeypatch.setattr(listing, "show_recipes", fail)
    assert "out of memory; use a smaller image" in refused("recipes")


def test_another_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(listing, "show_recipes", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        vitseg("recipes")


def test_predict_reads_no_weights_before_it_knows_the_images(refused, tmp_path):
    arguments = ("--recipe", "toy", "--weights", tmp_path / "none.safetensors", "--out", tmp_path)
    assert "gone.jpg does not exist" in refused("predict", tmp_path / "gone.jpg", *arguments)


def test_a_file_in_the_place_of_the_cache_is_named_before_anything_is_made(toy_root, tmp_path, capsys):
    (tmp_path / "cache").write_text("mine")
    command = ["train", "toy", "--data", toy_root, "--out", tmp_path / "run", "--cache", tmp_path / "cache"]
    assert cli.main([str(part) for part in command]) == 2
    assert f"{tmp_path / 'cache'} is a file: name a folder for --cache." in capsys.readouterr().err
    assert (tmp_path / "cache").read_text() == "mine" and not (tmp_path / "run").exists()
