"""Training: repeatable to the bit, resumable without a trace, and honest about what went wrong."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vitseg_lib import recipes
from vitseg_lib.data.ade20k import read_classes, write_labels
from vitseg_lib.engine import training
from vitseg_lib.engine.checkpoints import Log, StopSignal
from vitseg_lib.files import InputError
from vitseg_lib.model import weights

TINY = replace(
    recipes.get("toy"),
    name="tiny",
    width=32,
    heads=2,
    depth=2,
    taps=(0, 0, 1, 1),
    drop_path=0.3,
    head_channels=8,
    aux_channels=8,
    crop=32,
    test_scale=(128, 32),
    iterations=6,
    batch_size=2,
    warmup=2,
    evaluate_every=2,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six little pictures: a bright and a dark half, which are the two classes."""
    root = tmp_path_factory.mktemp("data")
    (root / "classes.json").write_text(
        json.dumps({"classes": [{"name": "dark", "colour": [0, 0, 90]}, {"name": "bright", "colour": [250, 250, 0]}]})
    )
    rng = np.random.default_rng(0)
    for split, count in (("training", 4), ("validation", 2)):
        for folder in ("images", "annotations"):
            (root / folder / split).mkdir(parents=True)
        for i in range(count):
            labels = (np.arange(40) >= rng.integers(10, 30)).astype(np.uint8) * np.ones((36, 1), np.uint8)
            image = np.clip(60 + 130 * labels[..., None] + rng.normal(0, 20, (36, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / "images" / split / f"{i}.png")
            write_labels(root / "annotations" / split / f"{i}.png", labels, read_classes(root))
    return root


def run(root, out, recipe=TINY, **options):
    return training.train(recipe, root, out, progress=False, **options)


def final_weights(folder):
    return weights.read_safetensors(folder / "last.safetensors")[0]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def whole_run(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return run(root, out), out


def test_a_run_leaves_what_the_contract_says(whole_run):
    result, out = whole_run
    assert {p.name for p in out.iterdir()} == {
        "last.safetensors", "best.safetensors", "resume.pt", "run.json", "log.jsonl", "result.json"
    }  # fmt: skip
    assert json.loads((out / "result.json").read_text()) == result
    assert result["classes"].keys() == {"dark", "bright"} and 0 <= result["mIoU"] <= 100
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if "mIoU" in line] == [2, 4, 6]
    assert lines[0]["loss"] == pytest.approx(lines[0]["decode_loss"] + 0.4 * lines[0]["aux_loss"], rel=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(whole_run, root, tmp_path):
    run(root, tmp_path / "again")
    run(root, tmp_path / "workers", workers=2)
    run(root, tmp_path / "other", seed=1)
    assert equal(final_weights(whole_run[1]), final_weights(tmp_path / "again"))
    assert equal(final_weights(whole_run[1]), final_weights(tmp_path / "workers"))
    assert not equal(final_weights(whole_run[1]), final_weights(tmp_path / "other"))


@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_stopping_and_resuming_leaves_no_trace(whole_run, root, tmp_path, stop_at):
    def stop(line):
        if line["step"] == stop_at - 1 or stop_at == 1:
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "run"
    assert run(root, out, on_step=stop) is None
    assert not (out / "result.json").exists()
    with pytest.raises(InputError, match="holds a run already"):
        run(root, out)
    assert run(root, out, resume=True) == whole_run[0]
    assert equal(final_weights(whole_run[1]), final_weights(out))
    assert (out / "log.jsonl").read_text() == (whole_run[1] / "log.jsonl").read_text()


def test_a_resume_with_other_settings_is_refused(whole_run, root):
    with pytest.raises(InputError, match=r"recipe.iterations = 6, not 8"):
        run(root, whole_run[1], replace(TINY, iterations=8), resume=True)
    with pytest.raises(InputError, match=r"seed = 0, not 3"):
        run(root, whole_run[1], seed=3, resume=True)


def test_a_run_that_cannot_start_leaves_nothing(root, tmp_path):
    with pytest.raises(InputError, match="no such weights file"):
        run(root, tmp_path / "run", replace(TINY, pretrained="missing.pth"))
    assert not (tmp_path / "run").exists()


def test_resuming_nothing_is_refused(root, tmp_path):
    with pytest.raises(InputError, match="holds no run to resume"):
        run(root, tmp_path / "nothing", resume=True)


def test_resuming_a_finished_run_changes_nothing(whole_run, root):
    before = (whole_run[1] / "last.safetensors").read_bytes()
    assert run(root, whole_run[1], resume=True) == whole_run[0]
    assert (whole_run[1] / "last.safetensors").read_bytes() == before


def test_a_run_killed_before_its_first_checkpoint_starts_over_with_its_pretrained_encoder(whole_run, root, tmp_path):
    donor = recipes.build_model(TINY, 2)
    torch.save(weights.to_timm(donor.encoder), tmp_path / "timm.pth")
    recipe = replace(TINY, pretrained=str(tmp_path / "timm.pth"))
    result = run(root, tmp_path / "run", recipe)
    for name in ("resume.pt", "result.json", "last.safetensors", "best.safetensors"):
        (tmp_path / "run" / name).unlink()
    assert run(root, tmp_path / "run", recipe, resume=True) == result


def test_a_damaged_checkpoint_is_named(root, tmp_path):
    run(root, tmp_path / "run")
    (tmp_path / "run" / "resume.pt").write_bytes(b"half")
    with pytest.raises(InputError, match=r"resume.pt is damaged"):
        run(root, tmp_path / "run", resume=True)


def test_a_loss_that_is_no_number_stops_the_run(root, tmp_path):
    with pytest.raises(InputError, match=r"loss of step \d is (nan|inf)"):
        run(root, tmp_path / "run", replace(TINY, learning_rate=1e30))


def test_one_step_is_the_textbook_one(root):
    """The step against the same written out with torch's own optimiser."""
    recipe = replace(TINY, drop_path=0.0)
    torch.manual_seed(1)
    ours, theirs = (recipes.build_model(recipe, 2).eval() for _ in range(2))  # eval: no dropout, fixed BatchNorm
    theirs.load_state_dict(ours.state_dict())
    pixels, labels = torch.randn(2, 3, 32, 32), torch.randint(0, 2, (2, 32, 32))
    optimizer = training.build_optimizer(ours, recipe)
    losses = training.training_step(ours, optimizer, pixels, labels, lr=1e-3, aux_weight=0.4)
    logits, stages = theirs(pixels, return_stages=True)
    up = torch.nn.Upsample(size=(32, 32), mode="bilinear")
    decode = torch.nn.functional.cross_entropy(up(logits), labels)
    aux = torch.nn.functional.cross_entropy(up(stages["aux_logits"]), labels)
    (decode + 0.4 * aux).backward()
    named = list(theirs.named_parameters())
    spared = [p for n, p in named if n in ("encoder.class_token", "encoder.position_embedding")]
    rest = [p for n, p in named if n not in ("encoder.class_token", "encoder.position_embedding")]
    groups = [{"params": rest, "weight_decay": recipe.weight_decay}, {"params": spared, "weight_decay": 0}]
    torch.optim.AdamW(groups, lr=1e-3).step()
    assert losses["decode_loss"] == pytest.approx(decode.item(), rel=1e-5)
    assert losses["aux_loss"] == pytest.approx(aux.item(), rel=1e-5)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-5), name


def test_a_log_cut_short_by_a_kill_is_mended(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    with Log(path, step=2) as log:
        log.write(step=3, loss=0.5)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "loss": 0.5}\n'


def test_signals_are_handed_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_pretrained_weights_are_used_and_left_overs_told(tmp_path, capsys):
    donor = recipes.build_model(TINY, 2)
    state = weights.to_timm(donor.encoder) | {"head.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "timm.pth")
    model = training.starting_model(TINY, 2, seed=0, pretrained=str(tmp_path / "timm.pth"))
    assert torch.equal(model.encoder.blocks[1].mlp.expand.weight, donor.encoder.blocks[1].mlp.expand.weight)
    assert "not used: head.weight" in capsys.readouterr().out
