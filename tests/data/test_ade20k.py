"""Layout, the label shift, and reading masks."""

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data.ade20k import colour_labels, list_pairs, read_labels, read_pair, shift_labels, write_labels
from vitseg_lib.data.classes import Classes
from vitseg_lib.data.image_io import read_image
from vitseg_lib.files import InputError

THREE = Classes(("sky", "sea", "sand"), np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8))
RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)


def save(path, array, mode=None, **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def make_set(root, names=("b", "a"), splits=("training", "validation"), suffix=".png"):
    for split in splits:
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for name in names:
            save(root / "images" / split / f"{name}{suffix}", PHOTO)
            save(root / "annotations" / split / f"{name}.png", np.zeros((7, 5), np.uint8))
    return root


# Layout


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".png"])
def test_pairs_are_sorted_and_belong_together(tmp_path, suffix):
    make_set(tmp_path, suffix=suffix)
    (tmp_path / "images" / "training" / "._a.jpg").write_bytes(b"")
    (tmp_path / "images" / "training" / "Thumbs.db").write_bytes(b"")
    pairs = list_pairs(tmp_path, "training")
    assert [(image.name, mask.name) for image, mask in pairs] == [(f"a{suffix}", "a.png"), (f"b{suffix}", "b.png")]
    assert pairs[0][1] == tmp_path / "annotations" / "training" / "a.png"


def test_missing_roots_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"no data set at .*nowhere: .*`vitseg data toy`.*VITSEG_DATA"):
        list_pairs(tmp_path / "nowhere", "training")
    with pytest.raises(InputError, match='no split "test"'):
        list_pairs(tmp_path, "test")
    with pytest.raises(InputError, match=r"images.training is missing"):
        list_pairs(tmp_path, "training")
    (tmp_path / "ADEChallengeData2016").mkdir()
    with pytest.raises(InputError, match=r"folder around it: use .*ADEChallengeData2016"):
        list_pairs(tmp_path, "training")


def test_an_empty_folder(tmp_path):
    make_set(tmp_path, names=())
    with pytest.raises(InputError, match=r"images.validation holds no \.jpg or \.jpeg or \.png files"):
        list_pairs(tmp_path, "validation")


def test_lonely_files_are_named(tmp_path):
    make_set(tmp_path, names="abcd")
    (tmp_path / "annotations" / "training" / "b.png").unlink()
    (tmp_path / "annotations" / "training" / "c.png").unlink()
    (tmp_path / "images" / "validation" / "d.png").unlink()
    with pytest.raises(InputError, match=r"images.training.b\.png has no annotation \(and 1 more like it\)"):
        list_pairs(tmp_path, "training")
    with pytest.raises(InputError, match=r"annotations.validation.d\.png has no image:"):
        list_pairs(tmp_path, "validation")


def test_two_images_of_one_name(tmp_path):
    make_set(tmp_path)
    save(tmp_path / "images" / "training" / "a.jpg", PHOTO)
    with pytest.raises(InputError, match=r"a\.png and a\.jpg have one name"):
        list_pairs(tmp_path, "training")


# Labels


def test_the_shift_by_hand():
    raw = np.array([[0, 1, 2, 150, 254, 255]], np.uint8)
    shifted = shift_labels(raw)
    assert shifted.tolist() == [[255, 0, 1, 149, 253, 255]] and shifted.dtype == np.uint8
    assert raw.tolist() == [[0, 1, 2, 150, 254, 255]]


@pytest.mark.parametrize("palette", [False, True])
def test_labels_are_shifted_or_not_as_the_classes_say(tmp_path, palette):
    raw = Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8))
    if palette:
        raw.putpalette(list(range(255, -1, -1)) * 3)
    path = save(tmp_path / "a.png", raw)
    assert read_labels(path, THREE).tolist() == [[255, 0, 1, 255]]
    plain = Classes(THREE.names, THREE.colours, zero_is_other=False)
    assert read_labels(path, plain).tolist() == [[0, 1, 2, 255]]


def test_a_palette_of_few_bits_keeps_its_numbers(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8))
    image.putpalette([0, 0, 0, 9, 9, 9, 90, 90, 90, 200, 0, 0])
    path = save(tmp_path / "a.png", image, bits=2)
    assert path.read_bytes()[24] == 2, "the file should have two bits a pixel"
    assert read_labels(path, THREE).tolist() == [[255, 0, 1, 2]]


@pytest.mark.parametrize(
    ("zero_is_other", "raw", "known"),
    [(True, 4, "values 1 to 3"), (True, 254, "values 1 to 3"), (False, 3, "values 0 to 2")],
)
def test_a_label_outside_the_classes(tmp_path, zero_is_other, raw, known):
    path = save(tmp_path / "a.png", np.array([[1, raw, 2]], np.uint8))
    classes = Classes(THREE.names, THREE.colours, zero_is_other=zero_is_other)
    with pytest.raises(InputError, match=rf"a\.png holds the label {raw}, .* 3 classes, {known}"):
        read_labels(path, classes)


def grey_of_two_bits() -> bytes:
    """A PNG of mode grey and two bits a pixel, which Pillow cannot write itself: one pixel of value 1."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 2, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x40")) + chunk(b"IEND", b"")
    )


def test_masks_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "a.png"
    for mode in ("RGB", "RGBA", "1", "LA", "I;16"):
        save(path, Image.new(mode, (3, 3)))
        with pytest.raises(
            InputError, match=rf"a\.png is no label mask \(Pillow mode {mode}\): save it as an 8-bit PNG"
        ):
            read_labels(path, THREE)
    path.write_bytes(grey_of_two_bits())
    with pytest.raises(InputError, match=r"is no label mask \(Pillow mode L, under 8 bits\)"):
        read_labels(path, THREE)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png is empty"):
        read_labels(path, THREE)
    with pytest.raises(InputError, match="does not exist"):
        read_labels(tmp_path / "b.png", THREE)


@pytest.mark.parametrize("zero_is_other", [True, False])
def test_written_labels_read_back_and_show_their_colours(tmp_path, zero_is_other):
    classes = Classes(THREE.names, THREE.colours, zero_is_other=zero_is_other)
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    write_labels(tmp_path / "a.png", labels, classes)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png", classes), labels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), colour_labels(labels, classes))
    with pytest.raises(InputError, match="Will not overwrite"):
        write_labels(tmp_path / "a.png", labels, classes)


def test_a_pair_must_have_one_size(tmp_path):
    image = save(tmp_path / "a.jpg", PHOTO)
    mask = save(tmp_path / "a.png", np.ones((5, 7), np.uint8))
    with pytest.raises(InputError, match=r"a\.png is 7 wide and 5 high but its image .*a\.jpg is 5 wide and 7 high"):
        read_pair(image, mask, THREE)
    save(mask, np.ones((7, 5), np.uint8))
    pixels, labels = read_pair(image, mask, THREE)
    assert pixels.shape == (7, 5, 3) and (labels == 0).all()


def test_colours_by_hand():
    painted = colour_labels(np.array([[0, 2], [255, 1]], np.uint8), THREE)
    assert painted.tolist() == [[[1, 2, 3], [7, 8, 9]], [[0, 0, 0], [4, 5, 6]]] and painted.dtype == np.uint8
