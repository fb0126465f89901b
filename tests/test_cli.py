"""The command line as people use it: results, help with examples, and one sentence for each kind of bad input."""

import json
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
from PIL import Image

from vitseg_lib import cli, files, recipes, state_files
from vitseg_lib.commands import common, running, using
from vitseg_lib.data.ade20k import read_labels
from vitseg_lib.data.classes import read_classes
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.engine.inference import predict
from vitseg_lib.engine.precision import PRECISIONS
from vitseg_lib.model import weights

COMMANDS = ("recipes", "data", "train", "evaluate", "reproduce", "predict", "convert", "export")
QUIET = ("--device", "cpu", "--no-progress")


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
def test_help_has_examples_that_parse(command, capsys):
    with pytest.raises(SystemExit) as stop:
        vitseg(command, "--help")
    assert stop.value.code == 0
    examples = capsys.readouterr().out.split("example:\n")[1].strip().split("\n")
    for example in examples:
        options = cli.build_parser().parse_args(re.split("vitseg_lib |vitseg ", example)[1].split())
        assert callable(resolve_name(f"vitseg_lib.{options.run}"))


def test_help_lists_all_commands_without_importing_torch():
    code = (
        "import sys; from vitseg_lib import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "assert not sys.modules.keys() & {'torch', 'numpy', 'PIL'}"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(command in found.stdout for command in COMMANDS)


def test_every_option_belongs_to_a_command(capsys):
    helps = ""
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            vitseg(command, "--help")
        helps += capsys.readouterr().out
    assert all(f"{option.split()[-1]} " in helps for option in cli.OPTIONS if "--" in option)


def test_recipes_lists_every_recipe_and_what_was_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_json(tmp_path / "runs" / "a" / "result.json", {"recipe": "deit_b16_80k", "mIoU": 12.345})
    files.write_json(tmp_path / "runs" / "b" / "result.json", {"recipe": "deit_b16_80k", "mIoU": 11})
    files.write_json(tmp_path / "runs" / "c" / "result.json", ["another program's"])
    assert vitseg("recipes") == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[1 : 1 + len(recipes.names())]] == recipes.names()
    assert any(line.startswith("deit_b16_80k ") and line.endswith("mIoU 12.35") for line in lines)
    assert sum(line.endswith("not run") for line in lines) == len(recipes.names()) - 1


def test_the_options_of_train_are_the_settings_of_a_run(tmp_path):
    """Every field can be set from the command line, under its own name, and has the same default there."""
    command = ["train", "toy", "--data", str(tmp_path), "--out", "run", "--device", "cpu"]
    settings = running.run_settings(cli.build_parser().parse_args(command))
    assert settings == RunSettings(recipe=recipes.get("toy"), data=tmp_path, out=Path("run"))
    changed = {"seed": 5, "precision": "bf16", "accumulate": 2, "workers": 1, "checkpoint_every": 7}
    changed |= {"cache": tmp_path / "cache", "deterministic": True, "tensorboard": True}
    assert changed.keys() | {"recipe", "data", "out", "device", "compile"} == {f.name for f in fields(RunSettings)}
    of_recipe = {"iterations": 3, "batch_size": 4, "evaluate_every": 2, "pretrained": "a_tag"}
    for name, value in (changed | of_recipe).items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    settings = running.run_settings(cli.build_parser().parse_args(command))
    assert {name: getattr(settings, name) for name in changed} == changed
    assert {name: getattr(settings.recipe, name) for name in of_recipe} == of_recipe
    options = cli.build_parser().parse_args(
        ["train", "deit_s16_80k", "--data", "d", "--out", "o", "--pretrained", "none", "--device", "cpu"]
    )
    assert running.run_settings(options).recipe.pretrained is None
    assert cli.OPTIONS["--precision"]["choices"] == PRECISIONS


def test_train_evaluate_predict_convert(root, tmp_path, capsys):
    out = tmp_path / "run"
    assert vitseg("train", "toy", "--data", root, "--out", out, "--iterations", 2, "--batch-size", 2, *QUIET) == 0
    trained = json.loads((out / "result.json").read_text())
    file = out / "last.safetensors"
    assert vitseg("evaluate", "toy", "--weights", file, "--data", root, *QUIET, "--json", tmp_path / "r.json") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["recipe"] == "toy" and result["mode"] == "whole" and result["weights"] == str(file)
    for key in ("mIoU", "mAcc", "aAcc", "classes"):
        assert result[key] == trained[key]
    photo = next((root / "images" / "validation").iterdir())
    assert vitseg("predict", photo, "--recipe", "toy", "--weights", file, "--out", tmp_path / "p", "--no-progress") == 0
    labels = read_labels(tmp_path / "p" / f"{photo.stem}.png", read_classes(root))
    model = recipes.build_model(recipes.get("toy"), len(read_classes(root))).eval()
    weights.load(model, file)
    with Image.open(photo) as image:  # the plain path's labels, but where rounding decides
        assert (labels == predict(model, np.array(image), recipes.get("toy"))).mean() > 0.999
    assert labels.max() < len(read_classes(root))  # a prediction ignores nothing
    for to, suffix in (("mmseg", "pth"), ("timm", "safetensors"), ("half", "safetensors")):
        assert vitseg("convert", "toy", "--weights", file, "--to", to, "--out", tmp_path / f"{to}.{suffix}") == 0
    state = model.state_dict()
    fresh = recipes.build_model(recipes.get("toy"), len(read_classes(root)))
    weights.load_mmseg(fresh, tmp_path / "mmseg.pth")
    assert all(torch.equal(value, state[key]) for key, value in fresh.state_dict().items())
    of_timm = state_files.read_safetensors(tmp_path / "timm.safetensors")[0]
    assert of_timm.keys() == model.encoder.state_dict().keys()
    assert all(torch.equal(value, state[f"encoder.{key}"]) for key, value in of_timm.items())
    assert (tmp_path / "half.safetensors").stat().st_size < 0.51 * file.stat().st_size
    assert "mIoU" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["--ms-flip", "--slide"])
def test_other_ways_to_evaluate(mode, root, toy_file, tmp_path):
    where = ("--data", root, *QUIET, "--limit", 1, "--json", tmp_path / "r.json")
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


FULL_SIZE = [pytest.param(name, marks=pytest.mark.slow) for name in ("deit_s16_160k", "deit_s16_mln_160k")]


@pytest.mark.parametrize("recipe", ["toy", "toy_mln", *FULL_SIZE])
def test_photographs_of_every_kind(recipe, tmp_path):
    photos = odd_images(tmp_path)
    assert vitseg("predict", *photos, "--recipe", recipe, "--weights", "random", "--out", tmp_path / "p") == 0
    assert len(list((tmp_path / "p").iterdir())) == 2 * len(photos)
    for photo in photos:
        with Image.open(photo) as image, Image.open(tmp_path / "p" / f"{photo.stem}.png") as labels:
            assert labels.size == image.size


def test_a_full_size_recipe_on_ade20k_files(ade20k_root, tmp_path):
    where = ("--data", ade20k_root, *QUIET, "--limit", 3, "--json", tmp_path / "r.json")
    assert vitseg("evaluate", "deit_s16_160k", "--weights", "random", *where) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert len(result["classes"]) == 150 and 0 <= result["mIoU"] < 5  # random weights know nothing


def test_a_missing_data_set(refused, tmp_path):
    assert "There is no data set" in refused("train", "toy", "--data", tmp_path / "x", "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_missing_image(refused, broken, tmp_path):
    next((broken / "images" / "training").iterdir()).unlink()
    assert "has no image" in refused("train", "toy", "--data", broken, "--out", tmp_path / "r")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image(workers, refused, broken, toy_file):
    path = sorted((broken / "images" / "validation").iterdir())[0]
    path.write_bytes(path.read_bytes()[:1500])
    error = refused("evaluate", "toy", "--weights", toy_file, "--data", broken, *QUIET, "--workers", workers)
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


def rewrite_classes(data, change):
    path = data / "classes.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["classes"])
    path.write_text(json.dumps(content), encoding="utf-8")
    return [entry["name"] for entry in content["classes"]]


def test_weights_of_other_classes(refused, broken, toy_file, root, tmp_path):
    """As many classes, which load without a complaint: the scores would be nonsense under wrong names."""
    names = read_classes(root).names
    photo = next((root / "images" / "validation").iterdir())
    commands = {
        "evaluate": ("evaluate", "toy", "--weights", toy_file, "--data", broken, *QUIET),
        "predict": (
            *("predict", photo, "--recipe", "toy", "--weights", toy_file, "--classes", broken),
            *("--out", tmp_path / "p", *QUIET),
        ),
    }
    rewrite_classes(broken, list.reverse)
    for command in commands.values():
        error = refused(*command)
        assert error == (
            f"vitseg: error: {toy_file} was trained on other classes: class number 1 is {names[0]}, and in {broken} it "
            f"is {names[-1]}; use the data set of these weights, or train on this one."
        )
    rewrite_classes(broken, list.reverse)
    rewrite_classes(broken, lambda entries: entries[3].update(name="a cloud"))
    for command in commands.values():
        assert f"class number 4 is {names[3]}, and in {broken} it is a cloud;" in refused(*command)
    rewrite_classes(broken, lambda entries: entries.pop())
    rewrite_classes(broken, lambda entries: entries[3].update(name=names[3]))
    for command in commands.values():
        assert f"number {len(names)} is {names[-1]}, and in {broken} it is missing;" in refused(*command)
    assert not (tmp_path / "p").exists()


def test_weights_of_the_same_classes_in_other_colours_or_without_names_are_used(broken, toy_file, root, tmp_path):
    where = ("--data", broken, *QUIET, "--limit", 1)
    rewrite_classes(broken, lambda entries: [entry.update(colour=[i, 0, 0]) for i, entry in enumerate(entries)])
    assert vitseg("evaluate", "toy", "--weights", toy_file, *where) == 0
    rewrite_classes(broken, list.reverse)
    weights.save(recipes.build_model(recipes.get("toy"), len(read_classes(root))), tmp_path / "bare.safetensors")
    assert vitseg("evaluate", "toy", "--weights", tmp_path / "bare.safetensors", *where) == 0


def test_weights_that_are_not_there_or_were_never_published(refused, root, tmp_path):
    assert "no such weights file" in refused("evaluate", "toy", "--weights", tmp_path / "w.pth", "--data", root)
    assert "Nobody published" in refused("evaluate", "toy", "--weights", "published", "--data", root)


def test_a_full_disk(refused, root, toy_file, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    where = ("--data", root, "--limit", 1, *QUIET, "--json", tmp_path / "r.json")
    error = refused("evaluate", "toy", "--weights", toy_file, *where)
    assert "r.json" in error and "space" in error
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unless_requested(refused, root, toy_file, tmp_path):
    photo = next((root / "images" / "validation").iterdir())
    predict = ("predict", photo, "--recipe", "toy", "--weights", "random", "--out", tmp_path / "p")
    assert vitseg(*predict) == 0
    assert "overwrite" in refused(*predict)
    assert vitseg(*predict, "--overwrite") == 0
    assert "holds images" in refused("data", "toy", "--out", root)
    (tmp_path / "r.json").write_text("mine")
    evaluate = ("evaluate", "toy", "--weights", toy_file, "--data", root, *QUIET, "--limit", 1)
    assert "overwrite" in refused(*evaluate, "--json", tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text() == "mine"
    assert vitseg(*evaluate, "--json", tmp_path / "r.json", "--overwrite") == 0
    assert json.loads((tmp_path / "r.json").read_text())["recipe"] == "toy"


def test_two_photographs_of_one_name(refused, root, tmp_path):
    photo = next((root / "images" / "validation").iterdir())
    other = tmp_path / "other" / photo.name
    other.parent.mkdir()
    shutil.copy(photo, other)
    command = ("predict", photo, other, "--recipe", "toy", "--weights", "random", "--out", tmp_path / "q")
    assert "written twice" in refused(*command)


def test_compiling_for_a_cpu_is_refused_before_anything_starts(refused, root, tmp_path):
    """The first step would take minutes, and each further one longer than without."""
    command = ("train", "toy", "--data", root, "--out", tmp_path / "run", "--compile", *QUIET)
    assert refused(*command) == "vitseg: error: --compile is for GPUs: leave it out on this device, a CPU."
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there(refused, root):
    assert "device cuda:99" in refused("evaluate", "toy", "--weights", "random", "--data", root, "--device", "cuda:99")


@pytest.mark.parametrize("requested", [None, "cuda"])
def test_each_process_of_torchrun_touches_its_own_gpu_alone(requested, monkeypatch):
    touched = []
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda n, device: touched.append(str(device)) or zeros(n))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for name, value in (("RANK", "11"), ("WORLD_SIZE", "16"), ("LOCAL_RANK", "3")):
        monkeypatch.setenv(name, value)
    options = Namespace(device=requested, workers=None)
    common.settle_machine(options)
    assert touched == ["cuda:3"] and options.device == "cuda:3"
    assert 1 <= options.workers <= 8


def test_check_names_a_data_set(refused, root, capsys):
    assert vitseg("data", "check", root) == 0
    assert "vitseg data check ROOT" in refused("data", "check")
    assert "write --out folder" in refused("data", "toy", "folder")


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(using, "show_recipes", interrupted)
    assert vitseg("recipes") == 130
    assert capsys.readouterr().err.strip() == "vitseg: stopped"


def fail_with(error, monkeypatch):
    def fail(options):
        raise error

    monkeypatch.setattr(using, "show_recipes", fail)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_no_memory_is_one_sentence(monkeypatch, refused, error):
    fail_with(error, monkeypatch)
    assert "out of memory; use a smaller image" in refused("recipes")


@pytest.mark.parametrize("text", ["a bug", "CUDA error: an illegal memory access was encountered"])
def test_another_fault_keeps_its_traceback(text, monkeypatch):
    fail_with(RuntimeError(text), monkeypatch)
    with pytest.raises(RuntimeError, match=text):
        vitseg("recipes")


def test_predict_reads_no_weights_before_it_knows_the_images(refused, tmp_path):
    arguments = ("--recipe", "toy", "--weights", tmp_path / "none.safetensors", "--out", tmp_path)
    assert "gone.jpg does not exist" in refused("predict", tmp_path / "gone.jpg", *arguments)


def test_evaluate_reads_no_weights_before_it_knows_the_data_set(refused, tmp_path):
    where = ("--weights", tmp_path / "none.safetensors", "--data", tmp_path / "gone")
    assert "There is no data set at" in refused("evaluate", "toy", *where)


def test_a_file_in_the_place_of_the_cache_is_named_before_anything_is_made(root, refused, tmp_path):
    (tmp_path / "cache").write_text("mine")
    command = ("train", "toy", "--data", root, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert f"{tmp_path / 'cache'} is a file: name a folder for --cache." in refused(*command)
    assert (tmp_path / "cache").read_text() == "mine" and not (tmp_path / "run").exists()
