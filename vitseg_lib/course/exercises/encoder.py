"""The exercises of chapter 05: LayerNorm, MLP, drop path, the block, the encoder, and weights under other names."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vitseg_lib.course import solution
from vitseg_lib.course.exercises import encoder_mistakes as mistakes
from vitseg_lib.course.exercises.base import (
    Case,
    Exercise,
    Fault,
    fill,
    module_call,
    randint,
    random_state,
    tensors_of,
)
from vitseg_lib.course.exercises.compare import agree

CALLS = 500  # of drop path on a small batch: enough to tell apart probabilities that differ by a tenth
MANY = 200  # samples that a block in training is tried on


def random_tokens(generator: torch.Generator, width: int) -> Tensor:
    """Tokens (B, N, C): one is as small as a class token, so that eps counts; another's channels are all equal."""
    sizes = (randint(generator, 3, 4), randint(generator, 5, 6), width)
    tokens = torch.randn(*sizes, generator=generator) * 2 + 1
    tokens[0, 0] *= 1e-3
    tokens[0, 1] = 0
    return tokens


# LayerNorm


def _norm_cases(generator: torch.Generator) -> Iterator[Case]:
    for sizes in ({"embed_dim": 7}, {"embed_dim": 9, "eps": 0.1}):
        yield sizes, [random_tokens(generator, sizes["embed_dim"])]


def build_norm(answer: Callable, case: Case) -> Any:
    """A LayerNorm's output and gradients, once its parameters begin as they should."""
    module = answer(**case[0])
    if isinstance(module, nn.Module):
        for name, value in (("weight", 1), ("bias", 0)):
            parameter = dict(module.named_parameters()).get(name)
            if parameter is not None and not bool((parameter == value).all()):
                raise Fault(f"`{name}` has to begin with all {value}s, so that a fresh LayerNorm only normalises")
    found = module_call(solution.LayerNorm)(answer, case)
    for gradient in found["gradient"]:
        gradient[0, 1] = 0  # of channels that are all equal: a matter of rounding
    return found


norm = Exercise(
    title="LayerNorm",
    minutes=6,
    difficulty=1,
    reference=solution.LayerNorm,
    cases=_norm_cases,
    call=build_norm,
    hints=(
        "Each token is normalised by its own mean and variance. Which axis disappears?",
        "`tokens.mean(dim=-1, keepdim=True)` keeps the axis, at length 1, so that it broadcasts. The variance is the "
        "mean of the squared distances from it.",
        "`nn.Parameter(torch.ones(embed_dim))` is the weight. Forward: take the mean away; divide by the root of "
        "(variance + eps); times the weight; plus the bias.",
    ),
    mistakes=mistakes.NORM,
    part="LayerNorm",
)


# The MLP


def _mlp_cases(generator: torch.Generator) -> Iterator[Case]:
    for sizes in ({"embed_dim": 6, "hidden_dim": 10}, {"embed_dim": 5, "hidden_dim": 20}):
        yield sizes, [2 * random_tokens(generator, sizes["embed_dim"])]


mlp = Exercise(
    title="The MLP",
    minutes=4,
    difficulty=1,
    reference=solution.MLP,
    cases=_mlp_cases,
    call=module_call(solution.MLP),
    hints=(
        "Two `nn.Linear`, called `fc1` and `fc2`: the first widens, the second comes back.",
        "`F.gelu` stands between them, and nowhere else.",
    ),
    mistakes=mistakes.MLP,
    tolerance=2e-5,  # the tanh formula is to be told from the exact one
    part="MLP",
)


# Drop path


def observe(answer: Callable, case: Case) -> Any:
    """What drop path does in many calls on a small batch: the same whichever random numbers it draws."""
    sizes, (branch,) = case
    module = answer(**sizes)
    if not isinstance(module, nn.Module):
        raise Fault("it is no `nn.Module`: write `class DropPath(nn.Module)`, and call `super().__init__()` first")
    calls, quiet = (
        [module.train(training)(branch.clone()) for _ in range(count)]
        for training, count in ((True, CALLS), (False, CALLS // 10))
    )
    for result in (calls[0], quiet[0]):
        if not isinstance(result, Tensor) or result.shape != branch.shape:
            return result  # its kind or shape says enough
    factors, afterwards = torch.stack(calls) / branch, torch.stack(quiet) / branch  # (calls, B, N, C)
    zero = factors == 0
    axes = [name for axis, name in ((1, "sample"), (2, "token"), (3, "channel")) if varies(zero, axis)]
    return {
        "one draw for each": " and ".join(axes) or "batch",
        "fraction dropped in training": round(float(zero.float().mean()), 1),
        "factor of what is kept": round(float(factors.max()), 3),
        "dropped when not training": "yes" if (afterwards == 0).any() else "no",
        "factor when not training": round(float(afterwards.max()), 3),
    }


def varies(flags: Tensor, axis: int) -> bool:
    """Whether flags differ along an axis anywhere."""
    return bool((flags.any(dim=axis) & ~flags.all(dim=axis)).any())


def _drop_path_cases(generator: torch.Generator) -> Iterator[Case]:
    for rate in (0.1, 0.5):
        branch = torch.rand(5, randint(generator, 2, 3), 3, generator=generator) + 0.5  # never 0
        yield {"rate": rate}, [branch]


stochastic_depth = Exercise(
    title="Drop path",
    minutes=6,
    difficulty=2,
    reference=solution.DropPath,
    cases=_drop_path_cases,
    call=observe,
    hints=(
        "How many random draws does a batch of eight images take? Give the tensor of draws that many rows, and axes of "
        "length 1 so that it broadcasts over tokens and channels.",
        "`torch.rand(B, 1, 1)` is below 0.9 nine times in ten. By what must a kept sample be divided, so that the mean "
        "over many calls is the branch itself?",
        "If not `self.training`, return the branch. Else multiply by the mask "
        "`torch.rand(len(branch), 1, 1) < 1 - self.rate` and divide by `1 - self.rate`.",
    ),
    mistakes=mistakes.DROP_PATH,
    part="DropPath",
)


# The block


def _block_cases(generator: torch.Generator) -> Iterator[Case]:
    for width in (6, 8):
        yield {"embed_dim": width, "num_heads": 2}, [random_tokens(generator, width)]


def build_block(answer: Callable, case: Case) -> Any:
    """A block's output and gradients, and what becomes of its branches in training."""
    sizes, inputs = case
    module = answer(**sizes)
    if isinstance(module, nn.Module):
        fill(module, random_state(solution.Block(**sizes)))
        returned = module.eval()(*inputs)
        if isinstance(returned, Tensor):
            raise Fault("it returns one tensor: return the tokens *and* the attention weights, as `self.attn` does")
    return module_call(solution.Block)(answer, case) | in_training(answer, case)


def in_training(answer: Callable, case: Case) -> dict[str, Any]:
    """At a drop path of ½: by which factors attention's and the MLP's branch were multiplied, as pairs that occur."""
    sizes, (tokens,) = case
    twin = solution.Block(**sizes, drop_path=0.5)
    state = random_state(twin)
    module = answer(**sizes, drop_path=0.5)
    for each in (twin, module):
        fill(each, state)
    alone, seen = tokens[-1:], []
    with torch.no_grad():
        given = module.train()(alone.expand(MANY, -1, -1))[0]
        for first, second in itertools.product((0, 1, 2), repeat=2):
            between = alone + first * twin.attn(twin.norm1(alone))[0]
            expected = between + second * twin.mlp(twin.norm2(between))
            if bool(((given - expected).abs().amax(dim=(1, 2)) < 1e-3).any()):
                seen.append(f"{first} and {second}")
    return {"factors of the two branches in training": ", ".join(seen) or "none of 0, 1 and 2"}


block = Exercise(
    title="The block",
    minutes=6,
    difficulty=2,
    reference=solution.Block,
    cases=_block_cases,
    call=build_block,
    hints=(
        "Follow the thick line of the drawing from top to bottom: what is added to it, and where?",
        "Two steps of one form: tokens = tokens + self.drop_path(branch(norm(tokens))). `self.attn` returns two "
        "things: the mixed tokens and the weights.",
        "`mixed, weights = self.attn(self.norm1(tokens))`, then `tokens = tokens + self.drop_path(mixed)`; now the "
        "same with the MLP; return both.",
    ),
    mistakes=mistakes.BLOCK,
    part="Block",
)


# The encoder


def _encoder_cases(generator: torch.Generator) -> Iterator[Case]:
    """The grid of training, another one with no whole patches, and another one with as many patches."""
    sizes = {"embed_dim": 8, "depth": 4, "num_heads": 2, "patch_size": 4, "image_size": 16, "out_indices": (0, 1, 3, 3)}
    for height, width, final_norm in ((16, 16, False), (18, 25, True), (8, 32, False)):
        yield sizes | {"final_norm": final_norm}, [torch.randn(2, 3, height, width, generator=generator)]


def build_encoder(answer: Callable, case: Case) -> Any:
    """An encoder's maps, tokens, attention and gradient; if they are right, its initial values and rates are, too."""
    sizes, (pixels,) = case
    module = answer(**sizes)
    if not isinstance(module, nn.Module):
        raise Fault("it is no `nn.Module`: write `class Encoder(nn.Module)`, and call `super().__init__()` first")
    initial = {name: value.clone() for name, value in module.state_dict().items()}
    twin = solution.Encoder(**sizes)
    found = stages_of(module, pixels, sizes, random_state(twin))
    once = pixels.shape[-1] == sizes["image_size"]  # what follows does not depend on the image
    if once and agree(found, stages_of(twin, pixels, sizes, random_state(twin)), 1e-4):
        check_initial_values(initial)
        check_rates(answer(**sizes, drop_path=0.6), sizes)
    return found


def stages_of(module: nn.Module, pixels: Tensor, sizes: dict[str, Any], state: dict[str, Tensor]) -> dict[str, Any]:
    """What an encoder with these values returns, and the gradient of its maps; Fault if it is not the right dict."""
    fill(module, state)
    image = pixels.clone().requires_grad_()
    with torch.enable_grad():
        stages = module.eval()(image)
        check_names(stages, sizes)
        total = sum((tensor * tensor.detach().cos()).sum() for tensor in tensors_of(stages["encoder"]))
        gradient = torch.autograd.grad(total, image, allow_unused=True)[0]
    asked = module(pixels, return_attention=True)
    if not isinstance(asked, Mapping) or "attention" not in asked:
        raise Fault('with `return_attention=True` the dict also holds "attention", the weights of each layer')
    named = {name: stages[name] for name in ("tokens", "encoder")}
    gradient = torch.zeros(()) if gradient is None else gradient
    return named | {"attention": asked["attention"], "gradient": gradient}


def check_names(stages: Any, sizes: dict[str, Any]) -> None:
    """Fault if the result is not the dict that the later chapters take."""
    if not isinstance(stages, Mapping):
        raise Fault('it returns no dict: return {"tokens": …, "encoder": …}, a list under each name')
    if missing := [name for name in ("tokens", "encoder") if name not in stages]:
        raise Fault(f'the dict that it returns has no "{missing[0]}"')
    for name, count in (("tokens", sizes["depth"]), ("encoder", len(sizes["out_indices"]))):
        if len(stages[name]) != count:
            given = len(stages[name])
            raise Fault(f'"{name}" holds {given} tensors, where {count} were expected, in the order of the layers')


def check_initial_values(state: dict[str, Tensor]) -> None:
    """Fault if the encoder does not begin as `initialise` leaves it."""
    for name, value in state.items():
        matrix = name.endswith("weight") and value.dim() == 2
        if (matrix or name in ("cls_token", "pos_embed")) and not 0 < float(value.std()) < 0.05:
            spread = f"`{name}` begins with a standard deviation of {float(value.std()):.2g}, not about 0.02"
            raise Fault(f"its outputs are right, its initial values are not: {spread}; `initialise(self)` sets them")


def check_rates(module: nn.Module, sizes: dict[str, Any]) -> None:
    """Fault unless layer by layer more samples skip both branches: from 0 to `drop_path`, in equal steps."""
    expected = [rate**2 for rate in torch.linspace(0, 0.6, sizes["depth"]).tolist()]
    fill(module, random_state(solution.Encoder(**sizes)))
    sample = torch.ones(3 * MANY, 2, sizes["embed_dim"]) + torch.arange(sizes["embed_dim"])
    with torch.no_grad():
        outputs = [block.train()(sample)[0] for block in module.blocks]
    skipped = [float((out == sample).flatten(1).all(dim=1).float().mean()) for out in outputs]
    if max(skipped) == 0:
        raise Fault("its outputs are right, but `drop_path` does nothing: hand each block its rate")
    if any(abs(a - b) > 0.09 for a, b in zip(skipped, expected, strict=True)):
        rule = "from 0 at the first layer to `drop_path` at the last, in equal steps; `torch.linspace` makes them"
        raise Fault(f"its outputs are right, but drop path's rates are not: {rule}")


encoder = Exercise(
    title="The encoder",
    minutes=15,
    difficulty=3,
    reference=solution.Encoder,
    cases=_encoder_cases,
    call=build_encoder,
    hints=(
        "Follow the drawing: patches; the class token in front; positions, resized to this image's grid; the blocks; a "
        "map for each of `out_indices`. Names: `patch_embed`, `cls_token`, `pos_embed`, `blocks`, `norm`.",
        "`self.cls_token.expand(len(tokens), -1, -1)` gives each image its class token; `torch.cat` puts it in front. "
        "Collect the tokens after each block in a list; the final norm changes the last entry alone.",
        "A map is `rearrange(tokens[:, 1:], 'b (h w) c -> b c h w', h=grid[0])`. Rates: "
        "`torch.linspace(0, drop_path, depth).tolist()`. Without a final norm, `self.norm = nn.Identity()`.",
    ),
    mistakes=mistakes.ENCODER,
    part="Encoder",
)


# mmsegmentation's names → ours


def rename_mmseg(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors of an mmsegmentation checkpoint under this library's names, which are timm's."""
    pairs = {
        "patch_embed.projection": "patch_embed.proj",
        "attn.attn.in_proj_": "attn.qkv.",
        "attn.attn.out_proj": "attn.proj",
        "ffn.layers.0.0": "mlp.fc1",
        "ffn.layers.1": "mlp.fc2",
        "layers.": "blocks.",
        ".ln": ".norm",
    }
    renamed = {}
    for name, tensor in state.items():
        if not name.startswith("backbone."):
            continue
        name = name.removeprefix("backbone.")
        if name.startswith("ln1."):
            name = name.replace("ln1", "norm")
        for theirs, ours in pairs.items():
            name = name.replace(theirs, ours)
        renamed[name] = tensor
    return renamed


def compare_names(answer: Callable, case: Case) -> Any:
    """An answer's names and tensors; Fault in words where the known slips of `encoder_mistakes` do not fit."""
    (state,) = case
    expected, before = rename_mmseg(state), list(state)
    given = answer(state)
    if given is None or given is ...:
        return given
    if list(state) != before:
        raise Fault("it changes `state`, which belongs to the caller: build a new dict")
    if not isinstance(given, Mapping):
        raise Fault("it returns no dict: return {our name: tensor}")
    facts = {name: [name in given, name in given and torch.equal(given[name], t)] for name, t in expected.items()}
    return facts | {"(unknown)": sorted(given.keys() - expected.keys())}


def explain_names(answer: Callable, case: Case) -> Any:
    """As `compare_names`; where no known slip fits, the first names that are wrong are told."""
    found = compare_names(answer, case)
    if not isinstance(found, dict) or any(found == compare_names(slip.wrong, case) for slip in mistakes.RENAME):
        return found
    unknown = found["(unknown)"]
    missing = [name for name, facts in found.items() if name != "(unknown)" and not facts[0]]
    if missing and unknown:
        instead = f"instead there is {few(unknown)}"
        raise Fault(f"{count(missing)} expected and missing, such as {few(missing)}; {instead}")
    if missing:
        raise Fault(f"{count(missing)} missing, such as {few(missing)}")
    if unknown:
        raise Fault(f"all names are there, and {count(unknown)} too much, such as {few(unknown)}")
    if swapped := [name for name, facts in found.items() if name != "(unknown)" and not facts[1]]:
        raise Fault(f"all names are there, but some hold another's tensor: {few(swapped)}")
    return found


def few(names: list[str]) -> str:
    """The first two names, as code."""
    return " and ".join(f"`{name}`" for name in names[:2])


def count(names: list[str]) -> str:
    """How many names, with a verb."""
    return "1 name is" if len(names) == 1 else f"{len(names)} names are"


def _mmseg_states(generator: torch.Generator) -> Iterator[Case]:
    """State dicts with mmsegmentation's names and tiny tensors; with a final norm, and without; with ten layers."""
    parts = ("ln1.", "attn.attn.in_proj_", "attn.attn.out_proj.", "ln2.", "ffn.layers.0.0.", "ffn.layers.1.")
    for depth, final in ((randint(generator, 2, 9), ("backbone.ln1.",)), (11, ())):
        blocks = [f"backbone.layers.{n}.{part}" for n in range(depth) for part in parts]
        modules = ("backbone.patch_embed.projection.", *blocks, *final, "decode_head.conv_seg.")
        names = [f"{module}{kind}" for module in modules for kind in ("weight", "bias")]
        names += ["backbone.cls_token", "backbone.pos_embed"]
        yield ({name: torch.rand(2, generator=generator) for name in names},)


mmseg_names = Exercise(
    title="mmsegmentation's weights under our names",
    minutes=6,
    difficulty=2,
    reference=rename_mmseg,
    cases=_mmseg_states,
    call=explain_names,
    hints=(
        "Seven parts of a name change, one prefix goes, and the final norm needs care: `ln1` is a name inside the "
        "blocks too.",
        '`name.replace("attn.attn.out_proj", "attn.proj")` leaves every name alone that does not hold that part. Keep '
        "the pairs in a dict and apply them all to every name; `ffn.layers` must be replaced before `layers`.",
        "Before the pairs: skip what does not start with `backbone.`, and take that prefix off. What then starts with "
        "`ln1.` is the final `norm`.",
    ),
    mistakes=mistakes.RENAME,
)
