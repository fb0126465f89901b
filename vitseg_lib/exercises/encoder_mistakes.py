"""The mistakes that the exercises of chapter 05 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vitseg_lib.exercises.base import named

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


LAYER_NORM = named(
    {
        "your variance divides by C - 1, which is what `var` does unless told otherwise; LayerNorm divides by C": (
            layer_norm_but(less=1)
        ),
        "you normalise over the tokens, so that each would have to know the others: what is averaged is the channels": (
            layer_norm_but(over=1)
        ),
        "you normalise over the batch, so that a picture's result hangs on the others: count axes from the end": (
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


PRE_NORM_BLOCK = named(
    {
        "this is the post-norm block: its norms stand on the stream, after each sum": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: n1(t + a(t)), lambda t: n2(t + m(t)))
        ),
        "the shortcut carries the normalised tokens; it must carry them as they came in": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: n1(t) + a(n1(t)), lambda t: n2(t) + m(n2(t)))
        ),
        "both branches read the block's input; the MLP has to read what attention has already added to": (
            lambda x, n1, a, n2, m: x + a(n1(x)) + m(n2(x))
        ),
        "the last sum adds the block's input, so that what attention found never reaches the stream": (
            lambda x, n1, a, n2, m: x + m(n2(x + a(n1(x))))
        ),
        "one norm, norm1, stands in both branches; the MLP has its own": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + a(n1(t)), lambda t: t + m(n1(t)))
        ),
        "the two norms, norm1 and norm2, have changed places": (
            lambda x, n1, a, n2, m: in_turn(x, lambda t: t + a(n2(t)), lambda t: t + m(n1(t)))
        ),
        "the MLP comes before attention; tokens exchange first, then each thinks for itself": (
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
    coins: tuple[int, ...] = (0,),
    drop: Callable[[float], float] = lambda rate: rate,
    train: Callable[[float], float] = lambda keep: 1 / keep,
    after: Callable[[float], float] = lambda keep: 1.0,
) -> Callable:
    """Drop path with a thing changed: axes with coins of their own, share dropped, factor in training and after."""

    def wrong(branch: Tensor, rate: float, training: bool) -> Tensor:
        if not training:
            return branch * after(1 - rate)
        shape = [side if axis in coins else 1 for axis, side in enumerate(branch.shape)]
        return branch * (torch.rand(shape) >= drop(rate)) * train(1 - rate)

    return wrong


def always(rate_of: Callable[[bool], bool]) -> Callable:
    """Drop path that asks something else than `training`."""
    return lambda branch, rate, training: drop_path_but()(branch, rate, rate_of(training))


DROP_PATH = named(
    {
        "nothing is ever dropped: the branch comes back as it is, in training too": always(lambda training: False),
        "a coin is tossed for every number: that is dropout; drop path tosses one a sample": (
            drop_path_but(coins=(0, 1, 2))
        ),
        "a coin is tossed for every token; all tokens of a sample share one": drop_path_but(coins=(0, 1)),
        "one coin is tossed for the whole batch; every sample has its own": drop_path_but(coins=()),
        "the kept samples are not scaled, so the branch is weaker in training than it will be afterwards": (
            drop_path_but(train=lambda keep: 1.0)
        ),
        "the scaling is done after training, as in the paper of 2016; here it is done in training": (
            drop_path_but(train=lambda keep: 1.0, after=lambda keep: keep)
        ),
        "the kept samples are multiplied by the share kept; divide by it": drop_path_but(train=lambda keep: keep),
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
        "`rate` is taken for the share to keep; it is the share to drop": (
            drop_path_but(drop=lambda rate: 1 - rate, train=lambda keep: 1 / (1 - keep))
        ),
        "the coin is read the wrong way round: the share `rate` is kept, and the rest dropped": (
            drop_path_but(drop=lambda rate: 1 - rate)
        ),
    }
)


# timm's names → ours

PAIRS = {
    "cls_token": "class_token",
    "pos_embed": "position_embedding",
    "patch_embed.proj": "patches.projection",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.projection",
    "mlp.fc1": "mlp.expand",
    "mlp.fc2": "mlp.contract",
}


def rename_but(
    *, pairs: Mapping[str, str] | None = None, norm: str = "final_norm.", keep: Callable[[str], bool] | None = None
) -> Callable:
    """The renaming with a thing changed: pairs, the final norm's new name, which of timm's tensors are kept."""

    def wrong(state: State) -> State:
        renamed = {}
        for name, tensor in state.items():
            if not (keep or (lambda name: not name.startswith("head.")))(name):
                continue
            name = norm + name[5:] if name.startswith("norm.") else name
            for theirs, ours in (PAIRS | dict(pairs or {})).items():
                name = name.replace(theirs, ours)
            renamed[name] = tensor
        return renamed

    return wrong


RENAME = named(
    {
        "every norm is called final_norm now, those inside the blocks too: only a name that begins with `norm.` is "
        "the final one": lambda state: {
            (name.replace("norm", "final_norm") if "blocks" in name else name): tensor
            for name, tensor in rename_but()(state).items()
        },
        "the final norm still has timm's name": rename_but(norm="norm."),
        "the final norm was left out together with the classifier": (
            rename_but(keep=lambda name: not name.startswith(("head.", "norm.")))
        ),
        "the classifier, `head.…`, is still there: an encoder has no place for it": rename_but(keep=lambda name: True),
        "the patch embedding still has timm's name": rename_but(pairs={"patch_embed.proj": "patch_embed.proj"}),
        "attention's projection is still called proj": rename_but(pairs={"attn.proj": "attention.proj"}),
        "attention is still called attn": rename_but(pairs={"attn.qkv": "attn.qkv", "attn.proj": "attn.projection"}),
        "the names for fc1 and fc2 have changed places: fc1 is the one that expands": (
            rename_but(pairs={"mlp.fc1": "mlp.contract", "mlp.fc2": "mlp.expand"})
        ),
        "the class token still has timm's name": rename_but(pairs={"cls_token": "cls_token"}),
        "the position embedding still has timm's name": rename_but(pairs={"pos_embed": "pos_embed"}),
        "the biases are gone: only weights were renamed": (
            rename_but(keep=lambda name: not name.startswith("head.") and not name.endswith("bias"))
        ),
    }
)
