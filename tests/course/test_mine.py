"""The learner's own file: what is kept, what is refused, what is used, and how it is graded."""

import ast
import json
import linecache
import multiprocessing
import sys
import types
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vitseg_lib import cli, recipes
from vitseg_lib.course import grade, keeping, mine, solution
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.schedule import build_optimizer
from vitseg_lib.files import InputError
from vitseg_lib.model import weights

SOLUTION = Path(solution.__file__)


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("VITSEG_MINE", str(tmp_path / "mine.py"))
    return tmp_path / "mine.py"


@pytest.fixture
def notebook(monkeypatch):
    """Run a cell as a kernel does: its names are `__main__`'s, and its source is in linecache."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("import math, torch, numpy as np, einops\nfrom torch import nn\nfrom einops import rearrange", main.__dict__)
    exec("import torch.nn.functional as F", main.__dict__)
    main.__dict__.update({name: getattr(solution, name) for name in mine.PARTS})
    count = iter(range(1000))

    def cell(source: str) -> types.ModuleType:
        name = f"<cell {next(count)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), main.__dict__)
        return main

    return cell


def source_of(name: str) -> str:
    text = SOLUTION.read_text()
    node = next(node for node in ast.parse(text).body if getattr(node, "name", None) == name)
    return ast.get_source_segment(text, node) + "\n"


def check(cell: types.ModuleType, name: str):
    return mine.PARTS[name].check(getattr(cell, name))


def test_every_part_is_in_the_solution_in_this_order_and_its_check_says_right():
    assert mine.defined(SOLUTION.read_text()) == list(mine.PARTS)
    for name, part in mine.PARTS.items():
        feedback = part.check(getattr(solution, name))
        assert feedback.verdict == "right", f"{name}: {feedback}"


def test_a_right_answer_is_kept_in_the_order_of_the_pipeline_and_formatted(notebook, file):
    for done, name in enumerate(("Block", "labels_from_file", "SelfAttention", "MLP"), 1):
        feedback = check(notebook(source_of(name)), name)
        assert f"Kept in mine.py: {done} of {len(mine.PARTS)} parts are yours." in feedback.message
    assert mine.defined(file.read_text()) == ["labels_from_file", "SelfAttention", "MLP", "Block"]
    order = [file.read_text().index(f" {name}(") for name in ("labels_from_file", "SelfAttention", "MLP", "Block")]
    assert order == sorted(order)
    assert keeping.formatted(file.read_text()) == file.read_text()
    assert mine.defined(mine.before(file).read_text()) == ["labels_from_file", "SelfAttention", "Block"]
    compile(file.read_text(), "mine.py", "exec")


def test_a_wrong_answer_is_never_kept_and_replaces_nothing(notebook, file):
    check(notebook(source_of("MLP")), "MLP")
    kept = file.read_text()
    wrong = source_of("MLP").replace("F.gelu", "F.relu")
    assert check(notebook(wrong), "MLP").verdict == "not yet"
    assert file.read_text() == kept


def test_what_an_answer_uses_is_kept_with_it(notebook, file):
    cell = notebook("from functools import partial\nSLOPE = 2\n\ndef doubled(x):\n    return SLOPE * x\n")
    source = source_of("MLP").replace("self.fc1(tokens)", "doubled(self.fc1(tokens)) / SLOPE")
    source = source.replace("F.gelu(", "partial(F.gelu)(").replace("import", "import")
    assert "Kept" in check(notebook(source), "MLP").message
    text = file.read_text()
    assert "from functools import partial" in text and "SLOPE = 2" in text and "def doubled" in text
    space = mine.run(text, file)
    assert mine.PARTS["MLP"].check(space["MLP"]).verdict == "right"
    assert cell.doubled(1) == 2


def test_a_helper_that_would_change_another_part_is_refused(notebook, file):
    notebook("def half(x):\n    return x / 2\n")
    check(notebook(source_of("MLP").replace("self.fc1(tokens)", "half(2 * self.fc1(tokens))")), "MLP")
    kept = file.read_text()
    notebook("def half(x):\n    return 0.5 * x + 0\n")
    other = source_of("SelfAttention").replace("self.qkv(tokens)", "half(2 * self.qkv(tokens))")
    feedback = check(notebook(other), "SelfAttention")
    assert feedback.verdict == "right" and "`half` already means something else" in feedback.message
    assert file.read_text() == kept


def test_a_helper_of_the_same_part_is_replaced_with_it(notebook, file):
    source = source_of("MLP").replace("self.fc1(tokens)", "half(2 * self.fc1(tokens))")
    notebook("def half(x):\n    return x / 2\n")
    check(notebook(source), "MLP")
    notebook("def half(x):\n    return 0.5 * x + 0\n")
    assert "Kept" in check(notebook(source), "MLP").message
    assert "0.5 * x" in file.read_text() and "x / 2" not in file.read_text()


def test_the_librarys_own_version_is_not_taken_for_the_learners(notebook, file):
    notebook("from vitseg_lib.model.attention import SelfAttention as Theirs\n")
    feedback = check(
        notebook("class SelfAttention(Theirs):\n    def spare(self):\n        return 0\n"), "SelfAttention"
    )
    assert feedback.verdict == "right" and "write that part yourself" in feedback.message
    assert not file.exists()


def test_a_part_is_replaced_and_the_version_before_is_beside_it(notebook, file):
    check(notebook(source_of("MLP")), "MLP")
    first = file.read_text()
    again = source_of("MLP").replace("hidden_dim)", "hidden_dim, bias=True)", 1)
    check(notebook(again), "MLP")
    assert "bias=True" in file.read_text() and mine.before(file).read_text() == first


def test_comments_and_functions_of_the_learners_own_stay(notebook, file):
    check(notebook(source_of("Block")), "Block")
    note = "# what I noticed\ndef my_notes():\n    return 'keep me'\n"
    file.write_text(file.read_text() + "\n\n" + note)
    for name in ("MLP", "Encoder", "Block"):
        check(notebook(source_of(name)), name)
    assert "# what I noticed" in file.read_text() and "keep me" in file.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class MLP(:\n", "line 1: this is not Python"),
        ("import torch\n\nwhile True:\n    pass\n", "line 3: only imports, functions"),
        ("import no_such_package_here\n", "does not import (ModuleNotFoundError"),
        ("WIDTH = 1 / 0\n", "does not import (ZeroDivisionError"),
        (b"\xff\xfe\x00", "cannot be read as text"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(notebook, file, capsys, text, words):
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    feedback = check(notebook(source_of("MLP")), "MLP")
    assert feedback.verdict == "right" and "not kept" in feedback.message and words in feedback.message
    assert mine.parts("SelfAttention") is solution.SelfAttention
    if b"while" in before or b"(:" in before or b"\xff" in before:
        assert words in capsys.readouterr().out
        with pytest.raises(InputError, match=r"mine\.py"):
            mine.read(file)
    assert file.read_bytes() == before


def test_parts_are_the_learners_where_they_are_right_and_the_courses_elsewhere(notebook, file, capsys):
    check(notebook(source_of("MLP")), "MLP")
    check(notebook(source_of("SelfAttention")), "SelfAttention")
    file.write_text(file.read_text().replace("dim=-1).", "dim=-2).").replace("softmax(dim=-1)", "softmax(dim=-2)"))
    attention, mlp, block = mine.parts("SelfAttention", "MLP", "Block")
    assert attention is solution.SelfAttention and block is solution.Block and mlp is not solution.MLP
    out = capsys.readouterr().out
    assert (
        "yours: MLP · the course's: SelfAttention, Block" in out and "your SelfAttention in mine.py is not right" in out
    )


def test_a_learners_block_is_built_of_the_learners_parts(notebook, file):
    for name in ("MLP", "Block"):
        check(notebook(source_of(name)), name)
    text = file.read_text()
    file.write_text(text.replace("class MLP(nn.Module):", "class MLP(nn.Module):\n    mark = 'mine'\n"))
    block = mine.parts("Block")(embed_dim=4, num_heads=2)
    assert block.mlp.mark == "mine" and type(block.attn) is solution.SelfAttention


def keep_in_a_process(path: str, name: str) -> None:
    """One of two notebooks."""
    main = sys.modules["__main__"]
    source = source_of(name)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space = main.__dict__
    exec(mine.HEADER, space)
    exec(compile(source, name, "exec"), space)
    space[name].__module__ = "__main__"
    for _ in range(3):
        assert "Kept" in keeping.keep(name, space[name])


@pytest.mark.slow
def test_two_notebooks_that_write_at_once_lose_nothing(file):
    context = multiprocessing.get_context("spawn")
    names = ("MLP", "SelfAttention", "LayerNorm")
    processes = [context.Process(target=keep_in_a_process, args=(str(file), name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert mine.defined(file.read_text()) == ["SelfAttention", "LayerNorm", "MLP"]


# Grading


def graded(*arguments: str) -> int:
    return cli.main(["grade", *arguments])


def test_the_courses_own_file_gets_everything_right(file, tmp_path, capsys):
    file.write_text(SOLUTION.read_text())
    assert graded("--json", str(tmp_path / "grade.json")) == 0
    report = json.loads((tmp_path / "grade.json").read_text())
    assert {row["verdict"] for row in report["parts"].values()} == {"right"}
    assert max(report["whole"]["differences"].values()) < 1e-12
    toy = json.loads((SOLUTION.parents[2] / "data" / "weights" / "toy.json").read_text())
    assert report["whole"]["mIoU"] == pytest.approx(toy["mIoU"], abs=0.01)
    assert f"{len(mine.PARTS)} of {len(mine.PARTS)} parts" in capsys.readouterr().out


def test_missing_wrong_and_endless_parts_are_told_apart(file, capsys, monkeypatch):
    monkeypatch.setattr(grade, "SECONDS", 6.0)
    endless = source_of("top_down").replace("    sums = list(levels)", "    while True:\n        pass\n    sums = []")
    leaves = source_of("MLP").replace("return self", "__import__('os')._exit(3)\n        return self")
    other = source_of("Block").replace("self, *, embed_dim", "self, width, *, embed_dim")
    file.write_text("\n\n".join([mine.HEADER, leaves, other, source_of("LayerNorm"), endless]))
    assert graded() == 1
    out = capsys.readouterr().out
    for words in ("✓ 05 LayerNorm", "✗ 07 top_down", "endless loop", "ended the whole process", "· 03 PatchEmbedding"):
        assert words in out
    assert "missing 1 required positional argument: 'width'" in out


def test_a_file_that_does_not_import_is_named(file, capsys):
    file.write_text("import no_such_package_here\n\n\n" + source_of("MLP"))
    assert graded() == 2
    assert "mine.py does not import (ModuleNotFoundError" in capsys.readouterr().err


def test_a_file_that_is_not_there_gets_a_sentence(tmp_path, capsys):
    assert graded(str(tmp_path / "no.py")) == 2
    assert "There is no" in capsys.readouterr().err
    assert graded() == 1  # nothing written yet is no fault


# The course's own file


def test_the_solution_is_one_short_file():
    lines = [line for line in SOLUTION.read_text().splitlines() if line.strip()]
    print(f"solution.py: {len(lines)} lines without blank ones")
    assert len(lines) < 300


@pytest.mark.parametrize("name", ["toy", "toy_mln", pytest.param("deit_s16_ln_mln_160k", marks=pytest.mark.slow)])
def test_the_solution_equals_the_library_in_double_precision(name):
    recipe = replace(recipes.get(name), crop=128)  # of the full crop, double precision takes 12 GB
    parts = SimpleNamespace(**vars(solution))
    differences = grade.parity(parts, recipe)
    print(name, differences)
    assert max(differences.values()) < 1e-6


@pytest.mark.parametrize("name", ["toy", "toy_mln"])
def test_ten_training_steps_end_in_the_same_weights(name):
    recipe = recipes.get(name)
    left = []
    for parts in (None, solution):
        torch.manual_seed(0)
        model = recipes.build_model(recipe, 5, parts=parts).double()  # Adam magnifies float32's rounding
        if left:
            model.load_state_dict(left[0])
        left.append({key: value.clone() for key, value in model.state_dict().items()})
        left.append(ten_steps(model, recipe, parts))
    assert left[1].keys() == left[3].keys()
    assert max(float((left[1][key] - left[3][key]).abs().max()) for key in left[1]) < 1e-5


def ten_steps(model, recipe, parts):
    loss = parts.segmentation_loss if parts else segmentation_loss
    optimizer = build_optimizer(model, recipe)
    if parts:
        groups = parts.parameter_groups(model, recipe.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
    torch.manual_seed(1)
    for step in range(10):
        for group in optimizer.param_groups:
            group["lr"] = solution.learning_rate(step, 1400, 3e-4, 40)
        pixels, labels = torch.randn(2, 3, 64, 64).double(), torch.randint(5, (2, 64, 64))
        logits, stages = model.train()(pixels, return_stages=True)
        (loss(logits, labels) + 0.4 * loss(stages["aux_logits"], labels)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {key: value.detach() for key, value in model.state_dict().items()}


def test_published_names_load_strictly_into_the_solution():
    recipe = recipes.get("deit_s16_mln_160k")
    theirs = recipes.build_model(recipe)
    ours = recipes.build_model(recipe, parts=solution)
    weights.load_mmseg(ours, weights.to_mmseg(theirs))
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in theirs.state_dict().items())
