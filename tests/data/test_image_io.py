"""Whatever people have on their disks, read as uint8 RGB; and what cannot be read, said in one sentence."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data.image_io import image_size, read_image
from vitseg_lib.files import InputError

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)


def save(path, array, mode=None, **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def test_an_rgb_file_is_read_as_it_is(tmp_path):
    image = read_image(save(tmp_path / "a.png", PHOTO))
    np.testing.assert_array_equal(image, PHOTO)
    assert image.dtype == np.uint8 and image.flags.writeable


@pytest.mark.parametrize("size", [(1, 1), (17, 4000), (4000, 17)])
def test_any_size(tmp_path, size):
    assert read_image(save(tmp_path / "a.jpg", np.zeros((*size, 3), np.uint8))).shape == (*size, 3)


def test_grey_and_one_bit_files(tmp_path):
    grey = np.array([[0, 100, 255]], np.uint8)
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", grey)), expected)
    bits = read_image(save(tmp_path / "b.png", np.array([[0, 255]], np.uint8), "1"))
    np.testing.assert_array_equal(bits, [[[0] * 3, [255] * 3]])


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    values = np.array([[0, 128, 129, 257, 65406, 65407, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        image = read_image(save(tmp_path / name, values))
        assert image[0, :, 0].tolist() == image[0, :, 2].tolist() == [0, 0, 1, 1, 254, 255, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0, np.nan]], np.float32), [0, 128, 255, 0]),
        (np.array([[-10.0, 0.0, 10.0, 10.0]], np.float32), [0, 128, 255, 255]),
        (np.array([[-7.0, -7.0, -7.0, -7.0]], np.float32), [0, 0, 0, 0]),
        (np.array([[0, 100_000, 200_000, 200_000]], np.int32), [0, 128, 255, 255]),
        (np.array([[0, 257, 65535, 65535]], np.int32), [0, 1, 255, 255]),
    ],
)
def test_floats_and_32_bit_integers(tmp_path, values, expected):
    assert read_image(save(tmp_path / "a.tif", values))[0, :, 1].tolist() == expected


def test_cmyk(tmp_path):
    solid = Image.new("CMYK", (9, 9), (0, 255, 255, 0))  # full magenta and yellow: red
    red = read_image(save(tmp_path / "a.jpg", solid, quality=100)).astype(int)
    assert np.abs(red - [255, 0, 0]).max() <= 3


def test_transparency_lies_on_white(tmp_path):
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)
    expected = [[[200, 0, 0], [255, 255, 255], [244, 204, 204]]]  # 51 of 255 is a fifth
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", rgba)), expected)
    grey = np.array([[[0, 255], [0, 0]]], np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", grey)), [[[0] * 3, [255] * 3]])


def test_palettes_with_and_without_transparency(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", image)), [[[10, 20, 30], [40, 50, 60]]])
    image.save(tmp_path / "b.png", transparency=bytes([255, 0]))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), [[[10, 20, 30], [255, 255, 255]]])
    np.testing.assert_array_equal(read_image(save(tmp_path / "c.gif", image)), [[[10, 20, 30], [40, 50, 60]]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(tmp_path, orientation):
    undo = {1: 0, 2: "h", 3: 2, 4: "v", 5: "t", 6: -1, 7: "a", 8: 1}[orientation]
    if isinstance(undo, int):
        expected = np.rot90(PHOTO, undo)
    else:
        turned = {"h": PHOTO[:, ::-1], "v": PHOTO[::-1], "t": PHOTO.swapaxes(0, 1)}
        expected = turned.get(undo, PHOTO[::-1, ::-1].swapaxes(0, 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", PHOTO, exif=exif)
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2]


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b"GIF? no", "not an image of a known kind"),
        (jpeg()[:1000], "damaged or truncated"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "not an image|damaged"),
    ],
)
def test_files_that_are_no_image(tmp_path, content, fault):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.jpg is ({fault}).*: "):
        read_image(tmp_path / "a.jpg")


def test_every_truncation_and_random_damage_is_an_input_error_or_an_image(tmp_path):
    whole = jpeg()
    for trial in range(60):
        rng = np.random.default_rng(trial)
        damaged = bytearray(whole[: int(rng.integers(1, len(whole)))])
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = int(rng.integers(256))
        (tmp_path / "a.jpg").write_bytes(damaged)
        try:
            assert read_image(tmp_path / "a.jpg").dtype == np.uint8
        except InputError as error:
            assert "a.jpg" in str(error)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"a\.jpg does not exist"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)


def test_a_decompression_bomb(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", np.zeros((30, 30), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow warns above it, and refuses above twice as many
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).shape == (30, 30, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(InputError, match=r"a\.png has more pixels than can be opened safely"):
        read_image(path)
