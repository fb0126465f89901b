"""The mistakes that the exercises of chapter 05 know by name: what each does, as code, and the sentence for it."""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

State = dict[str, Tensor]


# LayerNorm: tokens (B, N, C), weight and bias (C,), eps


def layer_norm_but(
    *,
    over: int | tuple[int, ...] = 2,
    less: int = 0,
    centred: bool = True,
    divisor: Callable = lambda variance, eps: (variance + eps) ** 0.5,
    finish: Callable = lambda x, weight, bias: x * weight + bias,
) -> Callable:
    """LayerNorm with a thing or two changed: axes, what the variance divides by, centring, divisor, finish."""

    def wrong(tokens: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean = tokens.mean(over, keepdim=True)
        variance = tokens.var(over, keepdim=True, correction=less)
        return finish((tokens - mean * centred) / divisor(variance, eps), weight, bias)

    return wrong


def root_mean_square_norm(tokens: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """RMSNorm, plus a bias."""
    return tokens / torch.sqrt((tokens**2).mean(dim=-1, keepdim=True) + eps) * weight + bias


LAYER_NORM = mistakes(
    {
        "your variance divides by C - 1, which is the default of `var`; LayerNorm divides by C": (
            layer_norm_but(less=1)
        ),
        "you normalise over the tokens, so that each depends on the others: what is averaged is the channels": (
            layer_norm_but(over=1)
        ),
        "you normalise over the batch, so that an image's result depends on the others: count axes from the end": (
            layer_norm_but(over=0)
        ),
        "one mean and one variance are taken for a whole sample; each token needs its own": layer_norm_but(over=(1, 2)),
        "you normalise each channel over batch and tokens: that is BatchNorm's way; here it is each token over its "
        "channels": layer_norm_but(over=(0, 1)),
        "the eps is added to the standard deviation; it belongs under the root, beside the variance": (
            layer_norm_but(divisor=lambda variance, eps: variance**0.5 + eps)
        ),
        "two things at once: `std` divides by C - 1 where LayerNorm divides by C, and eps belongs under the root": (
            layer_norm_but(less=1, divisor=lambda variance, eps: variance**0.5 + eps)
        ),
        "the eps is not used: a token whose channels are all equal would be divided by zero": (
            layer_norm_but(divisor=lambda variance, eps: variance**0.5)
        ),
        "you divide by the variance; its root is missing": layer_norm_but(divisor=lambda variance, eps: variance + eps),
        "the variance is taken about the mean, but the mean is not taken away from the tokens": (
            layer_norm_but(centred=False)
        ),
        "you divide by the root mean square and never take the mean away: that is RMSNorm": root_mean_square_norm,
        "the normalising is right; the learnt weight and bias are left out": (
            layer_norm_but(finish=lambda x, weight, bias: x)
        ),
        "the learnt bias is left out": layer_norm_but(finish=lambda x, weight, bias: x * weight),
        "the bias is added before the weight multiplies; the weight comes first": (
            layer_norm_but(finish=lambda x, weight, bias: (x + bias) * weight)
        ),
    }
)


# The pre-norm block: tokens (B, N, C), and four functions


def in_turn(x: Tensor, first: Callable, second: Callable) -> Tensor:
    """One step after the other."""
    return second(first(x))


PRE_NORM_BLOCK = mistakes(
    {
        "this is the post-norm block: its norms are on the stream, after each sum": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: n1(t + a(t)), lambda t: n2(t + m(t)))
        ),
        "the shortcut carries the normalised tokens; it must carry them as they came in": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: n1(t) + a(n1(t)), lambda t: n2(t) + m(n2(t)))
        ),
        "both branches read the block's input; the MLP has to read what attention has already added to": (
            lambda x, n1, a, n2, m: x + a(n1(x)) + m(n2(x))
        ),
        "the last sum adds the block's input, so that attention's result never reaches the stream": (
            lambda x, n1, a, n2, m: x + m(n2(x + a(n1(x))))
        ),
        "one norm, norm1, is in both branches; the MLP has its own": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + a(n1(t)), lambda t: t + m(n1(t)))
        ),
        "the two norms, norm1 and norm2, are swapped": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + a(n2(t)), lambda t: t + m(n1(t)))
        ),
        "the MLP comes before attention; attention mixes the tokens first, then the MLP works on each alone": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + m(n2(t)), lambda t: t + a(n1(t)))
        ),
        "nothing is added back: both shortcuts are missing": lambda x, n1, a, n2, m: m(n2(a(n1(x)))),
        "the second shortcut, the one around the MLP, is missing": lambda x, n1, a, n2, m: m(n2(x + a(n1(x)))),
        "the first shortcut, the one around attention, is missing": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: a(n1(t)), lambda t: t + m(n2(t)))
        ),
        "the norms are left out of both branches": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + a(t), lambda t: t + m(t))
        ),
        "each norm comes after its attention or MLP, inside the branch; it belongs before": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + n1(a(t)), lambda t: t + n2(m(t)))
        ),
    }
)


# Drop path: a branch (B, N, C), the rate to drop, and whether it is training


def drop_path_but(
    *,
    draws: tuple[int, ...] = (0,),
    drop: Callable[[float], float] = lambda rate: rate,
    train: Callable[[float], float] = lambda keep: 1 / keep,
    after: Callable[[float], float] = lambda keep: 1.0,
) -> Callable:
    """Drop path with a thing changed: axes with draws of their own, probability, factor in training and after."""

    def wrong(branch: Tensor, rate: float, training: bool) -> Tensor:
        if not training:
            return branch * after(1 - rate)
        shape = [side if axis in draws else 1 for axis, side in enumerate(branch.shape)]
        return branch * (torch.rand(shape) >= drop(rate)) * train(1 - rate)

    return wrong


def always(mode_of: Callable[[bool], bool]) -> Callable:
    """Drop path that goes by something else than `training`."""
    return lambda branch, rate, training: drop_path_but()(branch, rate, mode_of(training))


DROP_PATH = mistakes(
    {
        "nothing is ever dropped: the branch comes back as it is, in training too": always(lambda training: False),
        "there is a random draw for every value: that is dropout; drop path draws one per sample": (
            drop_path_but(draws=(0, 1, 2))
        ),
        "there is a random draw for every token; all tokens of a sample share one": drop_path_but(draws=(0, 1)),
        "there is one random draw for the whole batch; every sample has its own": drop_path_but(draws=()),
        "the kept samples are not scaled, so the branch is weaker in training than it will be afterwards": (
            drop_path_but(train=lambda keep: 1.0)
        ),
        "the scaling is done after training, as in the paper of 2016; here it is done in training": (
            drop_path_but(train=lambda keep: 1.0, after=lambda keep: keep)
        ),
        "the kept samples are multiplied by 1 - rate; divide by it": drop_path_but(train=lambda keep: keep),
        "the kept samples are divided by the rate; divide by what is kept, 1 - rate": (
            drop_path_but(train=lambda keep: 1 / (1 - keep))
        ),
        "the branch is scaled when not training, too; there it comes back as it is": (
            drop_path_but(after=lambda keep: 1 / keep)
        ),
        "it drops when `training` is False as well, so that predictions change from call to call": (
            always(lambda training: True)
        ),
        "it drops when not training and leaves the branch alone in training: the other way round": (
            always(lambda training: not training)
        ),
        "`rate` is taken for the probability of keeping; it is that of dropping": (
            drop_path_but(drop=lambda rate: 1 - rate, train=lambda keep: 1 / (1 - keep))
        ),
        "the draw is compared the wrong way round: a sample is kept with probability `rate`, else dropped": (
            drop_path_but(drop=lambda rate: 1 - rate)
        ),
    }
)


# mmsegmentation's names → ours

PAIRS = {
    "patch_embed.projection": "patch_embed.proj",
    "attn.attn.in_proj_": "attn.qkv.",
    "attn.attn.out_proj": "attn.proj",
    "ffn.layers.0.0": "mlp.fc1",
    "ffn.layers.1": "mlp.fc2",
    "layers.": "blocks.",
    ".ln": ".norm",
}


def rename_but(*, final: str = "norm.", without: str = "decode_head", prefix: str = "", **pairs: str) -> Callable:
    """The renaming with a thing changed: the final norm's name, which tensors are left out, a prefix, pairs of names.

    `pairs` are keyed by our names, dots as underscores: `mlp_fc1="mlp.fc2"`.
    """
    table = {theirs: pairs.get(ours.strip(".").replace(".", "_"), ours) for theirs, ours in PAIRS.items()}

    def wrong(state: State) -> State:
        renamed = {}
        for name, tensor in state.items():
            if re.search(without, name):
                continue
            name = name.removeprefix("backbone.")
            name = final + name[4:] if name.startswith("ln1.") else name
            for theirs, ours in table.items():
                name = name.replace(theirs, ours)
            renamed[prefix + name] = tensor
        return renamed

    return wrong


RENAME = mistakes(
    {
        "the final norm became `norm1`, as in a block; outside the blocks it is `norm`": rename_but(final="norm1."),
        "the final norm still has mmsegmentation's name, `ln1`": rename_but(final="ln1."),
        "the final norm was left out: it belongs to the encoder": rename_but(without=r"decode_head|backbone\.ln1"),
        "the head, `decode_head.…`, is still there: an encoder has no place for it": rename_but(without="nothing"),
        "the prefix `backbone.` is still there": rename_but(prefix="backbone."),
        "the patch embedding is still called projection": rename_but(patch_embed_proj="patch_embed.projection"),
        "every `layers` became `blocks`, those inside `ffn` too: replace the longer names first": (
            rename_but(mlp_fc1="ffn.blocks.0.0", mlp_fc2="ffn.blocks.1")
        ),
        "the blocks are still called layers": rename_but(blocks="layers."),
        "attention's output projection is still called out_proj": rename_but(attn_proj="attn.out_proj"),
        "`attn` still stands twice in a name": rename_but(attn_proj="attn.attn.proj", attn_qkv="attn.attn.qkv."),
        "`in_proj_weight` became `qkv_weight`: a dot belongs between the layer and its weight": (
            rename_but(attn_qkv="attn.qkv_")
        ),
        "the names fc1 and fc2 are swapped: fc1 is the first layer, the one that expands": (
            rename_but(mlp_fc1="mlp.fc2", mlp_fc2="mlp.fc1")
        ),
        "the biases are gone: only weights were renamed": rename_but(without="decode_head|bias"),
    }
)
