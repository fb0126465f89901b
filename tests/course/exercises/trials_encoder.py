"""Answers to the exercises of chapter 05, right and wrong."""

import re

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import nn
from torchvision.ops import stochastic_depth
from trials import Trial

from vitseg_lib.course.exercises import encoder as exercises
from vitseg_lib.course.solution import MLP, DropPath, LayerNorm, PatchEmbedding, SelfAttention, resize_pos_embed

# LayerNorm


class NormStub(nn.Module):
    def __init__(self, embed_dim, eps=1e-6):
        super().__init__()
        raise NotImplementedError


class NormBase(nn.Module):
    """The parameters, so that each answer is its forward alone."""

    def __init__(self, embed_dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(embed_dim)), nn.Parameter(torch.zeros(embed_dim))


class NormByTorch(nn.LayerNorm):
    def __init__(self, embed_dim, eps=1e-6):
        super().__init__(embed_dim, eps=eps)


class NormByReduce(NormBase):
    def forward(self, x):
        centred = x - reduce(x, "b n c -> b n 1", "mean")
        return self.weight * centred * (reduce(centred**2, "b n c -> b n 1", "mean") + self.eps).rsqrt() + self.bias


class NormByVar(NormBase):
    def forward(self, x):
        variance = x.var(dim=-1, keepdim=True, unbiased=False)
        return (x - x.mean(-1, keepdim=True)) / (variance + self.eps).sqrt() * self.weight + self.bias


class NormDefaultVar(NormBase):
    def forward(self, x):
        variance, mean = torch.var_mean(x, dim=-1, keepdim=True)
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


class NormOverTokens(NormBase):
    def forward(self, x):
        return F.layer_norm(x.mT, x.shape[1:2], eps=self.eps).mT * self.weight + self.bias


class NormOverSamples(NormBase):
    def forward(self, x):
        centred = x - x.mean(0)
        return self.weight * centred / (centred.square().mean(0) + self.eps).sqrt() + self.bias


class NormWholeSample(NormBase):
    def forward(self, x):
        return F.layer_norm(x, x.shape[1:], eps=self.eps) * self.weight + self.bias


class NormWholeTensor(NormBase):
    def forward(self, x):
        return (x - x.mean()) / (x.var(unbiased=False) + self.eps).sqrt() * self.weight + self.bias


class NormByBatch(NormBase):
    def forward(self, x):
        return F.batch_norm(x.mT, None, None, self.weight, self.bias, training=True, eps=self.eps).mT


class NormEpsOutside(NormBase):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True).sqrt() + self.eps) * self.weight + self.bias


class NormStdAndEps(NormBase):
    def forward(self, x):
        return (x - x.mean(2, True)) / (x.std(2, keepdim=True) + self.eps) * self.weight + self.bias


class NormNoEps(NormBase):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / centred.square().mean(-1, keepdim=True).sqrt() * self.weight + self.bias


class NormTorchEps(nn.LayerNorm):
    def __init__(self, embed_dim, eps=1e-6):
        super().__init__(embed_dim)


class NormFixedEps(NormByTorch):
    def __init__(self, embed_dim, eps=1e-6):
        super().__init__(embed_dim, eps=1e-6)


class NormNoRoot(NormBase):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (reduce(centred**2, "b n c -> b n 1", "mean") + self.eps) * self.weight + self.bias


class NormSummed(NormBase):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred * (centred.square().sum(-1, keepdim=True) + self.eps).rsqrt() * self.weight + self.bias


class NormUncentred(NormBase):
    def forward(self, x):
        variance = (x - x.mean(-1, keepdim=True)).square().mean(-1, keepdim=True)
        return x * (variance + self.eps).rsqrt() * self.weight + self.bias


class NormRms(NormBase):
    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps) + self.bias


class NormPlain(NormBase):
    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], eps=self.eps)


class NormUnshifted(NormBase):
    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.weight, eps=self.eps)


class NormUnscaled(NormBase):
    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], bias=self.bias, eps=self.eps)


class NormShiftedEarly(NormBase):
    def forward(self, x):
        return self.weight * F.layer_norm(x, x.shape[-1:], bias=self.bias, eps=self.eps)


class NormOdd(NormByReduce):
    def forward(self, x):
        return super().forward(x) * 1.1


class NormWithoutBias(nn.Module):
    def __init__(self, embed_dim, eps=1e-6):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(embed_dim)), nn.Parameter(torch.zeros(embed_dim))


class NormRandomStart(NormByReduce):
    def __init__(self, embed_dim, eps=1e-6):
        super().__init__(embed_dim, eps)
        nn.init.normal_(self.weight)


class NormInPlace(NormBase):
    def forward(self, x):
        x -= x.mean(-1, keepdim=True)
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight + self.bias


# The MLP


class MLPStub(nn.Module):
    def __init__(self, *, embed_dim, hidden_dim):
        super().__init__()
        raise NotImplementedError


class MLPBase(nn.Module):
    def __init__(self, *, embed_dim, hidden_dim):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(embed_dim, hidden_dim), nn.Linear(hidden_dim, embed_dim)


class MLPByModule(MLPBase):
    def __init__(self, *, embed_dim, hidden_dim):
        super().__init__(embed_dim=embed_dim, hidden_dim=hidden_dim)
        self.act = nn.GELU()

    def forward(self, tokens):
        hidden = self.act(self.fc1(tokens))
        return self.fc2(hidden)


class MLPByErf(MLPBase):
    def forward(self, tokens):
        x = self.fc1(tokens)
        return self.fc2(x / 2 * (1 + torch.erf(x / 2**0.5)))


class MLPLinear(MLPBase):
    def forward(self, tokens):
        return self.fc2(self.fc1(tokens))


class MLPTanh(MLPBase):
    def forward(self, tokens):
        x = self.fc1(tokens)
        return self.fc2(0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))))


class MLPQuick(MLPBase):
    def forward(self, tokens):
        x = self.fc1(tokens)
        return self.fc2(x / (1 + torch.exp(-1.702 * x)))


class MLPRelu(MLPBase):
    def forward(self, tokens):
        return self.fc2(self.fc1(tokens).clamp(min=0))


class MLPSilu(MLPBase):
    def forward(self, tokens):
        x = self.fc1(tokens)
        return self.fc2(x * x.sigmoid())


class MLPTwoBends(MLPBase):
    def forward(self, tokens):
        return nn.Sequential(self.fc1, nn.GELU(), self.fc2, nn.GELU())(tokens)


class MLPLateBend(MLPBase):
    def forward(self, tokens):
        return nn.GELU()(self.fc2(self.fc1(tokens)))


class MLPEarlyBend(MLPBase):
    def forward(self, tokens):
        return self.fc2(self.fc1(nn.GELU()(tokens)))


class MLPShortcut(MLPByModule):
    def forward(self, tokens):
        return tokens + super().forward(tokens)


class MLPOdd(MLPByModule):
    def forward(self, tokens):
        return 1.2 * super().forward(tokens)


class MLPSequential(nn.Sequential):
    def __init__(self, *, embed_dim, hidden_dim):
        super().__init__(nn.Linear(embed_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, embed_dim))


class MLPFixedWidth(MLPByModule):
    def __init__(self, *, embed_dim, hidden_dim):
        super().__init__(embed_dim=embed_dim, hidden_dim=3 * embed_dim)


# Drop path


class DropStub(nn.Module):
    def __init__(self, rate):
        super().__init__()
        raise NotImplementedError


class DropBase(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def mask(self, *shape):
        return (torch.rand(shape) < 1 - self.rate).float()

    def forward(self, branch):
        return self.drop(branch) if self.training else branch


class DropByTorchvision(DropBase):
    def forward(self, branch):
        return stochastic_depth(branch, self.rate, mode="row", training=self.training)


class DropByLoop(DropBase):
    def drop(self, branch):
        samples = []
        for x in branch:
            samples.append(torch.zeros_like(x) if float(torch.rand(())) < self.rate else x / (1 - self.rate))
        return torch.stack(samples)


class DropByBernoulli(DropBase):
    def drop(self, branch):
        draws = torch.full((len(branch),), 1 - self.rate).bernoulli() / (1 - self.rate)
        return torch.einsum("b,bnc->bnc", draws, branch)


class DropNothing(DropBase):
    def drop(self, branch):
        return branch.clone()


class DropAsDropout(DropBase):
    def forward(self, branch):
        return F.dropout(branch, self.rate, self.training)


class DropByToken(DropBase):
    def drop(self, branch):
        return branch * F.dropout(torch.ones(*branch.shape[:2], 1), self.rate)


class DropByChannel(DropBase):
    def drop(self, branch):
        return branch * (torch.rand(len(branch), 1, branch.shape[2]) >= self.rate) / (1 - self.rate)


class DropAllOrNone(DropBase):
    def drop(self, branch):
        return torch.zeros_like(branch) if torch.rand(1).item() < self.rate else branch / (1 - self.rate)


class DropNormal(DropBase):
    def drop(self, branch):
        return branch * (torch.randn(len(branch), 1, 1) >= self.rate) / (1 - self.rate)


class DropNormalBelow(DropBase):
    def drop(self, branch):
        return branch * (torch.randn(len(branch), 1, 1) < 1 - self.rate) / (1 - self.rate)


class DropUnscaled(DropBase):
    def drop(self, branch):
        return branch * self.mask(len(branch), 1, 1)


class DropAsIn2016(DropUnscaled):
    def forward(self, branch):
        return self.drop(branch) if self.training else branch * (1 - self.rate)


class DropScaledDown(DropBase):
    def drop(self, branch):
        return (1 - self.rate) * branch * self.mask(len(branch), 1, 1)


class DropOverRate(DropBase):
    def drop(self, branch):
        return branch * self.mask(len(branch), 1, 1) / self.rate


class DropScaledTwice(DropBase):
    def forward(self, branch):
        return branch * (self.mask(len(branch), 1, 1) if self.training else 1) / (1 - self.rate)


class DropForEver(DropBase):
    def forward(self, branch):
        return branch * self.mask(len(branch), 1, 1) / (1 - self.rate)


class DropTheOtherWay(DropByLoop):
    def forward(self, branch):
        return branch if self.training else self.drop(branch)


class DropRateIsKeep(DropBase):
    def drop(self, branch):
        return branch * torch.full((len(branch), 1, 1), self.rate).bernoulli() / self.rate


class DropWrongWayRound(DropBase):
    def drop(self, branch):
        return branch * (1 - self.mask(len(branch), 1, 1)) / (1 - self.rate)


class DropOdd(DropByLoop):
    def drop(self, branch):
        return 2 * super().drop(branch)


class DropWholeList(DropBase):
    def drop(self, branch):
        return branch[:1] * self.mask(1, 1, 1)


# The block


class BlockStub(nn.Module):
    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__()
        raise NotImplementedError


class BlockBase(nn.Module):
    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(embed_dim), LayerNorm(embed_dim)
        self.attn = SelfAttention(embed_dim=embed_dim, num_heads=num_heads)
        self.mlp = MLP(embed_dim=embed_dim, hidden_dim=embed_dim * 4)
        self.drop_path = DropPath(drop_path)


class BlockStepByStep(BlockBase):
    def forward(self, tokens):
        mixed, weights = self.attn(self.norm1(tokens))
        between = self.drop_path(mixed) + tokens
        return between + self.drop_path(self.mlp(self.norm2(between))), weights


class BlockByTorch(BlockBase):
    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__(embed_dim=embed_dim, num_heads=num_heads, drop_path=drop_path)
        self.norm1, self.norm2 = nn.LayerNorm(embed_dim, eps=1e-6), nn.LayerNorm(embed_dim, eps=1e-6)

    def forward(self, x):
        attended = self.attn(self.norm1(x))
        x = x + stochastic_depth(attended[0], self.drop_path.rate, "row", self.training)
        return x + stochastic_depth(self.mlp(self.norm2(x)), self.drop_path.rate, "row", self.training), attended[1]


class BlockPost(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(x)
        x = self.norm1(x + self.drop_path(mixed))
        return self.norm2(x + self.drop_path(self.mlp(x))), weights


class BlockNormedStream(BlockBase):
    def forward(self, x):
        x = self.norm1(x)
        mixed, weights = self.attn(x)
        x = self.norm2(x + self.drop_path(mixed))
        return x + self.drop_path(self.mlp(x)), weights


class BlockFirstNormed(BlockBase):
    def forward(self, x):
        x = self.norm1(x)
        mixed, weights = self.attn(x)
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm2(x))), weights


class BlockParallel(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        return x + self.drop_path(mixed) + self.drop_path(self.mlp(self.norm2(x))), weights


class BlockFromTheStart(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        between = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm2(between))), weights


class BlockSharedNorm(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm1(x))), weights


class BlockSwappedNorms(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm2(x))
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm1(x))), weights


class BlockMLPFirst(BlockBase):
    def forward(self, x):
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        mixed, weights = self.attn(self.norm1(x))
        return x + self.drop_path(mixed), weights


class BlockChain(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        return self.drop_path(self.mlp(self.norm2(self.drop_path(mixed)))), weights


class BlockOneShortcut(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        return self.drop_path(self.mlp(self.norm2(x + self.drop_path(mixed)))), weights


class BlockLateShortcut(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm2(x))), weights


class BlockRaw(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(x)
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(x)), weights


class BlockRawMLP(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(x)), weights


class BlockRawAttention(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(x)
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm2(x))), weights


class BlockNormInside(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(x)
        x = x + self.drop_path(self.norm1(mixed))
        return x + self.drop_path(self.norm2(self.mlp(x))), weights


class BlockNoDrop(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = x + mixed
        return x + self.mlp(self.norm2(x)), weights


class BlockDropsMLP(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = x + mixed
        return x + self.drop_path(self.mlp(self.norm2(x))), weights


class BlockDropsAttention(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = x + self.drop_path(mixed)
        return x + self.mlp(self.norm2(x)), weights


class BlockDropsSum(BlockBase):
    def forward(self, x):
        mixed, weights = self.attn(self.norm1(x))
        x = self.drop_path(x + mixed)
        return self.drop_path(x + self.mlp(self.norm2(x))), weights


class BlockTorchEps(BlockStepByStep):
    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__(embed_dim=embed_dim, num_heads=num_heads, drop_path=drop_path)
        self.norm1, self.norm2 = nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)


class BlockOdd(BlockStepByStep):
    def forward(self, x):
        out, weights = super().forward(x)
        return out + 0.5 * x, weights


class BlockOneTensor(BlockStepByStep):
    def forward(self, x):
        return super().forward(x)[0]


class BlockNarrow(BlockStepByStep):
    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__(embed_dim=embed_dim, num_heads=num_heads, drop_path=drop_path)
        self.mlp = MLP(embed_dim=embed_dim, hidden_dim=embed_dim)


class BlockOtherNames(BlockStepByStep):
    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__(embed_dim=embed_dim, num_heads=num_heads, drop_path=drop_path)
        self.attention = self.attn
        del self.attn


# The encoder


class EncoderStub(nn.Module):
    def __init__(self, **sizes):
        super().__init__()
        raise NotImplementedError


class EncoderBase(nn.Module):
    """The parts; each answer changes a step or two."""

    def __init__(
        self, *, embed_dim, depth, num_heads, patch_size, image_size, out_indices, final_norm=False, drop_path=0.0
    ):
        super().__init__()
        side = image_size // patch_size
        self.out_indices, self.grid_size = out_indices, (side, side)
        self.patch_embed = PatchEmbedding(embed_dim=embed_dim, patch_size=patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + side**2, embed_dim))
        sizes = {"embed_dim": embed_dim, "num_heads": num_heads}
        self.blocks = nn.ModuleList(BlockByTorch(**sizes, drop_path=r) for r in self.rates(drop_path, depth))
        if final_norm:
            self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.begin()

    def rates(self, drop_path, depth):
        return [drop_path * n / (depth - 1) for n in range(depth)]

    def begin(self):
        for name, value in self.named_parameters():
            if value.dim() > 1:
                nn.init.trunc_normal_(value, std=0.02)
            elif "bias" in name:
                nn.init.zeros_(value)

    def enter(self, tokens, grid):
        first = self.cls_token.repeat(len(tokens), 1, 1)
        return torch.cat([first, tokens], dim=1) + self.positions(grid)

    def positions(self, grid):
        return resize_pos_embed(self.pos_embed, self.grid_size, grid)

    def layers(self):
        return self.blocks

    def finish(self, outputs):
        if hasattr(self, "norm"):
            outputs[-1] = self.norm(outputs[-1])
        return outputs

    def lay_out(self, tokens, grid):
        return tokens[:, 1:].mT.unflatten(2, grid)

    def forward(self, pixels, *, return_attention=False):
        tokens, grid = self.patch_embed(pixels)
        tokens = self.enter(tokens, grid)
        outputs, weights = [], []
        for block in self.layers():
            tokens, found = block(tokens)
            outputs.append(tokens)
            weights.append(found)
        outputs = self.finish(outputs)
        maps = [self.lay_out(outputs[index], grid) for index in self.out_indices]
        return {"encoder": maps, "tokens": outputs, "attention": weights}


class EncoderClassLast(EncoderBase):
    def enter(self, tokens, grid):
        return torch.cat([tokens, self.cls_token.repeat(len(tokens), 1, 1)], dim=1) + self.positions(grid)

    def lay_out(self, tokens, grid):
        return tokens[:, :-1].mT.unflatten(2, grid)


class EncoderClassLastDropsFirst(EncoderClassLast):
    def lay_out(self, tokens, grid):
        return tokens[:, 1:].mT.unflatten(2, grid)


class EncoderPatchPositions(EncoderBase):
    def enter(self, tokens, grid):
        tokens = tokens + self.positions(grid)[:, 1:]
        return torch.cat([self.cls_token.repeat(len(tokens), 1, 1), tokens], dim=1)


class EncoderNoClassToken(EncoderBase):
    def enter(self, tokens, grid):
        return F.pad(tokens, (0, 0, 1, 0)) + self.positions(grid)


class EncoderNoPositions(EncoderBase):
    def positions(self, grid):
        return 0


class EncoderByCount(EncoderBase):
    def positions(self, grid):
        if 1 + grid[0] * grid[1] == self.pos_embed.shape[1]:
            return self.pos_embed
        return super().positions(grid)


class EncoderSidesSwapped(EncoderBase):
    def positions(self, grid):
        return super().positions(grid[::-1])


class EncoderFromTheStart(EncoderBase):
    def forward(self, pixels, *, return_attention=False):
        tokens, grid = self.patch_embed(pixels)
        tokens = self.enter(tokens, grid)
        pairs = [block(tokens) for block in self.blocks]
        outputs = self.finish([pair[0] for pair in pairs])
        maps = [self.lay_out(outputs[index], grid) for index in self.out_indices]
        return {"encoder": maps, "tokens": outputs, "attention": [pair[1] for pair in pairs]}


class EncoderOneBlock(EncoderBase):
    def layers(self):
        return [self.blocks[0] for _ in self.blocks]


class EncoderBackwards(EncoderBase):
    def layers(self):
        return list(self.blocks)[::-1]


class EncoderTapsBefore(EncoderBase):
    def forward(self, pixels, *, return_attention=False):
        tokens, grid = self.patch_embed(pixels)
        tokens, maps, stages = self.enter(tokens, grid), {}, {"tokens": [], "attention": []}
        for number, block in enumerate(self.blocks):
            if number in self.out_indices:
                maps[number] = self.lay_out(tokens, grid)
            tokens, weights = block(tokens)
            stages["tokens"].append(tokens)
            stages["attention"].append(weights)
        self.finish(stages["tokens"])
        return stages | {"encoder": [maps[number] for number in self.out_indices]}


class EncoderLastOnly(EncoderBase):
    def forward(self, pixels, *, return_attention=False):
        stages = super().forward(pixels)
        return stages | {"encoder": stages["encoder"][-1:] * len(self.out_indices)}


class EncoderNormUnused(EncoderBase):
    def finish(self, outputs):
        return outputs


class EncoderNormEverywhere(EncoderBase):
    def finish(self, outputs):
        return [self.norm(tokens) for tokens in outputs] if hasattr(self, "norm") else outputs


class EncoderNormAtTheEntrance(EncoderNormUnused):
    def enter(self, tokens, grid):
        entered = super().enter(tokens, grid)
        return self.norm(entered) if hasattr(self, "norm") else entered


class EncoderNormOnTheMap(EncoderBase):
    def finish(self, outputs):
        self.last = super().finish(list(outputs))[-1]
        return outputs

    def forward(self, pixels, *, return_attention=False):
        stages = super().forward(pixels)
        grid = stages["encoder"][0].shape[-2:]
        last = len(self.blocks) - 1
        taps = zip(self.out_indices, stages["encoder"], strict=True)
        maps = [self.lay_out(self.last, grid) if index == last else x for index, x in taps]
        return stages | {"encoder": maps}


class EncoderWrongEnd(EncoderBase):
    def lay_out(self, tokens, grid):
        return tokens[:, :-1].mT.unflatten(2, grid)


class EncoderColumns(EncoderBase):
    def lay_out(self, tokens, grid):
        return rearrange(tokens[:, 1:], "b (w h) c -> b c h w", w=grid[1])


class EncoderReshaped(EncoderBase):
    def lay_out(self, tokens, grid):
        return tokens[:, 1:].reshape(len(tokens), tokens.shape[-1], *grid)


class EncoderOdd(EncoderBase):
    def lay_out(self, tokens, grid):
        return 1.1 * super().lay_out(tokens, grid)


class EncoderNotInitialised(EncoderBase):
    def begin(self):
        pass


class EncoderConstantRate(EncoderBase):
    def rates(self, drop_path, depth):
        return [drop_path] * depth


class EncoderRateEarly(EncoderBase):
    def rates(self, drop_path, depth):
        return super().rates(drop_path, depth)[::-1]


class EncoderNoRate(EncoderBase):
    def rates(self, drop_path, depth):
        return [0.0] * depth


class EncoderMapsOnly(EncoderBase):
    def forward(self, pixels, *, return_attention=False):
        return super().forward(pixels)["encoder"]


class EncoderTappedTokens(EncoderBase):
    def forward(self, pixels, *, return_attention=False):
        stages = super().forward(pixels)
        return stages | {"tokens": stages["tokens"][:2]}


class EncoderNoAttention(EncoderBase):
    def forward(self, pixels, *, return_attention=False):
        stages = super().forward(pixels)
        del stages["attention"]
        return stages


class EncoderUnresized(EncoderBase):
    def positions(self, grid):
        return self.pos_embed


# mmsegmentation's names


def rename_stub(state):
    raise NotImplementedError


def rename_by_rules(state):
    """With regular expressions, as the library does it."""
    rules = [
        (r"^backbone\.ln1", "norm"),
        (r"^backbone\.", ""),
        (r"\.ln(\d)", r".norm\1"),
        (r"^layers", "blocks"),
        (r"in_proj_(\w+)", r"qkv.\1"),
        ("out_proj", "proj"),
        (r"attn\.attn", "attn"),
        (r"ffn\.layers\.0\.0", "mlp.fc1"),
        (r"ffn\.layers\.1", "mlp.fc2"),
        ("projection", "proj"),
    ]
    renamed = {}
    for name in (name for name in state if "head" not in name):
        ours = name
        for pattern, replacement in rules:
            ours = re.sub(pattern, replacement, ours)
        renamed[ours] = state[name]
    return renamed


def rename_word_by_word(state):
    state = dict(state)
    words = {"layers": "blocks", "ln1": "norm1", "ln2": "norm2", "projection": "proj"}
    for name in list(state):
        if "decode_head" in name:
            del state[name]
            continue
        new = name.replace("attn.attn.out_", "attn.").replace("attn.attn.in_proj_", "attn.qkv.")
        new = new.replace("ffn.layers.0.0.", "mlp.fc1.").replace("ffn.layers.1.", "mlp.fc2.")
        new = ".".join(words.get(word, word) for word in new.split(".")[1:])
        state[new if not new.startswith("norm1") else f"norm{new[5:]}"] = state.pop(name)
    return state


def replaced(state, *pairs):
    """The right answer, with parts of its names replaced."""
    result = rename_by_rules(state)
    for pattern, new in pairs:
        result = {re.sub(pattern, new, name): tensor for name, tensor in result.items()}
    return result


def rename_norm_numbered(state):
    return replaced(state, ("^norm", "norm1"))


def rename_not_the_norm(state):
    return replaced(state, ("^norm", "ln1"))


def rename_without_norm(state):
    return {name: tensor for name, tensor in rename_by_rules(state).items() if not name.startswith("norm")}


def rename_with_head(state):
    head = {name: tensor for name, tensor in state.items() if "head" in name}
    return head | rename_by_rules(state)


def rename_with_prefix(state):
    return replaced(state, ("^", "backbone."))


def rename_not_the_patches(state):
    return replaced(state, (r"patch_embed\.proj", "patch_embed.projection"))


def rename_every_layers(state):
    return replaced(state, (r"mlp\.fc1", "ffn.blocks.0.0"), (r"mlp\.fc2", "ffn.blocks.1"))


def rename_not_layers(state):
    return replaced(state, ("blocks", "layers"))


def rename_not_out_proj(state):
    return replaced(state, (r"attn\.proj", "attn.out_proj"))


def rename_attn_twice(state):
    return replaced(state, (r"\.attn", ".attn.attn"))


def rename_without_a_dot(state):
    return replaced(state, (r"qkv\.", "qkv_"))


def rename_mlp_crossed(state):
    return replaced(state, ("fc1", "?"), ("fc2", "fc1"), (r"\?", "fc2"))


def rename_weights_only(state):
    return {name: tensor for name, tensor in rename_by_rules(state).items() if "bias" not in name}


def rename_odd(state):
    return replaced(state, ("blocks", "stages"))


def rename_half_way(state):
    """The first two pairs only."""
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("backbone."):
            name = name.removeprefix("backbone.").replace("patch_embed.projection", "patch_embed.proj")
            renamed[name.replace("attn.attn.in_proj_", "attn.qkv.")] = tensor
    return renamed


def rename_without_qkv(state):
    return replaced(state, (r"attn\.qkv\.", "attn.attn.in_proj_"))


def rename_names_only(state):
    return list(rename_by_rules(state))


def rename_in_the_callers_dict(state):
    renamed = rename_by_rules(state)
    state.clear()
    state.update(renamed)
    return state


TRIALS = [
    Trial(
        exercise=exercises.norm,
        stub=NormStub,
        right=[NormByTorch, NormByReduce, NormByVar],
        wrong={
            NormDefaultVar: "divides by C - 1, which",
            NormOverTokens: "normalise over the tokens",
            NormOverSamples: "normalise over the batch",
            NormWholeSample: "whole sample",
            NormWholeTensor: "whole tensor",
            NormByBatch: "BatchNorm",
            NormEpsOutside: "under the root, beside",
            NormStdAndEps: "at once: `std`",
            NormNoEps: "eps is not used",
            NormTorchEps: "eps is 1e-5",
            NormFixedEps: "eps is 1e-6 whatever",
            NormNoRoot: "its root is missing",
            NormSummed: "are summed",
            NormUncentred: "not taken away from the tokens",
            NormRms: "RMSNorm",
            NormPlain: "weight and bias are left out",
            NormUnshifted: "learnt bias is left out",
            NormUnscaled: "learnt weight is left out",
            NormShiftedEarly: "before the weight multiplies",
        },
        unforeseen=NormOdd,
    ),
    Trial(
        exercise=exercises.mlp,
        stub=MLPStub,
        right=[MLPByModule, MLPByErf],
        wrong={
            MLPLinear: "one linear map",
            MLPTanh: "tanh formula",
            MLPQuick: "sigmoid formula",
            MLPRelu: "is a ReLU",
            MLPSilu: "is a SiLU",
            MLPTwoBends: "second GELU",
            MLPLateBend: "after fc2; it belongs",
            MLPEarlyBend: "before fc1",
            MLPShortcut: "the shortcut is the block's",
        },
        unforeseen=MLPOdd,
    ),
    Trial(
        exercise=exercises.stochastic_depth,
        stub=DropStub,
        right=[DropByTorchvision, DropByLoop, DropByBernoulli],
        wrong={
            DropNothing: "ever dropped",
            DropAsDropout: "that is dropout",
            DropByToken: "for every token",
            DropByChannel: "every sample and channel",
            DropAllOrNone: "for the whole batch",
            DropNormal: "half of those are below 0",
            DropNormalBelow: "are above 1 - rate",
            DropUnscaled: "are not scaled",
            DropAsIn2016: "paper of 2016",
            DropScaledDown: "multiplied by 1 - rate",
            DropOverRate: "divided by the rate",
            DropScaledTwice: "scaled when not training",
            DropForEver: "drops when not training as well",
            DropTheOtherWay: "other way round",
            DropRateIsKeep: "taken for the probability of keeping",
            DropWrongWayRound: "draw is compared",
        },
        unforeseen=DropOdd,
    ),
    Trial(
        exercise=exercises.block,
        stub=BlockStub,
        right=[BlockStepByStep, BlockByTorch],
        wrong={
            BlockPost: "post-norm",
            BlockNormedStream: "The shortcut carries the normalised tokens",
            BlockFirstNormed: "first shortcut carries",
            BlockParallel: "read the block's input",
            BlockFromTheStart: "adds the block's input",
            BlockSharedNorm: "is in both",
            BlockSwappedNorms: "are swapped",
            BlockMLPFirst: "MLP comes before",
            BlockChain: "both shortcuts are missing",
            BlockOneShortcut: "second shortcut",
            BlockLateShortcut: "one around attention, is missing",
            BlockRaw: "norms are left out",
            BlockRawMLP: "MLP's branch has no norm",
            BlockRawAttention: "ttention's branch has no norm",
            BlockNormInside: "inside the branch",
            BlockNoDrop: "drop path is left out",
            BlockDropsMLP: "on the MLP's branch only",
            BlockDropsAttention: "on attention's branch only",
            BlockDropsSum: "acts on the sum",
            BlockTorchEps: "eps of 1e-5",
        },
        unforeseen=BlockOdd,
    ),
    Trial(
        exercise=exercises.encoder,
        stub=EncoderStub,
        right=[EncoderBase],
        wrong={
            EncoderClassLast: "it belongs in front",
            EncoderClassLastDropsFirst: "dropped in its place",
            EncoderPatchPositions: "class token has no position",
            EncoderNoClassToken: "learnt class token is not used",
            EncoderNoPositions: "o positions are added",
            EncoderByCount: "number of patches differs",
            EncoderSidesSwapped: "other way round: (h, w)",
            EncoderFromTheStart: "reads the first tokens",
            EncoderOneBlock: "again and again",
            EncoderBackwards: "from the last to the first",
            EncoderTapsBefore: "one layer early",
            EncoderLastOnly: "ll maps come from the last",
            EncoderNormUnused: "never used",
            EncoderNormEverywhere: "every layer's tokens",
            EncoderNormAtTheEntrance: "enters the first block",
            EncoderNormOnTheMap: "reaches the map",
            EncoderWrongEnd: "loses the last patch",
            EncoderColumns: "column by column",
            EncoderReshaped: "are reshaped",
        },
        unforeseen=EncoderOdd,
    ),
    Trial(
        exercise=exercises.mmseg_names,
        stub=rename_stub,
        right=[rename_by_rules, rename_word_by_word],
        wrong={
            rename_norm_numbered: "became `norm1`",
            rename_not_the_norm: "final norm still",
            rename_without_norm: "final norm was left out",
            rename_with_head: "he head, `decode_head",
            rename_with_prefix: "prefix `backbone.`",
            rename_not_the_patches: "still called projection",
            rename_every_layers: "longer names first",
            rename_not_layers: "still called layers",
            rename_not_out_proj: "still called out_proj",
            rename_attn_twice: "stands twice",
            rename_without_a_dot: "a dot belongs",
            rename_mlp_crossed: "fc1 and fc2 are swapped",
            rename_weights_only: "biases are gone",
        },
        unforeseen=rename_odd,
    ),
]

# Wrong answers that are named by what they are, not by a mistake of the lists: the words that the check says.
SAID = [
    (exercises.norm, NormWithoutBias, "no parameter `weight`, `bias`; it has `gamma`, `beta` instead"),
    (exercises.norm, NormRandomStart, "`weight` has to begin with all 1s"),
    (exercises.norm, NormInPlace, "in-place"),
    (exercises.mlp, MLPSequential, "it has `0.weight`"),
    (exercises.mlp, MLPFixedWidth, "`fc1.weight` has shape"),
    (exercises.stochastic_depth, DropWholeList, "shape (1, "),
    (exercises.block, BlockOneTensor, "and* the attention weights"),
    (exercises.block, BlockNarrow, "`mlp.fc1.weight` has shape"),
    (exercises.block, BlockOtherNames, "`attention.qkv.weight`"),
    (exercises.encoder, EncoderNotInitialised, "`initialise(self)` sets them"),
    (exercises.encoder, EncoderConstantRate, "rates are not: from 0"),
    (exercises.encoder, EncoderRateEarly, "rates are not: from 0"),
    (exercises.encoder, EncoderNoRate, "`drop_path` does nothing"),
    (exercises.encoder, EncoderMapsOnly, "returns no dict"),
    (exercises.encoder, EncoderTappedTokens, '"tokens" holds 2 tensors, where 4'),
    (exercises.encoder, EncoderNoAttention, 'holds "attention"'),
    (exercises.encoder, EncoderUnresized, "must match the size"),
    (exercises.mmseg_names, rename_half_way, "expected and missing, such as `blocks.0."),
    (exercises.mmseg_names, rename_without_qkv, "instead there is `blocks.0.attn.attn.in_proj_"),
    (exercises.mmseg_names, rename_names_only, "returns no dict"),
    (exercises.mmseg_names, rename_in_the_callers_dict, "changes `state`"),
]
REVIEWED = [(exercise, answer) for exercise, answer, _ in SAID]
