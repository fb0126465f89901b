"""The toy scenes: drawn twice the same, labels never invented, and what the committed set promises."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data.classes import ade20k_classes, read_classes
from vitseg_lib.files import InputError
from vitseg_lib.toy import land
from vitseg_lib.toy import scenes as toy_scenes
from vitseg_lib.toy.canvas import SCALE, Canvas, Label, fractal, rgb
from vitseg_lib.toy.places import Wish, spot

COMMITTED = Path(__file__).parents[2] / "data" / "toy_scenes"
SPLITS = {"training": ("train", 400), "validation": ("val", 100)}


def blank(size: tuple[int, int] = (40, 60), horizon: float = 16.0, eye: float = 2.0) -> Canvas:
    rng = np.random.default_rng(0)
    return Canvas(rng, size=size, horizon=horizon, eye=eye, light=land.HOURS["noon"])


@pytest.mark.parametrize("seed", range(8))
def test_a_scene_has_the_promised_form(seed):
    image, labels = toy_scenes.draw_scene(np.random.default_rng(seed))
    assert image.dtype == labels.dtype == np.uint8
    assert image.shape == (*labels.shape, 3)
    assert min(labels.shape) == 128 and max(labels.shape) <= 176
    assert labels.max() <= len(toy_scenes.CLASSES)
    assert image.std() > 8, "nothing to see"


def test_scenes_follow_from_their_seed_alone():
    first, again, other = (toy_scenes.draw_scene(np.random.default_rng(seed)) for seed in ([0, 5], [0, 5], [0, 6]))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_both_orientations_and_several_shapes_occur():
    seeds = [np.random.default_rng(seed) for seed in range(10)]
    shapes = {toy_scenes.draw_scene(rng)[1].shape for rng in seeds}
    assert len(shapes) > 5
    assert any(h > w for h, w in shapes) and any(h < w for h, w in shapes)


def test_colours_are_averaged_and_labels_are_not():
    c = blank()
    c.rng = FlatNoise()
    c.image[:] = 0
    edge = 20 + 1 / SCALE  # one of three drawn columns of pixel 20 is covered
    c.polygon([(-5, -5), (edge - 0.01, -5), (edge - 0.01, 50), (-5, 50)], rgb(0.8, 0.8, 0.8), Label.HOUSE)
    image, labels = c.finish()
    assert set(np.unique(labels)) == {Label.SKY, Label.HOUSE}
    inside, edge_pixel, outside = image[20, 19, 0], image[20, 20, 0], image[20, 22, 0]
    assert outside == 0
    assert 0.25 * inside < edge_pixel < 0.75 * inside


class FlatNoise:
    """A generator whose noise is nought."""

    def normal(self, loc, scale, size):
        return np.zeros(size)


def test_labels_are_those_of_the_centres():
    c = blank()
    c.labels[:] = np.random.default_rng(1).integers(0, 13, c.labels.shape)
    expected = np.array([[c.labels[3 * i + 1, 3 * j + 1] for j in range(60)] for i in range(40)])
    assert np.array_equal(c.finish()[1], expected)


def test_a_polygon_fills_what_pillow_and_the_area_say():
    c = blank()
    c.polygon([(10, 5), (30, 5), (10, 25)], rgb(1, 0, 0), Label.CAR)
    share = (c.labels == Label.CAR).sum() / SCALE**2
    assert share == pytest.approx(20 * 20 / 2, rel=0.06)
    painted = np.all(c.image == rgb(1, 0, 0), -1)
    assert np.array_equal(painted, c.labels == Label.CAR), "colour and label are one stroke"


def test_a_polygon_outside_the_picture_draws_nothing():
    c = blank()
    c.polygon([(-30, -30), (-10, -30), (-10, -10)], rgb(1, 0, 0), Label.CAR)
    assert (c.labels == Label.SKY).all()


def test_the_plane_is_a_pinhole_camera():
    c = blank(horizon=10, eye=2.0)
    first, x, z = c.plane()
    assert first == 10 * SCALE
    row, down = 60, (first + 60 + 0.5) / SCALE - 10
    assert z[row, 7] == pytest.approx(40 * 2.0 / down, rel=1e-5)
    metre_on_the_ground = (x[row, 90] - x[row, 30]) * c.metre(10 + down)  # 60 drawn columns are 20 pixels
    assert metre_on_the_ground == pytest.approx(60 / SCALE, rel=1e-4)


def test_noise_repeats_without_a_seam():
    tile = fractal(np.random.default_rng(0), 1.9)
    assert tile.mean() == pytest.approx(0, abs=1e-4) and tile.std() == pytest.approx(1, abs=1e-4)
    inside = np.abs(np.diff(tile, axis=0)).max()
    assert np.abs(tile[0] - tile[-1]).max() <= 1.5 * inside
    power = np.abs(np.fft.rfft2(tile)) ** 2
    assert power[1:4, 1:4].mean() > 100 * power[60:64, 60:64].mean(), "coarse waves are the strong ones"


def test_calm_water_mirrors_the_sky():
    c = blank(size=(128, 128), horizon=64.0)
    land.sky(c, "noon")
    _, x, _ = c.plane()
    land.water(c, np.ones(x.shape, bool), calm=1.0)
    above, below = c.image[63 * SCALE - 20 : 63 * SCALE], c.image[65 * SCALE : 65 * SCALE + 20][::-1]
    assert np.abs(above - below).mean() < 0.04
    assert (c.labels[: 64 * SCALE] == Label.SKY).all() and (c.labels[64 * SCALE :] == Label.WATER).all()


def test_a_place_is_on_the_right_ground_and_taken_once():
    c = blank(size=(128, 128), horizon=30.0)
    free = np.full((128, 128), Label.WATER, np.uint8)
    free[100:, 50:60] = Label.ROAD
    wish = Wish(lambda *_: None, 9, (Label.ROAD,), metres=1.0, smallest=1.0, largest=1.0, reach=1.0)
    x, y = spot(c, free, wish)
    assert 50 <= x < 60 and y > 100
    assert free[int(y), int(x)] == 255
    assert spot(c, np.full_like(free, Label.WATER), wish) is None


def test_writing_is_repeatable_and_any_part_of_it_alone(tmp_path):
    toy_scenes.write(tmp_path / "a", train=2, val=1, seed=3, progress=False)
    toy_scenes.write(tmp_path / "b", train=1, val=2, seed=3, progress=False)
    for name in ("images/training/toy_train_00000001.jpg", "annotations/validation/toy_val_00000001.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    files = sorted(p.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 7 and files[-1] == "images/validation/toy_val_00000001.jpg"
    assert "images/training/toy_train_00000002.jpg" in files


def test_another_seed_and_the_other_split_draw_other_scenes(tmp_path):
    toy_scenes.write(tmp_path / "a", train=1, val=1, seed=0, progress=False)
    toy_scenes.write(tmp_path / "b", train=1, val=0, seed=1, progress=False)
    train, val = tmp_path / "a/images/training", tmp_path / "a/images/validation"
    mine = (train / "toy_train_00000001.jpg").read_bytes()
    assert mine != (val / "toy_val_00000001.jpg").read_bytes()
    assert mine != (tmp_path / "b/images/training/toy_train_00000001.jpg").read_bytes()


@pytest.mark.parametrize("folder", ["images/training", "annotations/validation"])
def test_writing_over_pictures_is_refused(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "mine.png").write_bytes(b"dear to me")
    with pytest.raises(InputError, match=r"already holds .*; name another"):
        toy_scenes.write(tmp_path, train=1, val=0, progress=False)
    assert (tmp_path / folder / "mine.png").read_bytes() == b"dear to me"
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_names_and_colours_are_those_of_ade20k():
    ade = ade20k_classes()
    first_names = {
        name.split(",")[0]: tuple(colour) for name, colour in zip(ade.names, ade.colours.tolist(), strict=True)
    }
    for (name, colour), label in zip(toy_scenes.CLASSES, list(Label)[1:], strict=True):
        assert first_names[name] == colour
        assert name == label.name.lower()


def committed_pairs(split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    short, count = SPLITS[split]
    names = [f"toy_{short}_{i:08d}" for i in range(1, count + 1)]
    folders = COMMITTED / "images" / split, COMMITTED / "annotations" / split
    return [
        (np.asarray(Image.open(folders[0] / f"{name}.jpg")), np.asarray(Image.open(folders[1] / f"{name}.png")))
        for name in names
    ]


@pytest.fixture(scope="module")
def committed() -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    return {split: committed_pairs(split) for split in SPLITS}


def test_the_committed_set_is_whole_and_small(committed):
    assert sum(p.stat().st_size for p in COMMITTED.rglob("*") if p.is_file()) < 6e6
    for split, pairs in committed.items():
        assert all(image.shape == (*labels.shape, 3) and labels.max() <= 12 for image, labels in pairs)
        for kind in ("images", "annotations"):
            assert len(list((COMMITTED / kind / split).iterdir())) == SPLITS[split][1]
    classes = read_classes(COMMITTED)
    assert list(zip(classes.names, map(tuple, classes.colours.tolist()), strict=True)) == list(toy_scenes.CLASSES)
    assert json.loads((COMMITTED / "classes.json").read_text(encoding="utf-8"))["zero_is_other"] is True


def test_no_class_is_a_lottery(committed):
    for pairs in committed.values():
        counts = np.array([np.bincount(labels.ravel(), minlength=13) for _, labels in pairs])
        pixels, pictures = 100 * counts.sum(0) / counts.sum(), 100 * (counts > 30).mean(0)
        assert (pixels[1:] >= 0.7).all(), dict(zip(Label, pixels.round(2), strict=True))
        assert (pictures[1:] >= 8).all(), dict(zip(Label, pictures.round(1), strict=True))
        assert 0.1 < pixels[0] < 3


@pytest.mark.parametrize(("split", "number"), [("training", 1), ("training", 400), ("validation", 37)])
def test_the_committed_set_is_what_this_code_draws(committed, split, number):
    image, labels = toy_scenes.draw_scene(np.random.default_rng([0, split == "validation", number]))
    stored_image, stored_labels = committed[split][number - 1]
    # Another platform may round a noise value otherwise, and JPEG loses a little.
    assert stored_labels.shape == labels.shape and (stored_labels == labels).mean() > 0.995
    assert np.abs(stored_image.astype(int) - image).mean() < 4


def thinned(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Every seventh labelled pixel of all images: colours (n, 3) and classes (n,)."""
    colours = np.concatenate([image[labels > 0][::7] for image, labels in pairs])
    return colours, np.concatenate([labels[labels > 0][::7] for _, labels in pairs]) - 1


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def logistic_regression(x: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """The weights (features, classes), by steps under Böhning's bound on the curvature, which never overshoot."""
    weights, bound = np.zeros((x.shape[1], classes)), np.linalg.inv(x.T @ x / len(x)) * 2
    for _ in range(400):
        slope = x.T @ (softmax(x @ weights) - np.eye(classes)[y]) / len(x)
        weights -= bound @ slope
    assert np.abs(slope).max() < 2e-3, "not converged"
    return weights


def test_a_pixels_colour_does_not_tell_its_class(committed):
    """A segmenter must do better than a regression on RGB, so the regression must not do well."""
    (pixels, truth), (seen, wanted) = (thinned(pairs) for pairs in committed.values())
    some = np.random.default_rng(0).choice(len(truth), 10_000, replace=False)
    learnt = logistic_regression(np.c_[pixels[some] / 255, np.ones(len(some))], truth[some], 12)
    guess = (seen / 255 @ learnt[:3] + learnt[3]).argmax(1)
    both = np.bincount(wanted[guess == wanted], minlength=12)
    union = np.bincount(guess, minlength=12) + np.bincount(wanted, minlength=12) - both
    assert both.sum() / len(wanted) > 0.25, "the regression has not learnt anything"
    assert 100 * (both / union).mean() <= 40
