"""Weights: strict both ways, there and back, and nothing pickled is ever executed."""

import hashlib
import http.server
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vitseg_lib import recipes, state_files
from vitseg_lib.files import InputError
from vitseg_lib.model import weights

TOY = recipes.get("toy")


@pytest.fixture
def model():
    return recipes.build_model(TOY, 12)


def same(a, b) -> bool:
    return all(torch.equal(x, b.state_dict()[key]) for key, x in a.state_dict().items())


def test_our_own_file_there_and_back(model, tmp_path):
    other = recipes.build_model(TOY, 12)
    weights.save(model, tmp_path / "w.safetensors", recipe="toy", step=3)
    assert not same(model, other)
    assert weights.load(other, tmp_path / "w.safetensors") == {"recipe": "toy", "step": 3}
    assert same(model, other)


def test_the_same_weights_and_notes_give_the_same_bytes(model, tmp_path):
    for name, notes in (("a", {"recipe": "toy", "step": 3}), ("b", {"step": 3, "recipe": "toy"})):
        weights.save(model, tmp_path / name, **notes)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_half_precision_rounds_and_keeps_integers(model, tmp_path):
    weights.save(model, tmp_path / "w.safetensors", dtype=torch.float16)
    other = recipes.build_model(TOY, 12)
    weights.load(other, tmp_path / "w.safetensors")
    a, b = model.encoder.pos_embed, other.encoder.pos_embed
    assert b.dtype == torch.float32 and torch.equal(a.half().float(), b)


def test_there_and_back_under_other_names(model):
    other = recipes.build_model(TOY, 12)
    weights.load_mmseg(other, weights.to_mmseg(model))
    assert same(model, other)
    other = recipes.build_model(TOY, 12)
    assert weights.load_timm(other.encoder, model.encoder.state_dict()) == []
    assert same(model.encoder, other.encoder)


def test_the_encoders_names_are_timms():
    import timm

    theirs = timm.create_model("deit_small_patch16_224", pretrained=False).state_dict()
    ours = recipes.build_model(recipes.get("deit_s16_ln_160k")).encoder.state_dict()
    assert ours.keys() == {key for key in theirs if not key.startswith("head.")}


def first_edition_names() -> dict[str, str]:
    """Today's name and the first edition's of every tensor of a `toy_mln` of one block and a final LayerNorm."""
    lines = (Path(__file__).parent / "first_edition_names.txt").read_text().split()
    return dict(zip(lines[::2], lines[1::2], strict=True))


def test_files_of_the_first_edition_load(tmp_path):
    recipe = replace(TOY, neck=True, final_norm=True, depth=1, out_indices=(0, 0, 0, 0))
    model, other = recipes.build_model(recipe, 12), recipes.build_model(recipe, 12)
    names = first_edition_names()
    old = {names[key]: value for key, value in model.state_dict().items()}
    assert len(old) == len(names) and "encoder.class_token" in old
    state_files.write_safetensors(tmp_path / "old.safetensors", old, {})
    weights.load(other, tmp_path / "old.safetensors")
    assert same(model, other)


def test_a_whole_checkpoint_file_with_its_wrapping(model, tmp_path):
    torch.save({"meta": {"epoch": 3, "CLASSES": ["a"]}, "state_dict": weights.to_mmseg(model)}, tmp_path / "c.pth")
    other = recipes.build_model(TOY, 12)
    weights.load_mmseg(other, tmp_path / "c.pth")
    assert same(model, other)


@pytest.mark.parametrize("fault", ["missing", "left over", "of another shape"])
def test_what_does_not_fit_is_named_and_nothing_is_changed(model, fault):
    state = {key: value.clone() + 1 for key, value in weights.to_mmseg(model).items()}
    key = "decode_head.conv_seg.weight"
    if fault == "missing":
        del state[key]
    elif fault == "left over":
        state["decode_head.surprise"] = torch.zeros(1)
    else:
        state[key] = torch.zeros(150, 64, 1, 1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(InputError) as error:
        weights.load_mmseg(model, state)
    assert fault in str(error.value)
    assert {"missing": key, "left over": "decode_head.surprise"}.get(fault, "150×64×1×1") in str(error.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_neck_that_is_missing_or_left_over_is_refused(model):
    with_neck = recipes.build_model(replace(TOY, neck=True), 12)
    with pytest.raises(InputError, match=r"missing .*neck"):
        weights.load_mmseg(with_neck, weights.to_mmseg(model))
    with pytest.raises(InputError, match=r"left over .*neck"):
        weights.load_mmseg(model, weights.to_mmseg(with_neck))


def test_unconverted_timm_weights_are_refused_where_mmseg_ones_belong(model):
    """The most costly trap: a non-strict load would take these "successfully" and use none."""
    with pytest.raises(InputError, match="missing"):
        weights.load_mmseg(model, model.encoder.state_dict())


def test_timm_left_overs_are_told_and_others_refused(model):
    state = model.encoder.state_dict() | {"head.weight": torch.zeros(2), "norm.weight": torch.zeros(2)}
    assert weights.load_timm(model.encoder, state) == ["head.weight", "norm.weight"]
    with pytest.raises(InputError, match=r"left over \(dist_token\)"):
        weights.load_timm(model.encoder, state | {"dist_token": torch.zeros(1)})
    with_norm = recipes.build_model(replace(TOY, final_norm=True), 12)
    with pytest.raises(InputError, match=r"missing \(norm.weight, norm.bias\)"):
        weights.load_timm(with_norm.encoder, model.encoder.state_dict())


def test_timm_position_embedding_is_resized(model):
    state = model.encoder.state_dict()
    state["pos_embed"] = torch.randn(1, 197, TOY.embed_dim)
    weights.load_timm(model.encoder, state)
    assert torch.equal(model.encoder.pos_embed[:, 0], state["pos_embed"][:, 0])
    state["pos_embed"] = torch.randn(1, 198, TOY.embed_dim)
    with pytest.raises(InputError, match="198 rows"):
        weights.load_timm(model.encoder, state)


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_pickles_are_not_executed(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Bomb()}, "bomb.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    for name in ("bomb.pth", "raw.pth"):
        with pytest.raises(InputError, match=name):
            weights.load_mmseg(model, tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"abc", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_damaged_checkpoints_get_one_sentence(model, tmp_path, content):
    for name in ("c.pth", "c.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name) as error:
            weights.load_mmseg(model, tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no such weights file"):
        weights.load(model, tmp_path / "missing.safetensors")


def test_a_truncated_file_of_ours(model, tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(model, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        weights.load(model, path)


@pytest.fixture
def server(tmp_path):
    """A local web server over tmp_path/www."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_published_checkpoint_is_fetched_verified_and_cached(model, server, tmp_path, monkeypatch, capsys):
    folder, address = server
    monkeypatch.setenv("VITSEG_CACHE", str(tmp_path / "cache"))
    torch.save({"state_dict": weights.to_mmseg(model)}, folder / "c.pth")
    prefix = hashlib.sha256((folder / "c.pth").read_bytes()).hexdigest()[:8]
    row = replace(recipes.get("deit_s16_160k").published, url=f"{address}/c.pth", sha256_prefix=prefix)
    other = recipes.build_model(TOY, 12)
    weights.load_mmseg(other, row)
    assert same(model, other)
    (folder / "c.pth").unlink()
    weights.load_mmseg(recipes.build_model(TOY, 12), row)  # from the cache
    torch.save({"state_dict": {}}, folder / "d.pth")
    with pytest.raises(InputError, match="SHA256"):
        weights.load_mmseg(other, replace(row, url=f"{address}/d.pth"))


def test_two_addresses_with_one_file_name_are_two_files(model, server, tmp_path, monkeypatch):
    """mmsegmentation calls every checkpoint iter_160000.pth: by its name alone the second gets the first's weights."""
    folder, address = server
    monkeypatch.setenv("VITSEG_CACHE", str(tmp_path / "cache"))
    models = {"a": model, "b": recipes.build_model(TOY, 12)}
    for name, one in models.items():
        (folder / name).mkdir()
        torch.save({"state_dict": weights.to_mmseg(one)}, folder / name / "iter_160000.pth")
    for name, one in models.items():
        other = recipes.build_model(TOY, 12)
        weights.load_mmseg(other, f"{address}/{name}/iter_160000.pth")
        assert same(one, other)


def test_meta_init_gives_shapes_and_draws_nothing(tmp_path):
    expected = {key: value.shape for key, value in recipes.build_model(TOY, 12).state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(4)
    torch.manual_seed(3)
    with recipes.meta_init():
        found = recipes.build_model(TOY, 12).state_dict()
    assert torch.equal(torch.rand(4), drawn)
    assert {key: value.shape for key, value in found.items()} == expected and all(v.is_meta for v in found.values())
    assert recipes.build_model(TOY, 12).encoder.cls_token.std() > 0, "outside, weights are drawn again"


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_a_model_on_meta_takes_a_files_weights(model, tmp_path, dtype):
    weights.save(model, tmp_path / "a.safetensors", dtype=dtype)
    with recipes.meta_init():
        filled = recipes.build_model(TOY, 12)
    for one in (model, filled):
        weights.load(one, tmp_path / "a.safetensors")
    assert same(model, filled) and [v.dtype for v in filled.state_dict().values()] == [
        v.dtype for v in model.state_dict().values()
    ]
    assert [p.requires_grad for p in filled.parameters()] == [p.requires_grad for p in model.parameters()]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_refused_wherever_it_stands(model, value):
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state["encoder.blocks.3.mlp.fc1.weight"][7, 5] = value
    with recipes.meta_init():
        empty = recipes.build_model(TOY, 12)
    with pytest.raises(InputError, match=r"encoder\.blocks\.3\.mlp\.fc1\.weight hold"):
        weights.load_mmseg(empty, state)
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
