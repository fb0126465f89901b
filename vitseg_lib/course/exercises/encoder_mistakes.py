"""The mistakes that the exercises of chapter 05 know by name: what each does, as code, and the sentence for it."""

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.base import mistakes

State = dict[str, Tensor]
Norm = Callable[[Tensor, Tensor, Tensor, float], Tensor]


# LayerNorm: tokens (B, N, C), weight and bias (C,), eps


def norm_class(function: Norm) -> type[nn.Module]:
    """A LayerNorm that normalises with this function of tokens, weight, bias and eps."""

    class Wrong(solution.LayerNorm):
        def forward(self, tokens: Tensor) -> Tensor:
            return function(tokens, self.weight, self.bias, self.eps)

    return Wrong


def norm_but(
    *,
    over: int | tuple[int, ...] = 2,
    less: int = 0,
    centred: bool = True,
    divisor: Callable = lambda variance, eps: (variance + eps) ** 0.5,
    finish: Callable = lambda x, weight, bias: x * weight + bias,
) -> type[nn.Module]:
    """LayerNorm with a thing or two changed: axes, what the variance divides by, centring, divisor, finish."""

    def wrong(tokens: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean = tokens.mean(over, keepdim=True)
        variance = tokens.var(over, keepdim=True, correction=less)
        return finish((tokens - mean * centred) / divisor(variance, eps), weight, bias)

    return norm_class(wrong)


def root_mean_square(tokens: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """RMSNorm, plus a bias."""
    return tokens / torch.sqrt((tokens**2).mean(dim=-1, keepdim=True) + eps) * weight + bias


def summed(tokens: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The squared distances are summed and not averaged."""
    centred = tokens - tokens.mean(dim=-1, keepdim=True)
    return centred / torch.sqrt((centred**2).sum(dim=-1, keepdim=True) + eps) * weight + bias


def eps_of(value: float) -> type[nn.Module]:
    """LayerNorm with this eps, whatever is asked for."""
    return norm_class(lambda tokens, weight, bias, eps: F.layer_norm(tokens, weight.shape, weight, bias, value))


NORM = mistakes(
    {
        "your variance divides by C - 1, which is the default of `var`; LayerNorm divides by C": norm_but(less=1),
        "you normalise over the tokens, so that each depends on the others: what is averaged is the channels": (
            norm_but(over=1)
        ),
        "you normalise over the batch, so that an image's result depends on the others: count axes from the end": (
            norm_but(over=0)
        ),
        "one mean and one variance are taken for a whole sample; each token needs its own": norm_but(over=(1, 2)),
        "one mean and one variance are taken for the whole tensor: name the axis, `dim=-1`": norm_but(over=(0, 1, 2)),
        "you normalise each channel over batch and tokens: that is BatchNorm's way; here it is each token over its "
        "channels": norm_but(over=(0, 1)),
        "the eps is added to the standard deviation; it belongs under the root, beside the variance": (
            norm_but(divisor=lambda variance, eps: variance**0.5 + eps)
        ),
        "two things at once: `std` divides by C - 1 where LayerNorm divides by C, and eps belongs under the root": (
            norm_but(less=1, divisor=lambda variance, eps: variance**0.5 + eps)
        ),
        "the eps is not used: a token whose channels are all equal is divided by zero": (
            norm_but(divisor=lambda variance, eps: variance**0.5)
        ),
        "your eps is 1e-5, PyTorch's default; these weights were trained with 1e-6": eps_of(1e-5),
        "your eps is 1e-6 whatever is asked for: keep the argument as `self.eps`": eps_of(1e-6),
        "you divide by the variance; its root is missing": norm_but(divisor=lambda variance, eps: variance + eps),
        "the squared distances are summed; the variance is their mean": norm_class(summed),
        "the variance is taken about the mean, but the mean is not taken away from the tokens": norm_but(centred=False),
        "you divide by the root mean square and never take the mean away: that is RMSNorm": norm_class(
            root_mean_square
        ),
        "the normalising is right; the learnt weight and bias are left out": norm_but(finish=lambda x, w, b: x),
        "the learnt bias is left out": norm_but(finish=lambda x, weight, bias: x * weight),
        "the learnt weight is left out": norm_but(finish=lambda x, weight, bias: x + bias),
        "the bias is added before the weight multiplies; the weight comes first": (
            norm_but(finish=lambda x, weight, bias: (x + bias) * weight)
        ),
    }
)


# The MLP


def mlp_but(forward: Callable[[nn.Module, Tensor], Tensor]) -> type[nn.Module]:
    """An MLP with another forward."""
    return type("Wrong", (solution.MLP,), {"forward": forward})


MLP = mistakes(
    {
        "nothing bends between the two layers, so that together they are one linear map: `F.gelu` is missing": (
            mlp_but(lambda m, x: m.fc2(m.fc1(x)))
        ),
        "this is GELU by the tanh formula; these weights were trained with the exact one, `F.gelu(x)`": (
            mlp_but(lambda m, x: m.fc2(F.gelu(m.fc1(x), approximate="tanh")))
        ),
        "this is GELU by the sigmoid formula, x · sigmoid(1.702 x); these weights were trained with the exact one": (
            mlp_but(lambda m, x: m.fc2(m.fc1(x) * torch.sigmoid(1.702 * m.fc1(x))))
        ),
        "the bend is a ReLU; it should be a GELU": mlp_but(lambda m, x: m.fc2(F.relu(m.fc1(x)))),
        "the bend is a SiLU; it should be a GELU": mlp_but(lambda m, x: m.fc2(F.silu(m.fc1(x)))),
        "there is a second GELU, after fc2; the result of a branch must be free to be negative": (
            mlp_but(lambda m, x: F.gelu(m.fc2(F.gelu(m.fc1(x)))))
        ),
        "the GELU comes after fc2; it belongs between the two layers": mlp_but(lambda m, x: F.gelu(m.fc2(m.fc1(x)))),
        "the GELU comes before fc1; it belongs between the two layers": mlp_but(lambda m, x: m.fc2(m.fc1(F.gelu(x)))),
        "the tokens are added to the result; the shortcut is the block's, not the MLP's": (
            mlp_but(lambda m, x: x + m.fc2(F.gelu(m.fc1(x))))
        ),
    }
)


# Drop path: a branch (B, N, C), the rate to drop, and whether it is training


def drop_class(function: Callable[[Tensor, float, bool], Tensor]) -> type[nn.Module]:
    """A DropPath that does this to a branch, a rate and `training`."""

    class Wrong(solution.DropPath):
        def forward(self, branch: Tensor) -> Tensor:
            return function(branch, self.rate, self.training)

    return Wrong


def dropped(
    *,
    draws: tuple[int, ...] = (0,),
    drop: Callable[[float], float] = lambda rate: rate,
    train: Callable[[float], float] = lambda keep: 1 / keep,
    after: Callable[[float], float] = lambda keep: 1.0,
    draw: Callable = torch.rand,
) -> Callable:
    """Drop path with a thing changed: axes with draws of their own, probability, factors, what is drawn."""

    def wrong(branch: Tensor, rate: float, training: bool) -> Tensor:
        if not training:
            return branch * after(1 - rate)
        shape = [side if axis in draws else 1 for axis, side in enumerate(branch.shape)]
        return branch * (draw(shape) >= drop(rate)) * train(1 - rate)

    return wrong


def drop_but(**changes) -> type[nn.Module]:
    """`dropped`, as a class."""
    return drop_class(dropped(**changes))


def always(mode_of: Callable[[bool], bool]) -> type[nn.Module]:
    """Drop path that goes by something else than `training`."""
    return drop_class(lambda branch, rate, training: dropped()(branch, rate, mode_of(training)))


DROP_PATH = mistakes(
    {
        "nothing is ever dropped: the branch comes back as it is, in training too": always(lambda training: False),
        "there is a random draw for every value: that is dropout; drop path draws one per sample": (
            drop_but(draws=(0, 1, 2))
        ),
        "there is a random draw for every token; all tokens of a sample share one": drop_but(draws=(0, 1)),
        "there is a random draw for every sample and channel; all channels of a sample share one": (
            drop_but(draws=(0, 2))
        ),
        "there is one random draw for the whole batch; every sample has its own": drop_but(draws=()),
        "`randn` draws normal numbers, and half of those are below 0; `rand` draws evenly between 0 and 1": (
            drop_but(draw=torch.randn)
        ),
        "`randn` draws normal numbers, of which more than you think are above 1 - rate; `rand` draws evenly between 0 "
        "and 1": drop_but(draw=lambda shape: -torch.randn(shape), drop=lambda rate: rate - 1),
        "the kept samples are not scaled, so the branch is weaker in training than it will be afterwards": (
            drop_but(train=lambda keep: 1.0)
        ),
        "the scaling is done after training, as in the paper of 2016; here it is done in training": (
            drop_but(train=lambda keep: 1.0, after=lambda keep: keep)
        ),
        "the kept samples are multiplied by 1 - rate; divide by it": drop_but(train=lambda keep: keep),
        "the kept samples are divided by the rate; divide by what is kept, 1 - rate": (
            drop_but(train=lambda keep: 1 / (1 - keep))
        ),
        "the branch is scaled when not training, too; there it comes back as it is": (
            drop_but(after=lambda keep: 1 / keep)
        ),
        "it drops when not training as well, so that predictions change from call to call: ask `self.training`": (
            always(lambda training: True)
        ),
        "it drops when not training and leaves the branch alone in training: the other way round": (
            always(lambda training: not training)
        ),
        "`rate` is taken for the probability of keeping; it is that of dropping": (
            drop_but(drop=lambda rate: 1 - rate, train=lambda keep: 1 / (1 - keep))
        ),
        "the draw is compared the wrong way round: a sample is kept with probability `rate`, else dropped": (
            drop_but(drop=lambda rate: 1 - rate)
        ),
    }
)


# The block


class _Parts(solution.Block):
    """A block whose `forward` is `combine` of the tokens and its parts; attention as a function of tokens alone."""

    def combine(self, x: Tensor, n1: Callable, a: Callable, n2: Callable, m: Callable, d: Callable) -> Tensor:
        x = x + d(a(n1(x)))
        return x + d(m(n2(x)))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        kept = []

        def attend(x: Tensor) -> Tensor:
            mixed, weights = self.attn(x)
            kept.append(weights)
            return mixed

        return self.combine(tokens, self.norm1, attend, self.norm2, self.mlp, self.drop_path), kept[0]


def block_but(combine: Callable) -> type[nn.Module]:
    """A block whose parts are put together in another way: of x, norm1, attention, norm2, MLP and drop path."""
    return type("Wrong", (_Parts,), {"combine": lambda self, *parts: combine(*parts)})


def twice(x: Tensor, first: Callable, second: Callable) -> Tensor:
    """One step after the other."""
    return second(first(x))


class OtherEps(solution.Block):
    """A block whose norms have PyTorch's default eps."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.norm1.eps = self.norm2.eps = 1e-5


BLOCK = mistakes(
    {
        "this is the post-norm block: its norms are on the stream, after each sum": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: n1(t + d(a(t))), lambda t: n2(t + d(m(t)))))
        ),
        "the shortcut carries the normalised tokens; it must carry them as they came in": (
            block_but(lambda x, n1, a, n2, m, d: twice(n1(x), lambda t: t + d(a(t)), lambda t: n2(t) + d(m(n2(t)))))
        ),
        "the first shortcut carries the normalised tokens; it must carry them as they came in": (
            block_but(lambda x, n1, a, n2, m, d: twice(n1(x), lambda t: t + d(a(t)), lambda t: t + d(m(n2(t)))))
        ),
        "both branches read the block's input; the MLP has to read what attention has already added to": (
            block_but(lambda x, n1, a, n2, m, d: x + d(a(n1(x))) + d(m(n2(x))))
        ),
        "the last sum adds the block's input, so that attention's result never reaches the stream": (
            block_but(lambda x, n1, a, n2, m, d: x + d(m(n2(x + d(a(n1(x)))))))
        ),
        "one norm, norm1, is in both branches; the MLP has its own": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(a(n1(t))), lambda t: t + d(m(n1(t)))))
        ),
        "the two norms, norm1 and norm2, are swapped": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(a(n2(t))), lambda t: t + d(m(n1(t)))))
        ),
        "the MLP comes before attention; attention mixes the tokens first, then the MLP works on each alone": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(m(n2(t))), lambda t: t + d(a(n1(t)))))
        ),
        "nothing is added back: both shortcuts are missing": (
            block_but(lambda x, n1, a, n2, m, d: d(m(n2(d(a(n1(x)))))))
        ),
        "the second shortcut, the one around the MLP, is missing": (
            block_but(lambda x, n1, a, n2, m, d: d(m(n2(x + d(a(n1(x)))))))
        ),
        "the first shortcut, the one around attention, is missing": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: d(a(n1(t))), lambda t: t + d(m(n2(t)))))
        ),
        "the norms are left out of both branches": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(a(t)), lambda t: t + d(m(t))))
        ),
        "the MLP's branch has no norm: norm2 belongs before it": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(a(n1(t))), lambda t: t + d(m(t))))
        ),
        "attention's branch has no norm: norm1 belongs before it": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(a(t)), lambda t: t + d(m(n2(t)))))
        ),
        "each norm comes after its attention or MLP, inside the branch; it belongs before": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(n1(a(t))), lambda t: t + d(n2(m(t)))))
        ),
        "the outputs are right, but drop path is left out: both branches go through `self.drop_path`": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + a(n1(t)), lambda t: t + m(n2(t))))
        ),
        "drop path acts on the MLP's branch only; here, as in the code that trained the published weights, on both": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + a(n1(t)), lambda t: t + d(m(n2(t)))))
        ),
        "drop path acts on attention's branch only; the MLP's goes through it as well": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: t + d(a(n1(t))), lambda t: t + m(n2(t))))
        ),
        "drop path acts on the sum, so that a whole image is lost; it belongs on the branch, before it is added": (
            block_but(lambda x, n1, a, n2, m, d: twice(x, lambda t: d(t + a(n1(t))), lambda t: d(t + m(n2(t)))))
        ),
        "its norms have an eps of 1e-5, PyTorch's default; these weights were trained with 1e-6": OtherEps,
    }
)


# The encoder


class _Steps(solution.Encoder):
    """The encoder's forward in steps, each of which a mistake may change."""

    def enter(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return tokens + self.positions(grid)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        return solution.resize_pos_embed(self.pos_embed, self.grid_size, grid)

    def pass_on(self, entered: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        outputs, weights = [], []
        for block in self.blocks:
            entered, found = block(entered)
            outputs.append(entered)
            weights.append(found)
        return outputs, weights

    def finish(self, outputs: list[Tensor]) -> list[Tensor]:
        return [*outputs[:-1], self.norm(outputs[-1])]

    def lay_out(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return rearrange(tokens[:, 1:], "b (h w) c -> b c h w", h=grid[0])

    def taps(self, entered: Tensor, outputs: list[Tensor]) -> list[Tensor]:
        return [outputs[index] for index in self.out_indices]

    def forward(self, pixels: Tensor, *, return_attention: bool = False) -> dict[str, list[Tensor]]:
        tokens, grid = self.patch_embed(pixels)
        entered = self.enter(tokens, grid)
        outputs, weights = self.pass_on(entered)
        outputs = self.finish(outputs)
        stages = {"tokens": outputs, "encoder": [self.lay_out(t, grid) for t in self.taps(entered, outputs)]}
        return stages | ({"attention": weights} if return_attention else {})


def encoder_but(**steps: Callable) -> type[nn.Module]:
    """An encoder with some of its steps changed."""
    return type("Wrong", (_Steps,), steps)


def class_token_last(self: _Steps, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """The class token behind the patches, the positions in their own order."""
    return torch.cat([tokens, self.cls_token.expand(len(tokens), -1, -1)], dim=1) + self.positions(grid)


def class_token_without_position(self: _Steps, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Positions are added to the patches alone."""
    return torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens + self.positions(grid)[:, 1:]], dim=1)


def no_class_token(self: _Steps, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Zeros in place of the class token."""
    return torch.cat([torch.zeros_like(tokens[:, :1]), tokens], dim=1) + self.positions(grid)


def no_positions(self: _Steps, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """No position embedding at all."""
    return torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)


def by_count(self: _Steps, grid: tuple[int, int]) -> Tensor:
    """Resized only where the number of patches differs."""
    same = grid[0] * grid[1] == self.pos_embed.shape[1] - 1
    return self.pos_embed if same else solution.resize_pos_embed(self.pos_embed, self.grid_size, grid)


def sides_swapped(self: _Steps, grid: tuple[int, int]) -> Tensor:
    """Resized to (w, h)."""
    return solution.resize_pos_embed(self.pos_embed, self.grid_size, (grid[1], grid[0]))


def from_the_start(self: _Steps, entered: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Every block reads the first tokens."""
    pairs = [block(entered) for block in self.blocks]
    return [tokens for tokens, _ in pairs], [weights for _, weights in pairs]


def one_block(self: _Steps, entered: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The first block again and again."""
    return _Steps.pass_on(_With(self, [self.blocks[0]] * len(self.blocks)), entered)


def backwards(self: _Steps, entered: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The blocks from the last to the first."""
    return _Steps.pass_on(_With(self, list(self.blocks)[::-1]), entered)


class _With:
    """An encoder that has these blocks."""

    def __init__(self, encoder: _Steps, blocks: list[nn.Module]):
        self.encoder, self.blocks = encoder, blocks


ENCODER = mistakes(
    {
        "the class token stands behind the patches; it belongs in front": encoder_but(
            enter=class_token_last,
            lay_out=lambda self, t, grid: rearrange(t[:, :-1], "b (h w) c -> b c h w", h=grid[0]),
        ),
        "the class token stands behind the patches, and the first patch is dropped in its place": (
            encoder_but(enter=class_token_last)
        ),
        "the class token has no position: `pos_embed` has a row for it, the first": (
            encoder_but(enter=class_token_without_position)
        ),
        "the learnt class token is not used: `self.cls_token` stands before the patches of every image": (
            encoder_but(enter=no_class_token)
        ),
        "no positions are added: `resize_pos_embed(self.pos_embed, self.grid_size, grid)` belongs on the tokens": (
            encoder_but(enter=no_positions)
        ),
        "positions are resized only where the number of patches differs; 4×4 and 2×8 have as many, and other sides": (
            encoder_but(positions=by_count)
        ),
        "positions are resized to the grid's sides the other way round: (h, w), as `patch_embed` returns them": (
            encoder_but(positions=sides_swapped)
        ),
        "every block reads the first tokens; each should read what the one before it returned": (
            encoder_but(pass_on=from_the_start)
        ),
        "the first block runs again and again; each layer has its own": encoder_but(pass_on=one_block),
        "the blocks run from the last to the first": encoder_but(pass_on=backwards),
        "the maps are one layer early: a tap is behind the block of its index, so that index 0 is after block 0": (
            encoder_but(taps=lambda self, entered, outputs: [[entered, *outputs][i] for i in self.out_indices])
        ),
        "all maps come from the last layer: take the tokens after each of `out_indices`": (
            encoder_but(taps=lambda self, entered, outputs: [outputs[-1] for _ in self.out_indices])
        ),
        "the final norm is never used": encoder_but(finish=lambda self, outputs: outputs),
        "the final norm acts on every layer's tokens; it belongs on the last alone": (
            encoder_but(finish=lambda self, outputs: [self.norm(tokens) for tokens in outputs])
        ),
        "the final norm acts on what enters the first block; it belongs on the last tokens": encoder_but(
            enter=lambda self, tokens, grid: self.norm(_Steps.enter(self, tokens, grid)),
            finish=lambda self, outputs: outputs,
        ),
        "the final norm reaches the map and not the tokens: the last entry of `tokens` is the normalised one": (
            encoder_but(
                finish=lambda self, outputs: outputs,
                taps=lambda self, entered, outputs: [_Steps.finish(self, outputs)[i] for i in self.out_indices],
            )
        ),
        "the map loses the last patch and keeps the class token: drop the first, `tokens[:, 1:]`": (
            encoder_but(lay_out=lambda self, t, grid: rearrange(t[:, :-1], "b (h w) c -> b c h w", h=grid[0]))
        ),
        "the patches are laid out column by column; they come row by row, `(h w)`": (
            encoder_but(lay_out=lambda self, t, grid: rearrange(t[:, 1:], "b (w h) c -> b c h w", h=grid[0]))
        ),
        "the values are reshaped where channels should move: `rearrange` names the axes": (
            encoder_but(lay_out=lambda self, t, grid: t[:, 1:].reshape(len(t), -1, *grid))
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
