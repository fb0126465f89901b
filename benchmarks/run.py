"""Speed of the library beside the plainest other way to the same numbers, in one run, as ratios.

    python benchmarks/run.py                 every part, 7 repetitions
    python benchmarks/run.py --repeat 3 --only attention metric

Both sides of a row take turns, so that whatever else the machine does slows both; their results are compared first.
A ratio above 1 means that the library is faster. The comparison with mmsegmentation is a benchmark of its own, to come.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import timm
import torch
import torch.nn.functional as F

from vitseg_lib import recipes
from vitseg_lib.engine.inference import best_class, upsample
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.model import weights
from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.upernet import adaptive_average_pool

Side = Callable[[], object]


def attention() -> Iterator[tuple[str, Side, Side]]:
    """The fused path against the readable maths, at a full-size image's 1025 tokens."""
    layer, tokens = SelfAttention(width=384, heads=6), torch.randn(1, 1025, 384)
    yield (
        "attention, 1025 tokens: fused / readable",
        lambda: layer(tokens)[0],
        lambda: layer(tokens, return_weights=True)[0],
    )


def encoder() -> Iterator[tuple[str, Side, Side]]:
    """Our encoder against timm's with the same weights."""
    theirs = timm.create_model("deit_small_patch16_224", img_size=512, num_classes=0).eval()
    ours = recipes.build_model(recipes.get("deit_s16_ln_160k")).encoder.eval()
    weights.load_timm(ours, theirs.state_dict())
    pixels = torch.randn(1, 3, 512, 512)
    yield (
        "encoder DeiT-S, 512×512: ours / timm",
        lambda: ours(pixels)["tokens"][-1],
        lambda: theirs.forward_features(pixels),
    )


def pooling() -> Iterator[tuple[str, Side, Side]]:
    """Pooling by matrices against torch's operator."""
    x = torch.randn(2, 384, 32, 43)
    yield "pooling to 6×6: matrices / torch", lambda: adaptive_average_pool(x, 6), lambda: F.adaptive_avg_pool2d(x, 6)


def labels() -> Iterator[tuple[str, Side, Side]]:
    """Comparing a few classes at a time against the whole map at once, on a photograph of 6 megapixels."""
    logits = torch.randn(1, 150, 128, 171)
    size = (2000, 3000)
    yield (
        "150 classes to 6 MP of labels: in parts / at once",
        lambda: best_class(logits, size).long(),
        lambda: upsample(logits, size).argmax(1)[0],
    )


def metric() -> Iterator[tuple[str, Side, Side]]:
    """Counting pairs by one bincount against three histograms of torch's, as the reference counts."""
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 150, (512, 683)).astype(np.uint8) for _ in range(2))

    def ours() -> torch.Tensor:
        confusion = ConfusionMatrix(150)
        confusion.update(truth, prediction)
        c = confusion.counts
        return torch.from_numpy(np.stack([np.diag(c), c.sum(0), c.sum(1)])).float()

    def theirs() -> torch.Tensor:
        p, t = torch.from_numpy(prediction), torch.from_numpy(truth)
        areas = (p[p == t], p, t)
        return torch.stack([torch.histc(a.float(), bins=150, min=0, max=149) for a in areas])

    yield "counts of one 512×683 image: bincount / histc", ours, theirs


PARTS = {part.__name__: part for part in (attention, encoder, pooling, labels, metric)}


def seconds(side: Side) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


@torch.inference_mode()
def main() -> None:
    """Print one line a part: the ratio's median and its spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.repeat} repetitions\n")
    for part in options.only:
        for name, ours, theirs in PARTS[part]():
            difference = (ours() - theirs()).abs().max().item()
            times = [(seconds(ours), seconds(theirs)) for _ in range(options.repeat)]
            ratios = sorted(b / a for a, b in times)
            ms = 1000 * statistics.median(a for a, _ in times)
            print(
                f"{name:<52} {statistics.median(ratios):6.2f}×  ({ratios[0]:.2f} – {ratios[-1]:.2f})  "
                f"{ms:8.2f} ms  largest difference {difference:.0e}"
            )


if __name__ == "__main__":
    main()
