"""mmsegmentation 1.2.2 as the other side of the comparison: its own configuration files, its own classes.

Runs in the environment that `benchmarks/run.py` makes. mmcv-lite has no compiled operators; UPerNet and the Vision
Transformer never call one, but mmsegmentation imports the names, so a stand-in without content answers for them.
"""

import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

CONFIGS = {
    "deit_s16_160k": "vit_deit-s16_upernet_8xb2-160k_ade20k-512x512.py",
    "deit_s16_mln_160k": "vit_deit-s16_mln_upernet_8xb2-160k_ade20k-512x512.py",
    "vit_b16_mln_160k": "vit_vit-b16_mln_upernet_8xb2-160k_ade20k-512x512.py",
}


class StandIn(types.ModuleType):
    """A module that has every name, each an empty class."""

    __path__: list[str] = []  # noqa: RUF012 (what makes Python take it for a package)

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def start() -> None:
    """Import mmsegmentation and register its parts."""
    warnings.simplefilter("ignore")
    sys.modules["mmcv.ops"] = StandIn("mmcv.ops")
    from mmseg.utils import register_all_modules

    register_all_modules()


def config(recipe: str) -> Any:
    """The configuration of a recipe as the toolbox ships it; changed only so that it starts here without a file.

    Batch norms are those of one process, no pretrained file is sought, and the patch embedding has the bias that the
    published weights hold (1.x leaves it out unless told).
    """
    import mmseg
    from mmengine.config import Config

    found = Config.fromfile(Path(mmseg.__file__).parent / ".mim" / "configs" / "vit" / CONFIGS[recipe])
    found.model.pretrained = None
    found.model.backbone.patch_bias = True
    for part in (found.model.decode_head, found.model.auxiliary_head):
        part.norm_cfg.type = "BN"
    return found


def build(found: Any, weights: dict[str, Tensor] | None = None, *, dropout: bool = True) -> nn.Module:
    """The toolbox's model, with these weights where there are any, strictly."""
    from mmseg.registry import MODELS

    if not dropout:
        found.model.backbone.drop_path_rate = 0.0
        found.model.decode_head.dropout_ratio = found.model.auxiliary_head.dropout_ratio = 0.0
    model = MODELS.build(found.model)
    if weights is not None:
        model.load_state_dict(weights)
    return model


def optimiser(found: Any, model: nn.Module, **extra: Any) -> Any:
    """AdamW in the toolbox's wrapper, with its rules for parameters."""
    from mmengine.optim import build_optim_wrapper

    return build_optim_wrapper(model, found.optim_wrapper | extra)


def samples(labels: Tensor) -> list[Any]:
    """Labels (B, H, W) as the toolbox hands them to a model."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    found = []
    for label in labels:
        shape = tuple(label.shape)
        sample = SegDataSample(metainfo={"img_shape": shape, "ori_shape": shape, "pad_shape": shape})
        sample.gt_sem_seg = PixelData(data=label[None])
        found.append(sample)
    return found


def training_step(model: nn.Module, wrapper: Any, pixels: Tensor, data: list[Any]) -> dict[str, Tensor]:
    """Forward, loss, backward and optimiser on normalised pixels, as `BaseModel.train_step` does after its loader."""
    with wrapper.optim_context(model):
        losses = model(pixels, data, mode="loss")
    loss, log = model.parse_losses(losses)
    wrapper.update_params(loss)
    return log


@torch.no_grad()
def label_map(model: nn.Module, pixels: Tensor, data: list[Any]) -> Tensor:
    """Normalised pixels (1, 3, H, W) → labels (H, W)."""
    return model(pixels, data, mode="predict")[0].pred_sem_seg.data[0]


def multi_scale(found: Any, model: nn.Module, path: Path) -> Tensor:
    """Labels (H, W) of an image file by six scales and flips, through the configuration's own pipeline."""
    from mmcv.transforms import Compose
    from mmengine.dataset import pseudo_collate
    from mmseg.models.segmentors.seg_tta import SegTTAModel

    views = [[t for t in branch if t["type"] != "LoadAnnotations"] for branch in found.tta_pipeline[1].transforms]
    steps = [found.tta_pipeline[0], {"type": "TestTimeAug", "transforms": [branch for branch in views if branch]}]
    data = pseudo_collate([Compose(steps)({"img_path": str(path)})])
    with torch.no_grad():
        return SegTTAModel(module=model).test_step(data)[0].pred_sem_seg.data


def pipeline(found: Any) -> Any:
    """From a pair of files to normalised pixels and labels: the training transforms and the model's preprocessing."""
    from mmcv.transforms import Compose
    from mmseg.registry import MODELS

    steps, prepare = Compose(found.train_pipeline), MODELS.build(found.model.data_preprocessor)

    def run(image: Path, labels: Path) -> tuple[Tensor, Tensor]:
        pair = {"img_path": str(image), "seg_map_path": str(labels), "reduce_zero_label": True, "seg_fields": []}
        item = steps(pair)
        batch = prepare({"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}, training=True)
        return batch["inputs"][0], batch["data_samples"][0].gt_sem_seg.data[0]

    return run


def transformed(
    found: Any, image: Path, size: tuple[int, int], box: tuple[int, ...], flipped: bool, adjustments: tuple
) -> Tensor:
    """What the toolbox's functions make of an image file with these parameters, called as its transforms call them."""
    import mmcv
    from mmseg.datasets.transforms import PhotoMetricDistortion
    from mmseg.registry import MODELS

    changed = PhotoMetricDistortion().convert
    top, left, bottom, right = box
    picture = mmcv.imresize(mmcv.imread(str(image)), size[::-1])[top:bottom, left:right]
    picture = mmcv.imflip(picture) if flipped else picture
    for name, amount in adjustments:
        if name in ("brightness", "contrast"):
            picture = changed(picture, **{"beta" if name == "brightness" else "alpha": amount})
            continue
        hsv = mmcv.bgr2hsv(picture)
        if name == "saturation":
            hsv[..., 1] = changed(hsv[..., 1], alpha=amount)
        else:
            hsv[..., 0] = (hsv[..., 0].astype(int) + amount) % 180
        picture = mmcv.hsv2bgr(hsv)
    pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    data = samples(torch.zeros(1, *pixels.shape[1:], dtype=torch.int64))
    return MODELS.build(found.model.data_preprocessor)({"inputs": [pixels], "data_samples": data}, training=True)[
        "inputs"
    ][0]


def scores(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> dict[str, float]:
    """mIoU, mAcc and aAcc of (labels, prediction) by the toolbox's metric."""
    from mmengine.logging import MMLogger
    from mmseg.evaluation import IoUMetric

    metric = IoUMetric()
    MMLogger.get_current_instance().setLevel("ERROR")
    metric.dataset_meta = {"classes": [str(i) for i in range(classes)]}
    for labels, prediction in pairs:
        truth, found = torch.from_numpy(labels), torch.from_numpy(prediction)
        metric.process({}, [{"pred_sem_seg": {"data": found[None]}, "gt_sem_seg": {"data": truth[None]}}])
    return metric.compute_metrics(metric.results)
