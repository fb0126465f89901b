"""Scoring a set: what is handed on, what is put back, and a set of which nothing is counted."""

import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from vitseg_lib import recipes
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.engine.inference import predict
from vitseg_lib.files import InputError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny.make_pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model():
    return recipes.build_model(tiny.TINY, 2)


def test_each_image_is_handed_on_with_its_labels_and_training_mode_comes_back(root, model):
    kept = {}
    model.train()
    confusion = evaluate(model, root, tiny.TINY, on_image=kept.__setitem__, progress=False)
    assert model.training
    assert sorted(path.name for path in kept) == ["0.png", "1.png"]
    model.eval()
    for path, labels in kept.items():
        assert np.array_equal(labels, predict(model, np.array(Image.open(path)), tiny.TINY))
    assert confusion.counts.sum() == sum(labels.size for labels in kept.values())


def test_half_precision_labels_nearly_the_same(root, model):
    single, half = (evaluate(model, root, tiny.TINY, precision=p, progress=False).counts for p in ("fp32", "bf16"))
    assert single.sum() == half.sum()
    assert abs(single - half).sum() < 0.1 * single.sum()


def test_a_set_of_which_nothing_is_counted_is_named(root, model, tmp_path):
    spoilt = shutil.copytree(root, tmp_path / "spoilt")
    for path in (spoilt / "annotations" / "validation").iterdir():
        Image.fromarray(np.zeros_like(np.array(Image.open(path)))).save(path)
    with pytest.raises(InputError, match=r"No pixel of the validation images in .*spoilt is counted"):
        evaluate(model, spoilt, tiny.TINY, progress=False)
