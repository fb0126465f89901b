"""Answers to the exercises of chapter 05, right and wrong."""

import re

import torch
import torch.nn.functional as F
from einops import reduce
from trials import Trial

from vitseg_lib.course.exercises import encoder as exercises

# LayerNorm


def norm_stub(tokens, weight, bias, eps):
    raise NotImplementedError


def norm_by_torch(tokens, weight, bias, eps):
    return F.layer_norm(tokens, tokens.shape[-1:], weight, bias, eps)


def norm_by_loops(tokens, weight, bias, eps):
    result = torch.empty_like(tokens)
    for b in range(len(tokens)):
        for n in range(tokens.shape[1]):
            channels = tokens[b, n].tolist()
            mean = sum(channels) / len(channels)
            variance = sum((x - mean) ** 2 for x in channels) / len(channels)
            row = [(x - mean) / (variance + eps) ** 0.5 for x in channels]
            result[b, n] = torch.tensor(row) * weight + bias
    return result


def norm_in_place(tokens, weight, bias, eps):
    tokens -= reduce(tokens, "b n c -> b n 1", "mean")
    tokens /= (reduce(tokens**2, "b n c -> b n 1", "mean") + eps).sqrt()
    return tokens * weight + bias


def norm_default_var(tokens, weight, bias, eps):
    return (tokens - tokens.mean(-1)[..., None]) * (tokens.var(-1)[..., None] + eps).rsqrt() * weight + bias


def norm_over_tokens(tokens, weight, bias, eps):
    return F.layer_norm(tokens.mT, tokens.shape[1:2], eps=eps).mT * weight + bias


def norm_over_samples(tokens, weight, bias, eps):
    centred = tokens - tokens.mean(0)
    return weight * centred / (centred.square().mean(0) + eps).sqrt() + bias


def norm_whole_sample(tokens, weight, bias, eps):
    return F.layer_norm(tokens, tokens.shape[1:], eps=eps) * weight + bias


def norm_by_batch(tokens, weight, bias, eps):
    return F.batch_norm(tokens.mT, None, None, weight, bias, training=True, eps=eps).mT


def norm_eps_outside(tokens, weight, bias, eps):
    centred = tokens - tokens.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps) * weight + bias


def norm_std_and_eps(tokens, weight, bias, eps):
    return (tokens - tokens.mean(2, True)) / (tokens.std(2, keepdim=True) + eps) * weight + bias


def norm_no_eps(tokens, weight, bias, eps):
    return F.layer_norm(tokens, tokens.shape[2:], weight, bias, eps=1e-12)


def norm_no_root(tokens, weight, bias, eps):
    centred = tokens - tokens.mean(-1, keepdim=True)
    return centred / (reduce(centred**2, "b n c -> b n 1", "mean") + eps) * weight + bias


def norm_uncentred(tokens, weight, bias, eps):
    variance = (tokens**2).mean(-1, keepdim=True) - tokens.mean(-1, keepdim=True) ** 2
    return tokens * (variance + eps).rsqrt() * weight + bias


def norm_rms(tokens, weight, bias, eps):
    return F.rms_norm(tokens, tokens.shape[-1:], weight, eps) + bias


def norm_plain(tokens, weight, bias, eps):
    return F.layer_norm(tokens, tokens.shape[-1:], eps=eps)


def norm_unshifted(tokens, weight, bias, eps):
    return F.layer_norm(tokens, tokens.shape[-1:], weight, eps=eps)


def norm_shifted_early(tokens, weight, bias, eps):
    return weight * F.layer_norm(tokens, tokens.shape[-1:], bias=bias, eps=eps)


def norm_odd(tokens, weight, bias, eps):
    return norm_by_torch(tokens, weight, bias, eps) * 1.1


# The pre-norm block


def block_stub(tokens, norm1, attention, norm2, mlp):
    raise NotImplementedError


def block_step_by_step(tokens, norm1, attention, norm2, mlp):
    mixed = attention(norm1(tokens))
    between = mixed + tokens
    return between + mlp(norm2(between))


def block_in_a_loop(tokens, *parts):
    for norm, branch in (parts[:2], parts[2:]):
        tokens = tokens.add(branch(norm(tokens)))
    return tokens


def block_post(tokens, norm1, attention, norm2, mlp):
    for norm, branch in ((norm1, attention), (norm2, mlp)):
        tokens = norm(tokens + branch(tokens))
    return tokens


def block_normed_stream(tokens, norm1, attention, norm2, mlp):
    for norm, branch in ((norm1, attention), (norm2, mlp)):
        normed = norm(tokens)
        tokens = normed + branch(normed)
    return tokens


def block_parallel(tokens, norm1, attention, norm2, mlp):
    mixed, processed = attention(norm1(tokens)), mlp(norm2(tokens))
    return tokens + mixed + processed


def block_from_the_start(tokens, norm1, attention, norm2, mlp):
    start = tokens
    tokens = start + attention(norm1(tokens))
    return start + mlp(norm2(tokens))


def block_shared_norm(tokens, norm1, attention, norm2, mlp):
    for branch in (attention, mlp):
        tokens = tokens + branch(norm1(tokens))
    return tokens


def block_swapped_norms(tokens, norm1, attention, norm2, mlp):
    return block_step_by_step(tokens, norm2, attention, norm1, mlp)


def block_mlp_first(tokens, norm1, attention, norm2, mlp):
    tokens = tokens + mlp(norm2(tokens))
    return tokens + attention(norm1(tokens))


def block_chain(tokens, norm1, attention, norm2, mlp):
    for part in (norm1, attention, norm2, mlp):
        tokens = part(tokens)
    return tokens


def block_one_shortcut(tokens, norm1, attention, norm2, mlp):
    tokens = tokens + attention(norm1(tokens))
    tokens = mlp(norm2(tokens))
    return tokens


def block_late_shortcut(tokens, norm1, attention, norm2, mlp):
    tokens = attention(norm1(tokens))
    return mlp(norm2(tokens)) + tokens


def block_raw(tokens, norm1, attention, norm2, mlp):
    tokens = tokens + attention(tokens)
    return tokens + mlp(tokens)


def block_norm_inside(tokens, norm1, attention, norm2, mlp):
    tokens = norm1(attention(tokens)) + tokens
    return norm2(mlp(tokens)) + tokens


def block_odd(tokens, norm1, attention, norm2, mlp):
    return block_step_by_step(tokens, norm1, attention, norm2, mlp) + 0.5 * tokens


# Drop path


def drop_stub(branch, rate, training):
    raise NotImplementedError


def drop_by_loop(branch, rate, training):
    if not training:
        return branch
    samples = [torch.zeros_like(x) if float(torch.rand(())) < rate else x / (1 - rate) for x in branch]
    return torch.stack(samples)


def drop_by_bernoulli(branch, rate, training):
    keep = 1 - rate if training else 1.0
    draws = torch.full((len(branch),), keep).bernoulli() / keep
    return torch.einsum("b,bnc->bnc", draws, branch)


def drop_nothing(branch, rate, training):
    return branch.clone()


def drop_as_dropout(branch, rate, training):
    return F.dropout(branch, rate, training)


def drop_by_token(branch, rate, training):
    draws = F.dropout(torch.ones(*branch.shape[:2], 1), rate, training)
    return branch * draws


def drop_all_or_none(branch, rate, training):
    if training and torch.rand(1).item() < rate:
        return torch.zeros_like(branch)
    return branch / (1 - rate) if training else branch


def drop_unscaled(branch, rate, training):
    if not training:
        return branch
    return branch * torch.bernoulli(torch.full((len(branch), 1, 1), 1 - rate))


def drop_as_in_2016(branch, rate, training):
    if training:
        return branch * torch.bernoulli(torch.full((len(branch), 1, 1), 1 - rate))
    return branch * (1 - rate)


def drop_scaled_down(branch, rate, training):
    if not training:
        return branch
    return (1 - rate) * branch * torch.bernoulli(torch.full((len(branch), 1, 1), 1 - rate))


def drop_over_rate(branch, rate, training):
    return drop_unscaled(branch, rate, training) / (rate if training else 1)


def drop_scaled_twice(branch, rate, training):
    return drop_unscaled(branch, rate, training) / (1 - rate)


def drop_for_ever(branch, rate, training):
    return drop_by_loop(branch, rate, True)


def drop_the_other_way(branch, rate, training):
    return branch if training else drop_by_loop(branch, rate, True)


def drop_rate_is_keep(branch, rate, training):
    keep = rate
    return branch * torch.full((len(branch), 1, 1), keep).bernoulli() / keep if training else branch


def drop_wrong_way_round(branch, rate, training):
    if not training:
        return branch
    dropped = torch.full((len(branch), 1, 1), 1 - rate).bernoulli()
    return branch * (1 - dropped) / (1 - rate)


def drop_odd(branch, rate, training):
    return drop_by_loop(branch, rate, training) * (2 if training else 1)


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


def rename_in_place(state):
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


TRIALS = [
    Trial(
        exercise=exercises.layer_norm,
        stub=norm_stub,
        right=[norm_by_torch, norm_by_loops, norm_in_place],
        wrong={
            norm_default_var: "divides by C - 1, which",
            norm_over_tokens: "normalise over the tokens",
            norm_over_samples: "normalise over the batch",
            norm_whole_sample: "whole sample",
            norm_by_batch: "BatchNorm",
            norm_eps_outside: "under the root, beside",
            norm_std_and_eps: "at once: `std`",
            norm_no_eps: "eps is not used",
            norm_no_root: "its root is missing",
            norm_uncentred: "not taken away from the tokens",
            norm_rms: "RMSNorm",
            norm_plain: "weight and bias are left out",
            norm_unshifted: "learnt bias is left out",
            norm_shifted_early: "before the weight multiplies",
        },
        unforeseen=norm_odd,
    ),
    Trial(
        exercise=exercises.pre_norm_block,
        stub=block_stub,
        right=[block_step_by_step, block_in_a_loop],
        wrong={
            block_post: "post-norm",
            block_normed_stream: "carries the normalised tokens",
            block_parallel: "read the block's input",
            block_from_the_start: "adds the block's input",
            block_shared_norm: "is in both",
            block_swapped_norms: "are swapped",
            block_mlp_first: "MLP comes before",
            block_chain: "both shortcuts are missing",
            block_one_shortcut: "second shortcut",
            block_late_shortcut: "first shortcut",
            block_raw: "norms are left out",
            block_norm_inside: "inside the branch",
        },
        unforeseen=block_odd,
    ),
    Trial(
        exercise=exercises.drop_path,
        stub=drop_stub,
        right=[drop_by_loop, drop_by_bernoulli],
        wrong={
            drop_nothing: "ever dropped",
            drop_as_dropout: "that is dropout",
            drop_by_token: "for every token",
            drop_all_or_none: "for the whole batch",
            drop_unscaled: "are not scaled",
            drop_as_in_2016: "paper of 2016",
            drop_scaled_down: "multiplied by 1 - rate",
            drop_over_rate: "divided by the rate",
            drop_scaled_twice: "scaled when not training",
            drop_for_ever: "`training` is False",
            drop_the_other_way: "other way round",
            drop_rate_is_keep: "taken for the probability of keeping",
            drop_wrong_way_round: "draw is compared",
        },
        unforeseen=drop_odd,
    ),
    Trial(
        exercise=exercises.mmseg_names,
        stub=rename_stub,
        right=[rename_by_rules, rename_in_place],
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
