"""The fast model against the plain one: every shortcut alone, and logits, losses and gradients of whole models."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vitseg_lib import recipes
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.model import fast as shortcuts
from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.fast import convolve_concat, convolve_resized, fast, linear, resize_matrix
from vitseg_lib.model.neck import NeckBranch
from vitseg_lib.model.upernet import PyramidPooling, UPerHead

SIZES = [
    ((7, 9), (14, 18)),
    ((5, 6), (20, 24)),
    ((3, 4), (24, 32)),
    ((6, 6), (32, 43)),
    ((1, 1), (5, 6)),
    ((9, 8), (4, 3)),
]


def double(*shape: int) -> torch.Tensor:
    """Noise in double precision that wants a gradient."""
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def assert_same_gradients(quick, plain, inputs) -> None:
    upstream = torch.randn_like(plain)
    for ours, theirs in zip(*(torch.autograd.grad(y, inputs, upstream) for y in (quick, plain)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_one_matrix_per_axis_resizes_as_the_operator(old, new):
    x = double(2, 3, *old)
    rows, columns = (resize_matrix(a, b, x) for a, b in zip(old, new, strict=True))
    torch.testing.assert_close(rows @ x @ columns.T, F.interpolate(x, size=new, mode="bilinear"))


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_the_convolution_of_a_resized_map(old, new):
    x, weight = double(2, 5, *old), double(4, 5, 3, 3)
    plain = F.conv2d(F.interpolate(x, size=new, mode="bilinear"), weight, padding=1)
    quick = convolve_resized(x, weight, new)
    torch.testing.assert_close(quick, plain)
    assert_same_gradients(quick, plain, (x, weight))


@pytest.mark.parametrize("sides", [(8, 4, 2, 1), (8, 8, 8, 8), (4, 8, 8, 3)])
def test_the_convolution_of_maps_of_several_sizes(sides):
    maps = [double(2, 3 + i, side, side + 1 if side < 8 else 9) for i, side in enumerate(sides)]
    weight = double(4, sum(x.shape[1] for x in maps), 3, 3)
    resized = [F.interpolate(x, size=(8, 9), mode="bilinear") for x in maps]
    plain = F.conv2d(torch.cat(resized, dim=1), weight, padding=1)
    quick = convolve_concat(maps, weight, (8, 9))
    torch.testing.assert_close(quick, plain)
    assert_same_gradients(quick, plain, (*maps, weight))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [1, 17])
@pytest.mark.parametrize("onednn", [True, False])
def test_the_linear_layer_is_pytorchs(bias, tokens, onednn, monkeypatch):
    monkeypatch.setattr(shortcuts, "ONEDNN", onednn)
    layer, x = nn.Linear(6, 5, bias=bias).double(), double(3, tokens, 6)
    quick, plain = linear(x, layer.weight, layer.bias), layer(x)
    torch.testing.assert_close(quick, plain)
    assert_same_gradients(quick, plain, (x, *layer.parameters()))


@pytest.mark.parametrize("size", [(32, 43), (7, 5), (1, 1)])
@pytest.mark.parametrize("scale", [4, 2, 1, 0.5, 1.5])
def test_a_branch_of_the_neck(scale, size):
    branch = NeckBranch(embed_dim=6, scale=scale).double()
    nn.init.normal_(branch.conv.bias)
    x = double(2, 6, *size)
    torch.testing.assert_close(fast(branch)(x), branch(x))


def test_attention_is_the_readable_one():
    plain, tokens = SelfAttention(embed_dim=24, num_heads=3).double(), double(2, 7, 24)
    quick, nothing = fast(plain)(tokens)
    assert nothing is None
    torch.testing.assert_close(quick, plain(tokens)[0])
    assert_same_gradients(quick, plain(tokens)[0], (tokens, *plain.parameters()))


def everything(model, loss_of, pixels, labels):
    """The logits, the loss of both heads, and the gradient of every parameter."""
    logits, stages = model(pixels, return_stages=True)
    loss = loss_of(logits, labels) + 0.4 * loss_of(stages["aux_logits"], labels)
    model.zero_grad()
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return [logits.detach(), stages["aux_logits"].detach(), loss.detach(), *gradients]


@pytest.mark.parametrize("size", [(128, 160), (64, 64), (33, 90)])
@pytest.mark.parametrize("name", ["toy", "toy_mln"])
def test_a_training_step_is_the_plain_one(name, size):
    model = recipes.build_model(recipes.get(name), 12).double().train()
    for module in model.modules():  # what is drawn at random would differ
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    pixels = torch.randn(2, 3, *size, dtype=torch.float64)
    labels = torch.randint(0, 12, (2, *size))
    labels[:, :9] = 255
    plain = everything(model, segmentation_loss, pixels, labels)
    quick = everything(fast(model), chunked_segmentation_loss, pixels, labels)
    for ours, theirs in zip(quick, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["deit_s16_160k", "deit_s16_mln_160k"])
@torch.inference_mode()
def test_full_size_logits_are_the_plain_ones(name):
    model, pixels = recipes.build_model(recipes.get(name)).eval(), torch.randn(1, 3, 128, 171)
    plain = model(pixels)
    assert (fast(model)(pixels) - plain).abs().max() < 1e-4 * plain.std()


def test_the_twin_shares_every_tensor_and_its_model_stays_plain():
    model = recipes.build_model(recipes.get("toy_mln"), 12)
    before = {type(module) for module in model.modules()}
    twin = fast(model)
    assert {type(module) for module in model.modules()} == before
    own, shared = model.state_dict(keep_vars=True), twin.state_dict(keep_vars=True)
    assert own.keys() == shared.keys() and all(own[key] is shared[key] for key in own)
    replaced = {type(module) for module in twin.modules()} - before
    assert replaced >= set(shortcuts.TWINS.values())
    twin.eval()
    assert model.training and not twin.training  # each has a mode of its own
    model.decode_head.conv_seg.bias.data.fill_(3.0)
    assert twin.decode_head.conv_seg.bias[0] == 3.0
    assert copy.deepcopy(twin).decode_head.conv_seg.bias.data_ptr() != twin.decode_head.conv_seg.bias.data_ptr()


def test_running_averages_of_a_twin_are_the_models():
    model = recipes.build_model(recipes.get("toy"), 12).train()
    fast(model)(torch.randn(2, 3, 64, 64))
    norm = model.decode_head.fpn_bottleneck.bn
    assert norm.num_batches_tracked == 1 and norm.running_mean.abs().sum() > 0


def test_modules_of_somebody_else_stay_what_they_are():
    class Mine(SelfAttention):
        pass

    assert type(fast(Mine(embed_dim=4, num_heads=2))) is Mine


@pytest.mark.parametrize(
    "part", ["decode_head.fpn_bottleneck", "decode_head.ppm.bottleneck.conv", "encoder.blocks.0.mlp"]
)
def test_hooks_see_what_they_see_in_the_plain_model(part):
    model, seen = recipes.build_model(recipes.get("toy"), 12).eval(), []
    model.get_submodule(part).register_forward_hook(lambda module, given, result: seen.append(result))
    pixels = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        model(pixels), fast(model)(pixels)
    plain, quick = seen
    torch.testing.assert_close(quick, plain, rtol=1e-4, atol=1e-5)


def test_attention_weights_cannot_be_had_of_a_fast_model():
    model, pixels = recipes.build_model(recipes.get("toy"), 12).eval(), torch.randn(1, 3, 64, 64)
    assert len(model(pixels, return_stages=True, return_attention=True)[1]["attention"]) == 6
    with pytest.raises(ValueError, match="request them of the plain one"):
        fast(model)(pixels, return_stages=True, return_attention=True)


def test_two_threads_do_not_see_each_other():
    """In the first edition a switch for the whole process made a run beside a count of operations another run."""
    model, pixels = recipes.build_model(recipes.get("toy_mln"), 12).eval(), torch.randn(1, 3, 64, 64)
    twin, results = fast(model), []
    with torch.inference_mode():
        alone = twin(pixels)

    def run():
        with torch.inference_mode():
            results.extend(twin(pixels) for _ in range(5))

    thread = threading.Thread(target=run)
    thread.start()
    with torch.inference_mode():
        for _ in range(5):
            model(pixels)
    thread.join()
    assert all(torch.equal(result, alone) for result in results)


@pytest.mark.parametrize("name", ["toy", "toy_mln"])
def test_torch_compile_traces_a_step_as_one_graph(name):
    """With the question for oneDNN inside a forward it was 19 graphs, and the first step took minutes."""
    torch._dynamo.reset()
    model = recipes.build_model(recipes.get(name), 12).eval()  # eval: nothing is drawn
    pixels, labels = torch.randn(2, 3, 64, 64), torch.randint(0, 12, (2, 64, 64))

    def step(pixels, labels):
        logits, stages = fast_model(pixels, return_stages=True)
        return segmentation_loss(logits, labels) + segmentation_loss(stages["aux_logits"], labels)

    fast_model = fast(model)
    compiled = torch.compile(step, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(pixels, labels), step(pixels, labels))


def test_each_twin_is_used_by_a_recipe():
    """A twin whose plain class nobody builds any more would never run."""
    model = recipes.build_model(recipes.get("toy_mln"), 12)
    assert set(shortcuts.TWINS) <= {type(module) for module in model.modules()}
    assert {PyramidPooling, UPerHead} <= set(shortcuts.TWINS)
