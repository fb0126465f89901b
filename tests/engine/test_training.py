"""Training: repeatable to the bit, resumable without a trace, and honest about what went wrong."""

import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from tiny import TINY

from vitseg_lib import recipes, state_files
from vitseg_lib.engine import checkpoints, training
from vitseg_lib.engine.checkpoints import RunFolder, RunSettings, TrainingState
from vitseg_lib.engine.distributed import World
from vitseg_lib.engine.log import Log, StopSignal
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.precision import MixedPrecision
from vitseg_lib.files import InputError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny.make_pictures(tmp_path_factory.mktemp("data"))


run = tiny.train


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def final_weights(folder):
    return state_files.read_safetensors(folder / "last.safetensors")[0]


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
    for name, old, new in (("seed", 0, 3), ("deterministic", False, True), ("compile", False, True)):
        with pytest.raises(InputError, match=f"{name} = {old}, not {new}"):
            run(root, whole_run[1], resume=True, **{name: new})


def test_a_resume_with_other_data_is_refused_and_moved_data_are_not(whole_run, root, tmp_path):
    out, moved = shutil.copytree(whole_run[1], tmp_path / "run"), shutil.copytree(root, tmp_path / "moved")
    assert run(moved, out, resume=True) == whole_run[0]
    for kind in ("images", "annotations"):
        shutil.copy(moved / kind / "training" / "0.png", moved / kind / "training" / "another.png")
    with pytest.raises(InputError, match=r"training_pairs = 4, [0-9a-f]{8}, not 5, [0-9a-f]{8}"):
        run(moved, out, resume=True)


def test_a_resume_on_other_processes_is_refused(whole_run, root, tmp_path, monkeypatch):
    run_file = shutil.copytree(whole_run[1], tmp_path / "run") / "run.json"
    run_file.write_text(run_file.read_text().replace('"processes": 1', '"processes": 2'))
    with pytest.raises(InputError, match="processes = 2, not 1"):
        run(root, run_file.parent, resume=True)


def test_a_run_of_the_first_edition_goes_on(whole_run, root, tmp_path):
    """Its run.json has the recipe, the classes and three settings; its tensors have other names."""
    out = shutil.copytree(whole_run[1], tmp_path / "run")
    record = json.loads((out / "run.json").read_text())
    old = {"embed_dim": "width", "num_heads": "heads", "out_indices": "taps", "ratio_range": "train_ratios"}
    recipe = {old.get(key, key): value for key, value in record["recipe"].items()}
    kept = {key: record[key] for key in ("classes", "seed", "precision", "accumulate")}
    (out / "run.json").write_text(json.dumps({"recipe": recipe} | kept))
    assert run(root, out, resume=True) == whole_run[0]
    (out / "run.json").write_text(json.dumps({"recipe": recipe | {"heads": 4}} | kept))
    with pytest.raises(InputError, match=r"recipe.num_heads = 4, not 2"):
        run(root, out, resume=True)


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
    torch.save(donor.encoder.state_dict(), tmp_path / "timm.pth")
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


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_images(root, tmp_path):
    hot = replace(TINY, learning_rate=1e30, evaluate_every=6)
    with pytest.raises(InputError, match=r"loss of step \d is (nan|inf) \(images \d.png, \d.png\): no weights were"):
        run(root, tmp_path / "run", hot)


def state_of(model, precision="fp32", **values) -> TrainingState:
    amp = MixedPrecision(torch.device("cpu"), precision)
    return TrainingState(model, training.build_optimizer(model, TINY), amp, **values)


def test_weights_that_are_not_finite_are_not_saved_over_good_ones(whole_run, root, tmp_path):
    out = shutil.copytree(whole_run[1], tmp_path / "run")
    folder = RunFolder.open(RunSettings(recipe=TINY, data=root, out=out), resume=True)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    model = recipes.build_model(TINY, 2)
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, float("nan"))
    with pytest.raises(InputError, match=r"After step 7 decode_head.conv_seg.bias holds values that are not finite"):
        folder.save_state(state_of(model, step=7))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_images_of_a_step_are_those_that_it_reads(root):
    def as_it_is(image, labels, rng):
        return torch.from_numpy(image), torch.from_numpy(labels)

    loader = training.train_loader(root, as_it_is, batch_size=3, seed=5)
    for step, (images, _) in zip(range(4), loader, strict=False):
        read = [next(p for p in loader.files_of(step) if np.array_equal(Image.open(p), image)) for image in images]
        assert read == loader.files_of(step)


def test_a_run_is_stopped_from_without_and_goes_on(whole_run, root, tmp_path):
    seen = []
    options = {"on_step": seen.append, "stop": lambda: len(seen) == 3}
    assert run(root, tmp_path / "run", **options) is None and len(seen) == 3
    assert run(root, tmp_path / "run", resume=True) == whole_run[0]


def test_a_run_that_dies_loses_no_more_than_the_steps_since_its_last_checkpoint(root, tmp_path):
    def die(line):
        if line["step"] == 6:
            raise RuntimeError("power cut")

    recipe = replace(TINY, iterations=8, evaluate_every=8)
    with pytest.raises(RuntimeError, match="power cut"):
        run(root, tmp_path / "run", recipe, checkpoint_every=5, on_step=die)
    steps = []
    run(root, tmp_path / "run", recipe, resume=True, on_step=lambda line: steps.append(line["step"]))
    assert steps == [6, 7, 8]


def test_what_a_killed_process_was_writing_is_cleared_away(whole_run, root, tmp_path):
    out = shutil.copytree(whole_run[1], tmp_path / "run")
    (out / ".last.123-0a1b2c3d.safetensors").write_bytes(b"half a file")
    (out / ".mine").write_text("the user's own")
    run(root, out, resume=True)
    assert [path.name for path in out.glob(".*")] == [".mine"]


@pytest.mark.parametrize("accumulate", [2, 4])
def test_a_batch_in_pieces_gives_the_same_losses(root, tmp_path, accumulate):
    recipe = replace(TINY, batch_size=8, drop_path=0.0)
    for pieces in (1, accumulate):
        run(root, tmp_path / f"{pieces}", recipe, accumulate=pieces, model=tiny.without_chance(recipe))
    whole, pieces = (log(tmp_path / f"{pieces}") for pieces in (1, accumulate))
    assert whole[0]["loss"] > whole[-1]["loss"]
    for one, other in zip(whole, pieces, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_a_batch_that_does_not_come_out_even_is_refused(root, tmp_path):
    with pytest.raises(InputError, match="batch of 6 cannot be split evenly into 4 micro-batches on 1 processes"):
        run(root, tmp_path / "run", replace(TINY, batch_size=6), accumulate=4)
    with pytest.raises(InputError, match="BatchNorm cannot learn from one image at a time"):
        run(root, tmp_path / "run", accumulate=2)


def test_a_batchnorm_that_sees_few_images_is_warned_of(root, tmp_path, capsys):
    run(root, tmp_path / "small", replace(TINY, batch_size=8, iterations=1), accumulate=2)
    assert "BatchNorm sees 4 images at a time" in capsys.readouterr().out
    run(root, tmp_path / "large", replace(TINY, batch_size=8, iterations=1))
    assert "BatchNorm" not in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near_and_resumes_exactly(whole_run, root, tmp_path, precision):
    whole = run(root, tmp_path / "run", precision=precision)
    stopped = {"on_step": lambda line: None, "stop": lambda: True}
    assert run(root, tmp_path / "halves", precision=precision, **stopped) is None
    assert run(root, tmp_path / "halves", precision=precision, resume=True) == whole
    assert equal(final_weights(tmp_path / "run"), final_weights(tmp_path / "halves"))
    single, half = log(whole_run[1])[0], log(tmp_path / "run")[0]
    assert single["loss"] != half["loss"] == pytest.approx(single["loss"], rel=0.02)
    with pytest.raises(InputError, match=f"precision = {precision}, not fp32"):
        run(root, tmp_path / "run", resume=True)


def test_the_log_goes_to_tensorboard_too(root, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(root, tmp_path / "run", tensorboard=True)
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    lines = log(tmp_path / "run")
    assert sorted(board.Tags()["scalars"]) == ["aux_loss", "decode_loss", "loss", "lr", "mIoU"]
    assert [event.value for event in board.Scalars("loss")] == pytest.approx([line["loss"] for line in lines])
    assert [event.step for event in board.Scalars("mIoU")] == [2, 4, 6]


SPARED = ("encoder.cls_token", "encoder.pos_embed")


def test_one_step_is_the_textbook_one():
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
    spared = [p for n, p in named if n in SPARED]
    rest = [p for n, p in named if n not in SPARED]
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
        assert stop.received
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_pretrained_weights_are_used_and_left_overs_told(tmp_path, capsys):
    donor = recipes.build_model(TINY, 2)
    state = donor.encoder.state_dict() | {"head.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "timm.pth")
    model = training.starting_model(TINY, 2, seed=0, pretrained=str(tmp_path / "timm.pth"))
    assert torch.equal(model.encoder.blocks[1].mlp.fc1.weight, donor.encoder.blocks[1].mlp.fc1.weight)
    assert "not used: head.weight" in capsys.readouterr().out


# What only shows over a whole run: the learning rate of each step, the masks of dropout, a scaler that has moved,
# gradients under accumulation. Each of these faults once passed every test.


def test_every_line_of_the_log_has_the_rate_of_its_own_step(whole_run):
    """Polynomial decay of power 1 to 0 over 6 steps, times a warm-up from 1e-6 over the first two."""
    base, lines = TINY.learning_rate, log(whole_run[1])
    expected = [base * 1e-6, base * 5 / 6 * (1 - 0.5 * (1 - 1e-6)), base * 4 / 6, base * 3 / 6, base * 2 / 6, base / 6]
    assert [line["lr"] for line in lines] == pytest.approx(expected, rel=1e-12)


def test_masks_of_dropout_differ_by_step_and_by_rank():
    masks = {}
    for step, rank in ((0, 0), (1, 0), (0, 1), (1, 1), (0, 2)):
        training.seed_step(5, step, rank)
        masks[step, rank] = tuple(torch.nn.functional.dropout(torch.ones(64), 0.5).tolist())
        training.seed_step(5, step, rank)
        assert tuple(torch.nn.functional.dropout(torch.ones(64), 0.5).tolist()) == masks[step, rank]
    assert len(set(masks.values())) == len(masks)


def test_training_seeds_each_step_with_its_own_number_and_rank(root, tmp_path, monkeypatch):
    seen, seed_step = [], training.seed_step
    monkeypatch.setattr(training, "seed_step", lambda *entropy: seen.append(entropy) or seed_step(*entropy))
    run(root, tmp_path / "run", seed=7)
    assert seen == [(7, step, 0) for step in range(6)]


def test_a_scaler_that_has_moved_is_resumed_where_it_was(root, tmp_path):
    folder = RunFolder.open(RunSettings(recipe=TINY, data=root, out=tmp_path / "run", precision="fp16"), resume=False)
    model = recipes.build_model(TINY, 2)
    state, fresh = state_of(model, "fp16", step=3, best=12.5), state_of(model, "fp16")
    state.amp.scaler.load_state_dict(state.amp.scaler.state_dict() | {"scale": 128.0, "_growth_tracker": 17})
    folder.save_state(state)
    folder.load_state(fresh)
    assert fresh.amp.scaler.get_scale() == 128.0 and fresh.amp.scaler.state_dict()["_growth_tracker"] == 17
    assert (fresh.step, fresh.best) == (3, 12.5)


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_gradients_are_those_of_the_whole_batch(accumulate):
    """The gradients themselves: AdamW divides by their size, so a wrong factor shows in no loss."""
    recipe = replace(TINY, batch_size=8, drop_path=0.0)
    pixels, labels = torch.randn(8, 3, 32, 32), torch.randint(0, 2, (8, 32, 32))
    gradients = []
    for pieces in (1, accumulate):
        model = tiny.without_chance(recipe)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        training.training_step(model, optimizer, pixels, labels, lr=0.0, aux_weight=0.4, accumulate=pieces)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_only_the_main_process_writes(root, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "world", lambda: World(rank=1, size=2))
    folder = RunFolder.open(RunSettings(recipe=TINY, data=root, out=tmp_path / "run"), resume=False)
    state = state_of(recipes.build_model(TINY, 2))
    folder.begin()
    folder.save_state(state)
    folder.save_weights("best", state)
    with folder.log(0) as nothing:
        nothing.write(step=1)
    assert folder.write_result(ConfusionMatrix(2).scores(), state)["recipe"] == "tiny"
    assert not (tmp_path / "run").exists()
