"""The exercises of chapter 05: LayerNorm, the pre-norm block, drop path, and weights under other names."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises import encoder_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint

CALLS = 300  # of drop path on a small batch: enough to tell apart probabilities that differ by a tenth
AXES = ("sample", "token", "channel")

Step = Callable[[Tensor], Tensor]


def random_tokens(generator: torch.Generator) -> Tensor:
    """Tokens (B, N, C), all three sizes different, with mean 1 and standard deviation 2."""
    sizes = (randint(generator, 2, 3), randint(generator, 4, 6), randint(generator, 7, 9))
    return torch.randn(*sizes, generator=generator) * 2 + 1


# LayerNorm


def normalise_tokens(tokens: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm of tokens (B, N, C): every token alone, over its C channels; weight and bias (C,)."""
    mean = tokens.mean(dim=-1, keepdim=True)
    variance = ((tokens - mean) ** 2).mean(dim=-1, keepdim=True)
    return (tokens - mean) / torch.sqrt(variance + eps) * weight + bias


def _layer_norm_cases(generator: torch.Generator) -> Iterator[Case]:
    for eps in (0.05, 0.2):
        tokens = random_tokens(generator)
        weight, bias = torch.randn(2, tokens.shape[-1], generator=generator) + 1
        yield tokens, weight, bias, eps


layer_norm = Exercise(
    title="LayerNorm by hand",
    minutes=5,
    difficulty=1,
    reference=normalise_tokens,
    cases=_layer_norm_cases,
    hints=(
        "Each token is normalised by its own mean and variance: one of each per token. Which axis disappears?",
        "`mean(dim=-1, keepdim=True)` keeps the axis, at length 1, so that it broadcasts. The variance is the mean of "
        "the squared distances from it: divide by C, not by C - 1.",
        "Four steps: take the mean away; divide by the root of (variance + eps); times the weight; plus the bias.",
    ),
    mistakes=mistakes.LAYER_NORM,
    axes=AXES,
)


# The pre-norm block


def block_from_parts(tokens: Tensor, norm1: Step, attention: Step, norm2: Step, mlp: Step) -> Tensor:
    """A pre-norm block on tokens (B, N, C); the four parts are functions (B, N, C) → (B, N, C)."""
    tokens = tokens + attention(norm1(tokens))
    return tokens + mlp(norm2(tokens))


def _block_cases(generator: torch.Generator) -> Iterator[Case]:
    """Tokens and four stand-ins: two norms, a random mix of the tokens, a function of each token."""
    for _ in range(2):
        tokens = random_tokens(generator)
        count, width = tokens.shape[1:]
        gains, mixing = torch.randn(2, width, generator=generator), torch.randn(count, count, generator=generator)
        norm1, norm2 = (lambda x, gain=gain: F.layer_norm(x, x.shape[-1:]) * gain for gain in gains)
        yield tokens, norm1, lambda x, mixing=mixing: torch.tanh(mixing @ x), norm2, lambda x: torch.sin(2 * x)


pre_norm_block = Exercise(
    title="A block from its parts",
    minutes=5,
    difficulty=1,
    reference=block_from_parts,
    cases=_block_cases,
    hints=(
        "Follow the thick line in the drawing from left to right: what is added to it, and where?",
        "Two steps of one form: tokens = tokens + branch(norm(tokens)). The second starts from the first's result.",
        "First `tokens = tokens + attention(norm1(tokens))`; now the same with the other two parts.",
    ),
    mistakes=mistakes.PRE_NORM_BLOCK,
    axes=AXES,
)


# Drop path


def skip_branch(branch: Tensor, rate: float, training: bool) -> Tensor:
    """Drop path on a branch (B, N, C): each sample 0 with probability `rate`, else divided by 1 - `rate`."""
    if not training or rate == 0:
        return branch
    kept = torch.rand(len(branch), 1, 1) < 1 - rate
    return branch * kept / (1 - rate)


def observe(answer: Callable, case: Case) -> Any:
    """What an answer does in many calls on a small batch: the same whichever random numbers it draws."""
    branch, rate = case
    calls, quiet = (
        [answer(branch.clone(), rate, training) for _ in range(count)]
        for training, count in ((True, CALLS), (False, CALLS // 10))
    )
    for odd in (calls[0], quiet[0]):
        if not isinstance(odd, Tensor) or odd.shape != branch.shape:
            return odd  # its kind or shape says enough
    factors, afterwards = torch.stack(calls) / branch, torch.stack(quiet) / branch  # (calls, B, N, C)
    zero = factors == 0
    token, sample, touched = zero.all(dim=-1), zero.flatten(2).all(dim=-1), zero.flatten(2).any(dim=-1)
    mixed = (touched.any(dim=1) & ~touched.all(dim=1)).any()
    return {
        "fraction that is 0, to a tenth": round(float(zero.float().mean()), 1)
        if mixed
        else "all of a batch or nothing",
        "factor of what is kept": round(float(factors.max()), 3),
        "tokens dropped in part": _yes_or_no(zero.any(dim=-1) & ~token),
        "samples dropped in part": _yes_or_no(touched & ~sample),
        "dropped when not training": _yes_or_no(afterwards == 0),
        "factor when not training": round(float(afterwards.max()), 3),
    }


def _yes_or_no(flags: Tensor) -> str:
    return "yes" if flags.any() else "no"


def _drop_path_cases(generator: torch.Generator) -> Iterator[Case]:
    branch = torch.rand(5, randint(generator, 2, 3), 3, generator=generator) + 0.5  # never 0
    yield branch, randint(generator, 2, 4) / 10


drop_path = Exercise(
    title="Drop path",
    minutes=8,
    difficulty=2,
    reference=skip_branch,
    cases=_drop_path_cases,
    call=observe,
    hints=(
        "How many random draws does a batch of eight images take? Give the tensor of draws that many rows, and axes of "
        "length 1 so that it broadcasts over tokens and channels.",
        "`torch.rand(B, 1, 1)` is below 0.9 nine times in ten. By what must a kept sample be divided, so that the mean "
        "over many calls is the branch itself?",
        "When not training, or at rate 0, return the branch. Else multiply by the mask "
        "`torch.rand(len(branch), 1, 1) < 1 - rate` and divide by 1 - rate.",
    ),
    mistakes=mistakes.DROP_PATH,
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
    """An answer's names against the right ones, and whether each tensor has its own name."""
    expected, given = rename_mmseg(*case), answer(*case)
    if not isinstance(given, dict):
        return given
    both = expected.keys() & given.keys()
    return {
        "missing names": _listed(expected.keys() - given.keys()),
        "unknown names": _listed(given.keys() - expected.keys()),
        "tensors under another's name": _listed(
            {name for name in both if not torch.equal(expected[name], given[name])}
        ),
    }


def _listed(names: set[str]) -> str:
    first = sorted(names)[:3]
    return ", ".join(first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _mmseg_states(generator: torch.Generator) -> Iterator[Case]:
    """State dicts with mmsegmentation's names and tiny tensors; with a final norm, and without."""
    parts = ("ln1.", "attn.attn.in_proj_", "attn.attn.out_proj.", "ln2.", "ffn.layers.0.0.", "ffn.layers.1.")
    for final in (("backbone.ln1.",), ()):
        blocks = [f"backbone.layers.{n}.{part}" for n in range(randint(generator, 2, 12)) for part in parts]
        modules = ("backbone.patch_embed.projection.", *blocks, *final, "decode_head.conv_seg.")
        names = [f"{module}{kind}" for module in modules for kind in ("weight", "bias")]
        names += ["backbone.cls_token", "backbone.pos_embed"]
        yield ({name: torch.rand(2, generator=generator) for name in names},)


mmseg_names = Exercise(
    title="mmsegmentation's weights under our names",
    minutes=7,
    difficulty=2,
    reference=rename_mmseg,
    cases=_mmseg_states,
    call=compare_names,
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


# The modules


def module_cases(sizes: dict[str, Any]) -> Callable:
    """Cases of a module on random tokens of its width."""

    def cases(generator: torch.Generator) -> Iterator[Case]:
        width = sizes["embed_dim"]
        yield sizes, [torch.randn(randint(generator, 2, 3), randint(generator, 4, 6), width, generator=generator) + 1]

    return cases


def _encoder_cases(generator: torch.Generator) -> Iterator[Case]:
    """The grid of training and another one; with a final norm and without."""
    sizes = {"embed_dim": 8, "depth": 4, "num_heads": 2, "patch_size": 4, "image_size": 16, "out_indices": (0, 1, 3, 3)}
    for height, width, final_norm in ((16, 16, False), (18, 25, True), (8, 32, False)):
        yield sizes | {"final_norm": final_norm}, [torch.randn(2, 3, height, width, generator=generator)]


norm = Exercise(
    title="LayerNorm, the module",
    minutes=8,
    difficulty=1,
    reference=solution.LayerNorm,
    cases=module_cases({"embed_dim": 7}),
    call=module_call(solution.LayerNorm),
    hints=("Two parameters, `weight` of ones and `bias` of zeros, (C,) each; `eps` is 1e-6.",),
    part="LayerNorm",
)

mlp = Exercise(
    title="The MLP",
    minutes=5,
    difficulty=1,
    reference=solution.MLP,
    cases=module_cases({"embed_dim": 6, "hidden_dim": 10}),
    call=module_call(solution.MLP),
    hints=("`fc1` from C to the hidden width, `F.gelu`, `fc2` back to C.",),
    part="MLP",
)

stochastic_depth = Exercise(
    title="Drop path, the module",
    minutes=8,
    difficulty=2,
    reference=solution.DropPath,
    cases=_drop_path_cases,
    call=lambda answer, case: observe(lambda branch, rate, training: answer(rate).train(training)(branch), case),
    hints=("Draw one number for each sample: a tensor of shape (B, 1, 1).",),
    part="DropPath",
)

block = Exercise(
    title="The block",
    minutes=8,
    difficulty=2,
    reference=solution.Block,
    cases=module_cases({"embed_dim": 8, "num_heads": 2}),
    call=module_call(solution.Block),
    hints=("Two steps of one form: tokens = tokens + self.drop_path(branch(norm(tokens))).",),
    part="Block",
)

encoder = Exercise(
    title="The encoder",
    minutes=20,
    difficulty=3,
    reference=solution.Encoder,
    cases=_encoder_cases,
    call=module_call(solution.Encoder),
    hints=("Patches; the class token in front; positions, resized to the grid; the blocks; a map for each tap.",),
    part="Encoder",
)
