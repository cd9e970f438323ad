"""Pictures in: every mode, depth, orientation, size and crop becomes the numbers it should."""

import numpy as np
import pytest
import torch
from pictures import STORED, noise, only, planes, refused, write
from PIL import Image

import hush.data as data


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "pgm"])
def test_grey_8_bit_is_exact(tmp_path, ending):
    a = noise(5, 7)
    colour_only = ending == "webp"
    write(tmp_path / f"a.{ending}", a, **({"lossless": True} if colour_only else {}))
    source = data.images(tmp_path, channels=1 if colour_only else None)
    assert (source.shape, source.levels) == ((1, 5, 7), 256)
    assert np.array_equal(only(source), planes(a))


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
def test_grey_16_bit_is_exact(tmp_path, ending):
    a = noise(5, 7, high=65536, dtype=np.uint16)
    write(tmp_path / f"a.{ending}", a)
    source = data.images(tmp_path)
    assert (source.shape, source.levels) == ((1, 5, 7), 65536)
    assert np.array_equal(only(source), planes(a, 65535))
    assert np.array_equal(only(data.images(tmp_path, channels=3)), planes(a, 65535).repeat(3, 0))


def test_float_is_exact_and_must_lie_in_the_unit_interval(tmp_path):
    a = np.random.default_rng(0).random((4, 6), dtype=np.float32)
    write(tmp_path / "a.tiff", a)
    source = data.images(tmp_path)
    assert source.levels is None
    assert np.array_equal(only(source)[0], a)
    write(tmp_path / "a.tiff", a * 300)
    refused(lambda: only(data.images(tmp_path)), "a.tiff", "values run from", "0 to 1")


def test_one_bit_is_black_and_white(tmp_path):
    a = noise(5, 7, high=2)
    write(tmp_path / "a.png", Image.fromarray(a * 255).convert("1"))
    source = data.images(tmp_path)
    assert source.shape[0] == 1
    assert np.array_equal(only(source), planes(a, 1))


def paletted(index, colours):
    image = Image.new("P", index.shape[::-1])
    image.putdata(index.flatten().tolist())
    image.putpalette(colours.flatten().tolist())
    return image


def test_palette(tmp_path):
    index, colours = noise(5, 7, high=16), noise(16, 3, seed=1)
    write(tmp_path / "a.png", paletted(index, colours))
    assert np.array_equal(only(data.images(tmp_path)), planes(colours[index]))


def test_palette_with_transparency(tmp_path):
    index, colours = noise(5, 7, high=16), noise(16, 3, seed=1)
    write(tmp_path / "a.png", paletted(index, colours), transparency=3)
    expected = np.where((index == 3)[..., None], np.uint8(0), colours[index])
    assert np.array_equal(only(data.images(tmp_path, background=0.0)), planes(expected))
    alpha = only(data.images(tmp_path, channels=4))[3]
    assert np.array_equal(alpha, (index != 3).astype(np.float32))


def over(colour, alpha, background):
    cover = alpha.astype(np.float64)[..., None] / 255
    return np.rint(cover * colour + (1 - cover) * background * 255).astype(np.uint8)


@pytest.mark.parametrize("background", [0.0, 1.0, 0.3])
def test_alpha_over_background(tmp_path, background):
    rgba, la = noise(6, 6, 4), noise(6, 6, 2, seed=2)
    write(tmp_path / "c/a.png", rgba)
    write(tmp_path / "g/a.png", Image.fromarray(la))
    colour, grey = (data.images(tmp_path / k, background=background) for k in "cg")
    assert grey.shape == (1, 6, 6)
    expected = planes(over(rgba[..., :3], rgba[..., 3], background))
    # float32 may fall on the other side of a half
    assert np.abs(only(colour) - expected).max() <= 1.001 / 255
    assert np.mean(only(colour) != expected) < 0.02
    expected = planes(over(la[..., :1], la[..., 1], background))
    assert np.mean(only(grey) != expected) < 0.05
    on_grid = only(colour) * 255
    assert np.abs(on_grid - np.rint(on_grid)).max() < 1e-4


def test_four_channels_keep_alpha(tmp_path):
    rgba = noise(6, 6, 4)
    write(tmp_path / "a.png", rgba)
    assert np.array_equal(only(data.images(tmp_path, channels=4)), planes(rgba))
    write(tmp_path / "a.png", rgba[..., 0])
    opaque = only(data.images(tmp_path, channels=4))
    assert np.array_equal(opaque[:3], planes(rgba[..., 0]).repeat(3, 0))
    assert (opaque[3] == 1).all()


def test_cmyk_as_pillow_converts_it(tmp_path):
    image = Image.fromarray(noise(8, 8, 4), "CMYK")
    write(tmp_path / "a.tiff", image)
    assert np.array_equal(only(data.images(tmp_path)), planes(np.asarray(image.convert("RGB"))))
    assert data.images(tmp_path, channels=1).read([0])["image"].shape == (1, 1, 8, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "YCbCr", "LAB", "F"])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_every_mode_to_every_channel_count(tmp_path, mode, channels):
    base = Image.fromarray(noise(9, 9, 3)).resize((18, 12))
    image = Image.new("LAB", (18, 12), (128, 128, 128)) if mode == "LAB" else base.convert(mode)
    if mode == "F":
        image = Image.fromarray(np.asarray(image) / np.float32(256))
    packed = {"compression": "tiff_lzw"} if mode == "YCbCr" else {}  # Pillow 12 reads no other
    name = "a.png" if mode in ("1", "L", "LA", "RGBA", "P") else "a.tiff"
    write(tmp_path / name, image, **packed)
    source = data.images(tmp_path, size=8, channels=channels)
    x = only(source)
    assert x.shape == source.shape == (channels or len(x), 8, 8)
    assert x.min() >= 0
    assert x.max() <= 1
    if source.levels:
        steps = x * (source.levels - 1)
        assert np.abs(steps - np.rint(steps)).max() < 1e-3


def test_animation_gives_its_first_frame(tmp_path):
    first, second = (Image.fromarray(noise(6, 6, seed=s)) for s in (1, 2))
    write(tmp_path / "a.gif", first, save_all=True, append_images=[second])
    assert np.array_equal(only(data.images(tmp_path, channels=1)), planes(np.asarray(first)))


# -- orientation, sizes, crops --------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
def test_every_orientation_is_the_upright_picture(tmp_path, orientation, ending):
    upright = noise(6, 10, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    lossless = {"lossless": True} if ending == "webp" else {}
    write(tmp_path / f"a.{ending}", stored, exif=exif, **lossless)
    source = data.images(tmp_path)
    assert source.shape == (3, 6, 10)
    assert np.array_equal(only(source), planes(upright))


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_drafted_and_upright(tmp_path, orientation, monkeypatch):
    y, x = np.mgrid[0:480, 0:640]
    upright = np.stack([x * 255 / 640, y * 255 / 480, x * 0], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(tmp_path / "a.jpg", np.ascontiguousarray(STORED[orientation](upright)), exif=exif)
    sizes, inner = [], data.decode.fitted

    def spy(image, *rest):
        sizes.append(max(image.size))
        return inner(image, *rest)

    monkeypatch.setattr(data.decode, "fitted", spy)
    got = only(data.images(tmp_path, size=(24, 32)))
    assert sizes == [80]  # an eighth, still above twice the target
    expected = planes(np.asarray(Image.fromarray(upright).resize((32, 24), Image.BICUBIC)))
    assert np.abs(got - expected).max() < 3 / 255


@pytest.mark.parametrize("orientation", STORED)
def test_a_drafted_jpeg_is_not_stretched_by_what_makes_no_whole_pixel(tmp_path, orientation):
    """401 pixels at half the size are 200.5: half a column would pull all others aside."""
    y, x = np.mgrid[0:401, 0:401]
    wave = 127 + 120 * np.sin(x / 9) * np.cos(y / 7)
    upright = np.repeat(wave.astype(np.uint8)[..., None], 3, -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    write(tmp_path / "a.jpg", stored, exif=exif, quality=98)
    got = only(data.images(tmp_path, size=64))
    edges = [(a, b) for a in (0, 1) for b in (0, 1)]  # the last column or row may be either
    boxes = [(a, b, a + 400, b + 400) for a, b in edges]
    whole = Image.fromarray(upright)
    errors = [
        np.abs(got - planes(np.asarray(whole.resize((64, 64), Image.BICUBIC, box=box)))).mean()
        for box in boxes
    ]
    assert min(errors) < 0.7 / 255


def test_sizes(tmp_path):
    for name, shape in {"a": (20, 30), "b": (20, 30)}.items():
        write(tmp_path / f"{name}.png", noise(*shape))
    source = data.images(tmp_path)
    assert source.shape == (1, 20, 30)
    assert source.summary() == "2 pictures, 1x20x30, 256 grey levels"
    write(tmp_path / "c.png", noise(50, 9, 3))
    source = data.images(tmp_path)
    assert source.shape == (3, 32, 32)
    assert source.summary().endswith("256 grey levels; mixed sizes, resized to 32x32")
    assert data.images(tmp_path, size=(16, 24)).read([0, 1, 2])["image"].shape == (3, 3, 16, 24)


def test_crops_take_the_part_they_name(tmp_path):
    a = noise(8, 20)
    write(tmp_path / "a.png", a)
    assert np.array_equal(only(data.images(tmp_path, size=8)), planes(a[:, 6:14]))
    drawn = data.images(tmp_path, size=8).read([0] * 9, draws=range(9))["image"]
    assert all(np.array_equal(x, planes(a[:, 6:14])) for x in drawn.numpy())
    stretched = Image.fromarray(a).resize((8, 8), Image.BICUBIC)
    got = only(data.images(tmp_path, size=8, crop="stretch"))
    assert np.array_equal(got, planes(np.asarray(stretched)))
    random = data.images(tmp_path, size=8, crop="random")
    windows = [planes(a[:, k : k + 8]) for k in range(13)]
    crops = random.read([0] * 200, draws=range(200))["image"].numpy()
    hits = {next(k for k, w in enumerate(windows) if np.array_equal(w, crop)) for crop in crops}
    assert hits == set(range(13))  # every place is reached, both ends too
    assert np.array_equal(only(random), planes(a[:, 6:14]))  # no draw: the centre


def test_resizing_keeps_16_bits_and_means(tmp_path):
    a = np.full((40, 40), 12345, np.uint16)
    write(tmp_path / "a.png", a)
    assert np.array_equal(only(data.images(tmp_path, size=7)), planes(a[:7, :7], 65535))
    b = noise(64, 64, high=65536, dtype=np.uint16)
    write(tmp_path / "a.png", b)
    small = only(data.images(tmp_path, size=16))
    assert abs(small.mean() - b.mean() / 65535) < 0.01
    assert np.abs(small * 65535 - np.rint(small * 65535)).max() < 0.01
    assert len(np.unique(small)) > 200  # not squeezed through 8 bits


def test_extreme_forms_are_not_blown_up(tmp_path):
    write(tmp_path / "a.png", noise(1, 16000))
    assert only(data.images(tmp_path, size=64)).shape == (1, 64, 64)


def test_the_same_draws_give_the_same_pixels_and_flip_depends_on_nothing_else(tmp_path):
    for i in range(3):
        write(tmp_path / f"{i}.png", noise(12, 12, seed=i))
    plain, flip = data.images(tmp_path), data.images(tmp_path, flip=True)
    draws = list(range(40))
    flipped = []
    for item in range(3):
        upright = only(data.Subset(plain, [item]))
        many = flip.read([item] * 40, draws)["image"].numpy()
        assert np.array_equal(many, flip.read([item] * 40, draws)["image"].numpy())
        flipped.append([np.array_equal(x, upright[..., ::-1]) for x in many])
        assert all(
            np.array_equal(x, upright[..., ::-1] if turned else upright)
            for x, turned in zip(many, flipped[-1], strict=True)
        )
    assert flipped[0] == flipped[1] == flipped[2]
    assert 10 < sum(flipped[0]) < 30
    assert torch.equal(flip.read([0, 1, 2])["image"], plain.read([0, 1, 2])["image"])
    # A random crop does not change who is flipped.
    both = data.images(tmp_path, size=8, crop="random", flip=True).read([0] * 40, draws)["image"]
    crop = data.images(tmp_path, size=8, crop="random").read([0] * 40, draws)["image"]
    assert [torch.equal(x, y.flip(-1)) for x, y in zip(both, crop, strict=True)] == flipped[0]
