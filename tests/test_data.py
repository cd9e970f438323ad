"""Laws of the data room: pixels survive, order is a pure function, every failure has a name."""

import contextlib
import errno
import io
import itertools
import os
import tarfile
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from PIL import Image

import hush.data as data
from hush.data import encoded
from hush.errors import UserError

torch.set_num_threads(1)


def noise(*shape, seed=0, high=256, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def only(source):
    return source.read([0])["image"][0].numpy()


def planes(array, full=255):
    array = array if array.ndim == 3 else array[..., None]
    return array.transpose(2, 0, 1).astype(np.float32) / np.float32(full)


def refused(action, *words):
    with pytest.raises((UserError, TypeCheckError)) as caught:
        action()
    if isinstance(caught.value, TypeCheckError):
        return  # run under beartype, which got there first
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    message.encode()  # can be printed


# -- values ---------------------------------------------------------------------------------------


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
    write(tmp_path / ("a.png" if mode in ("1", "L", "LA", "RGBA", "P") else "a.tiff"), image)
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

# How a camera turned that way stores the upright picture (EXIF 2.32, tag 0x0112).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


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
    sizes, resize = [], Image.Image.resize

    def spy(self, *args, **kwargs):
        sizes.append(max(self.size))
        return resize(self, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", spy)
    got = only(data.images(tmp_path, size=(24, 32)))
    assert sizes[0] == 80  # an eighth, still above twice the target
    expected = planes(np.asarray(resize(Image.fromarray(upright), (32, 24), Image.LANCZOS)))
    assert np.abs(got - expected).max() < 4 / 255


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
    stretched = Image.fromarray(a).resize((8, 8), Image.LANCZOS)
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


# -- folders --------------------------------------------------------------------------------------


def test_construction_decodes_nothing(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    for ending in ("png", "jpg", "tiff", "webp", "bmp", "gif"):
        write(tmp_path / f"a.{ending}", noise(8, 8, 3))
    write(tmp_path / "turned.png", noise(8, 8, 3), exif=exif)

    def load(self):
        raise AssertionError("decoded")

    for kind in ("ImageFile.ImageFile", "TiffImagePlugin.TiffImageFile"):
        module, name = kind.split(".")
        monkeypatch.setattr(
            getattr(__import__(f"PIL.{module}").__dict__[module], name), "load", load
        )
    assert len(data.images(tmp_path)) == 7


def test_subfolders_are_classes_when_every_picture_has_one(tmp_path):
    for place in ("cat/1.png", "cat/old/2.png", "ant/1.png", "dog/3.JPG"):
        write(tmp_path / place, noise(4, 4))
    source = data.images(tmp_path)
    assert source.classes == ("ant", "cat", "dog")
    assert source.read([0, 1, 2, 3])["label"].tolist() == [0, 1, 1, 2]
    assert source.read([3, 0])["label"].dtype == torch.int64
    assert source.summary().endswith("3 classes")
    assert "label" not in data.images(tmp_path, labels=False).read([0])
    assert data.images(tmp_path / "cat", labels=False).classes == ()
    write(tmp_path / "stray.png", noise(4, 4))
    assert data.images(tmp_path).classes == ()
    refused(lambda: data.images(tmp_path, labels=True), "stray.png", "subfolder")


def test_one_subfolder_is_no_class_unless_asked(tmp_path):
    write(tmp_path / "all/1.png", noise(4, 4))
    assert data.images(tmp_path).classes == ()
    assert data.images(tmp_path, labels=True).classes == ("all",)


def test_order_is_that_of_names_and_clutter_is_ignored(tmp_path):
    for i, name in enumerate(["b.png", "a.png", "c.png"]):
        write(tmp_path / name, np.full((2, 2), i, np.uint8))
    write(tmp_path / ".hidden.png", noise(9, 9))
    write(tmp_path / "__MACOSX/._a.png", noise(9, 9))
    write(tmp_path / ".cache/a.png", noise(9, 9))
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe.png")
    pixels = data.images(tmp_path).read([0, 1, 2])["image"][:, 0, 0, 0]
    assert (pixels * 255).round().tolist() == [1, 0, 2]


def test_links_are_followed_once_and_loops_end(tmp_path):
    root, other = tmp_path / "photos", tmp_path / "other"
    write(root / "z/1.png", noise(4, 4))
    write(other / "2.png", noise(4, 4))
    write(tmp_path / "outside.png", noise(4, 4))
    (root / "a_link").symlink_to(root / "z")  # already there: not twice
    (root / "z" / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)  # would bring in everything above
    (root / "more").symlink_to(other)
    (other / "back").symlink_to(root)
    source = data.images(root)
    assert source.store.files == ["more/2.png", "z/1.png"]
    assert source.classes == ("more", "z")
    (root / "self.png").symlink_to(root / "self.png")
    refused(lambda: data.images(root), "self.png", "move it away")


def test_a_file_name_that_is_not_utf_8(tmp_path):
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.makedirs(raw)
    write(tmp_path / "other/1.png", noise(4, 4))
    with open(os.path.join(raw, b"\xff.png"), "wb") as file:
        Image.fromarray(noise(4, 4)).save(file, "PNG")
    source = data.images(tmp_path)
    assert source.classes == ("caf\\xe9", "other")
    assert source.read([0, 1])["image"].shape == (2, 1, 4, 4)
    with open(os.path.join(raw, b"\xff.png"), "wb"):
        pass
    refused(lambda: data.images(tmp_path), r"caf\xe9/\xff.png", "empty")


def test_one_picture_is_a_source(tmp_path):
    a = noise(4, 4)
    assert np.array_equal(only(data.images(write(tmp_path / "a.png", a))), planes(a))


# -- hostile files --------------------------------------------------------------------------------


def jpeg(**options):
    stream = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(stream, "JPEG", **options)
    return stream.getvalue()


def bomb():
    """A PNG header that claims 60,000 x 60,000 pixels."""
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


HOSTILE = {
    "zero.png": (b"", "0 bytes"),
    "text.png": (b"hello, world", "no picture format"),
    "bomb.png": (bomb(), "decompression bomb"),
    "head.jpg": (jpeg()[:20], ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_broken_headers_are_named_at_once_or_left_out(tmp_path, name):
    content, reason = HOSTILE[name]
    write(tmp_path / "good.png", noise(64, 64, 3))
    (tmp_path / name).write_bytes(content)
    refused(lambda: data.images(tmp_path), name, reason, "--skip-broken")
    source = data.images(tmp_path, skip_broken=True)
    assert len(source) == 1
    assert list(source.broken) == [tmp_path / name]
    assert source.summary().endswith("; 1 broken left out")
    (tmp_path / "good.png").unlink()
    refused(lambda: data.images(tmp_path, skip_broken=True), "none of its 1 pictures", name)


def test_truncated_pictures_are_found_by_check_or_replaced(tmp_path):
    for name in ("a", "c"):
        write(tmp_path / name / f"{name}.png", noise(64, 64, 3, seed=ord(name)))
    cut = tmp_path / "b" / "cut.jpg"
    cut.parent.mkdir()
    cut.write_bytes(jpeg()[:-900])
    before = cut.read_bytes()
    strict = data.images(tmp_path)  # the header is whole
    refused(strict.check, "cut.jpg", "truncated", "--skip-broken")
    refused(lambda: strict.read([0, 1]), "cut.jpg", "truncated")
    lenient = data.images(tmp_path, skip_broken=True)
    record = lenient.read([0, 1, 2])
    assert torch.equal(record["image"][1], record["image"][2])
    assert record["label"].tolist() == [0, 2, 2]
    assert list(lenient.broken) == [cut]
    again = data.images(tmp_path, skip_broken=True)
    again.check()
    assert list(again.broken) == [cut]
    assert "truncated" in again.broken[cut]
    assert cut.read_bytes() == before


def test_all_truncated_is_an_error_and_not_a_hang(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(jpeg()[:-900])
    source = data.images(tmp_path, skip_broken=True)
    refused(lambda: source.read([1]), "none of its 3 pictures")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@hypothesis_settings(max_examples=150, deadline=None)
@given(st.data())
def test_spoilt_bytes_give_a_picture_or_a_broken_picture(draw):
    content = bytearray(draw.draw(st.sampled_from(CONTENTS)))
    for _ in range(draw.draw(st.integers(1, 4))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    content = bytes(content[: draw.draw(st.integers(0, len(content)))])
    options = data.PictureOptions(size=8)
    with contextlib.suppress(data.BrokenPicture):  # and nothing else
        x = data.decode.decode(io.BytesIO(content), "spoilt", (3, 8, 8), options)
        assert x.shape == (3, 8, 8)
        assert x.min() >= 0
        assert x.max() <= 1


def contents():
    image = Image.fromarray(noise(12, 12, 3))
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA"):
        stream = io.BytesIO()
        image.save(stream, kind)
        yield stream.getvalue()


CONTENTS = list(contents())


def test_folders_without_pictures_say_what_is_there(tmp_path):
    refused(lambda: data.images(tmp_path / "nowhere"), "nowhere", "does not exist")
    refused(lambda: data.images(tmp_path), str(tmp_path), ".png", "no file at all")
    for name in ("1.heic", "2.heic", "a.txt"):
        (tmp_path / name).write_text("x")
    refused(lambda: data.images(tmp_path), "2 .heic", "1 .txt")
    refused(lambda: data.images(tmp_path / "a.txt"), "a.txt", "not a picture")


def test_impossible_arguments(tmp_path):
    write(tmp_path / "a.png", noise(4, 4))
    for size in (0, -3, 16385, 2.5, True, (8, 0), (8, 8, 8), "8", (8,)):
        refused(lambda size=size: data.images(tmp_path, size=size), "size=", "16,384")
    refused(lambda: data.images(tmp_path, channels=2), "channels=2", "1 (grey)")
    refused(lambda: data.images(tmp_path, crop="middle"), "crop=middle", "stretch")
    refused(lambda: data.images(tmp_path, background=255), "background=255", "0 (black)")


def test_a_wrong_index_is_an_index_error(tmp_path):
    write(tmp_path / "a.png", noise(4, 4))
    with pytest.raises(IndexError):
        data.images(tmp_path).read([1])


# -- tables ---------------------------------------------------------------------------------------


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


def png(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def test_parquet_round_trip_keeps_depth_orientation_and_classes(tmp_path, datasets):
    deep = noise(6, 6, high=65536, dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = noise(6, 6)
    cells = [png(deep), png(np.ascontiguousarray(STORED[6](grey)), exif=exif)]
    columns = {"image": [{"bytes": c, "path": None} for c in cells], "label": [1, 0]}
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    made = datasets.Dataset.from_dict(columns, features=features)
    made.to_parquet(str(tmp_path / "t [1].parquet"))
    for name in ("t [1].parquet", "."):
        source = data.open_source(tmp_path / name)
        record = source.read([0, 1])
        assert np.array_equal(record["image"][0].numpy(), planes(deep, 65535))
        assert np.array_equal(record["image"][1].numpy(), planes(grey))
        assert (record["label"].tolist(), source.classes) == ([1, 0], ("no", "yes"))
        assert source.levels == 65536
    assert data.table(tmp_path / "t [1].parquet", labels=False).classes == ()


def test_parquet_made_by_others(tmp_path, datasets):
    cells = [png(noise(6, 6, seed=i)) for i in range(3)]
    made = datasets.Dataset.from_dict(
        {"pic": [{"bytes": c} for c in cells], "cls": ["b", "a", "b"], "n": [0.5, 1.5, 2.5]}
    )
    made.to_parquet(str(tmp_path / "t.parquet"))
    source = data.table(tmp_path / "t.parquet")
    assert source.read([0, 1, 2])["label"].tolist() == [1, 0, 1]
    assert source.classes == ("a", "b")
    path = tmp_path / "t.parquet"
    refused(lambda: data.table(path, column="pics"), "column=pics", "did you mean pic?")
    refused(lambda: data.table(path, column="n"), "column=n", "not pictures")
    refused(lambda: data.table(path, label="class"), "label=class", "did you mean cls?")
    raw = datasets.Dataset.from_dict({"a": cells, "b": cells})
    raw.to_parquet(str(tmp_path / "two.parquet"))
    refused(lambda: data.table(tmp_path / "two.parquet"), "2 columns", "a, b")
    assert len(data.table(tmp_path / "two.parquet", column="b")) == 3
    datasets.Dataset.from_dict({"n": [1]}).to_parquet(str(tmp_path / "none.parquet"))
    refused(lambda: data.table(tmp_path / "none.parquet"), "no column of pictures", "n (int64)")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    refused(lambda: data.table(tmp_path / "junk.parquet"), "junk.parquet", "parquet")


def test_broken_rows_are_named_and_skipped(tmp_path, datasets):
    cells = [png(noise(64, 64)), None, b"", png(noise(64, 64))[:-800], png(noise(64, 64, seed=1))]
    made = datasets.Dataset.from_dict({"image": cells, "label": [0, 1, 0, 1, 2]})
    made.to_parquet(str(tmp_path / "t.parquet"))
    refused(lambda: data.table(tmp_path / "t.parquet"), "row 1", "empty", "1 more")
    source = data.table(tmp_path / "t.parquet", skip_broken=True)
    assert len(source) == 3
    record = source.read([0, 1, 2])
    assert record["label"].tolist() == [0, 2, 2]
    assert [key.rsplit(" ", 1)[1] for key in source.broken] == ["1", "2", "3"]


def shard(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_webdataset_shards(tmp_path, datasets):
    for part in range(2):
        shard(
            tmp_path / f"s-{part}.tar",
            [
                member
                for i in range(3)
                for member in (
                    (f"{part}{i}.png", png(np.full((4, 4), 10 * part + i, np.uint8))),
                    (f"{part}{i}.cls", str(5 + i % 2).encode()),
                )
            ],
        )
    for name in (tmp_path / "s-*.tar", tmp_path):
        source = data.open_source(name)
        record = source.read(range(6))
        values = (record["image"][:, 0, 0, 0] * 255).round().tolist()
        assert values == [0, 1, 2, 10, 11, 12]
        assert record["label"].tolist() == [0, 1, 0, 0, 1, 0]
        assert source.classes == ("5", "6")
    (tmp_path / "bad.tar").write_bytes(b"junk" * 500)
    refused(lambda: data.table(tmp_path / "bad.tar"), "bad.tar", "webdataset")
    refused(lambda: data.table(tmp_path / "none-*.tar"), "none-*.tar", "no file")


def test_the_hub(tmp_path, datasets, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def offline(*args, **kwargs):
        raise ConnectionError("Couldn't reach the Hub.")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    refused(lambda: data.open_source("user/name"), "user/name", "Couldn't reach", "HF_TOKEN")
    part = datasets.Dataset.from_dict({"img": [png(noise(4, 4))], "label": [0]})
    parts = datasets.DatasetDict({"test": part, "train": part})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: parts)
    assert len(data.open_source("user/name")) == 1
    refused(lambda: data.open_source("user/name", split="tset"), "did you mean test?")


# -- one word -------------------------------------------------------------------------------------


def test_digits_are_sixteenths():
    source = data.open_source("digits")
    assert source.summary() == "1,797 pictures, 1x8x8, 17 grey levels, 10 classes"
    x = source.read(range(1797))
    steps = x["image"] * 16
    assert torch.equal(steps, steps.round())
    assert (float(steps.min()), float(steps.max())) == (0, 16)
    assert torch.bincount(x["label"]).min() > 170


def test_open_source_refuses_what_it_cannot_heed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(lambda: data.open_source("digits", size=16), "size=16", "1x8x8")
    refused(lambda: data.open_source("digits", flip=True, labels=False), "flip=True, labels=False")
    assert len(data.open_source("digits", size=8, channels=1, column=None)) == 1797
    refused(lambda: data.open_source("digist"), "digist", "did you mean digits?")
    write(tmp_path / "photos/cats/a.png", noise(4, 4))
    refused(lambda: data.open_source("photos/cast"), "photos/cast", "did you mean cats?")
    refused(lambda: data.open_source("photos", column="a"), "column", "no table")
    refused(lambda: data.open_source("photos", sise=8), "sise", "did you mean size?")
    refused(lambda: data.open_source("t.parquet"), "t.parquet", "does not exist")
    refused(lambda: data.open_source("photos/cats/*.png"), ".parquet")
    assert data.open_source("photos/", size=2).shape == (1, 2, 2)


def test_in_memory_is_checked_at_the_border():
    images = torch.rand(3, 1, 2, 2)
    labels = torch.tensor([0, 2, 1])
    assert data.InMemory(images, labels).classes == ("0", "1", "2")
    refused(lambda: data.InMemory(images * 255), "memory", "expected [0, 1]")
    refused(lambda: data.InMemory(images[0]), "(1, 2, 2)")
    refused(lambda: data.InMemory(images, labels[:2]), "labels are (2,)")
    refused(lambda: data.InMemory(images, labels, ["a", "b"]), "0 to 2", "0 to 1")


def test_split_parts_and_keeps():
    source = data.digits()
    train, held = data.split(source)
    assert (len(train), len(held)) == (1707, 90)
    assert sorted(train.indices + held.indices) == list(range(1797))
    assert data.split(source)[1].indices == held.indices
    assert data.split(source, seed=1)[1].indices != held.indices
    assert len(data.split(source, most=7)[1]) == 7
    record, whole = held.read([3]), source.read([held.indices[3]])
    assert torch.equal(record["image"], whole["image"])
    two = data.Subset(source, [0, 1])
    assert [len(part) for part in data.split(two, 0.01)] == [1, 1]
    assert [len(part) for part in data.split(two, 0.99)] == [1, 1]
    refused(lambda: data.split(data.Subset(source, [0])), "digits has 1 picture", "at least 2")
    refused(lambda: data.split(source, 1.5), "fraction=1.5")


def test_import_is_light():
    import subprocess
    import sys

    code = "import sys, hush.data; print([m for m in ('datasets', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- order ----------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 1000), st.integers(0, 2**63))
def test_order_is_a_permutation_that_is_its_arguments(count, epoch, seed):
    first = data.order(count, epoch, seed)
    assert sorted(first.tolist()) == list(range(count))
    first += 1  # a caller's copy
    assert sorted(data.order(count, epoch, seed).tolist()) == list(range(count))


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 50), st.integers(0, 5))
def test_each_epoch_holds_each_item_once_across_batches(count, batch, seed):
    steps = 3 * count // batch + 2
    parts = [data.indices_at(step, batch, count, seed) for step in range(steps)]
    row = list(itertools.chain(*(indices for indices, _ in parts)))
    draws = list(itertools.chain(*(draws for _, draws in parts)))
    assert all(len(indices) == len(draws) == batch for indices, draws in parts)
    assert len(set(draws)) == len(draws)
    for epoch in range(len(row) // count):
        assert row[epoch * count : (epoch + 1) * count] == data.order(count, epoch, seed).tolist()


def test_epochs_and_seeds_differ():
    seen = {tuple(data.order(30, e, s).tolist()) for e in range(10) for s in range(10)}
    assert len(seen) == 100


@pytest.fixture
def photos(tmp_path):
    for i in range(7):
        write(tmp_path / f"photos/{i % 2}/{i}.png", noise(8, 12, seed=i))
    return data.images(tmp_path / "photos", size=6, crop="random", flip=True)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("batch", [3, 16])
def test_starting_later_is_skipping_whatever_the_workers(photos, workers, batch):
    reference = list(itertools.islice(data.batches(photos, batch, seed=4), 9))
    for start in (0, 1, 5):
        stream = data.batches(photos, batch, seed=4, start=start, workers=workers)
        for expected, got in zip(reference[start:], stream, strict=False):
            assert expected.keys() == got.keys() == {"image", "label", "index"}
            assert all(torch.equal(expected[key], got[key]) for key in expected)
        stream.close()


def test_augmentation_never_repeats_between_epochs(photos):
    stream = data.batches(photos, 7)
    epochs = [next(stream) for _ in range(20)]
    views = {x["image"][x["index"] == 0].numpy().tobytes() for x in epochs}
    assert len(views) > 8  # of 26 possible: 13 places (resized continuously), 2 sides


def reading_threads():
    return [t for t in threading.enumerate() if t.name.startswith("hush-")]


def test_errors_surface_at_their_step_and_no_thread_stays(tmp_path):
    class Failing(data.InMemory):
        def read(self, indices, draws=None):
            if 5 in indices:
                raise UserError("five is broken")
            return super().read(indices, draws)

    source = Failing(torch.zeros(10, 1, 2, 2))
    step = next(k for k in range(10) if data.indices_at(k, 1, 10, 0)[0] == [5])
    for workers in (0, 2):
        stream = data.batches(source, 1, workers=workers)
        assert len(list(itertools.islice(stream, step))) == step
        refused(lambda stream=stream: next(stream), "five is broken")
        assert not reading_threads()
    stream = data.batches(source, 1, workers=3)
    next(stream)
    assert reading_threads()
    stream.close()
    assert not reading_threads()


def test_batches_are_checked_before_the_first_step():
    refused(lambda: data.batches(data.digits(), 0), "batch=0")
    refused(lambda: data.batches(data.Subset(data.digits(), []), 1), "empty")


def test_reading_ahead_goes_ahead_but_not_away():
    steps = []

    class Spy(data.InMemory):
        def read(self, indices, draws=None):
            steps.append(indices)
            return super().read(indices, draws)

    stream = data.batches(Spy(torch.zeros(9, 1, 2, 2)), 1, workers=2)
    next(stream)
    stream.close()
    assert 1 <= len(steps) <= 5


def test_many_threads_give_what_one_gives(photos, monkeypatch):
    monkeypatch.setattr(encoded, "WORKERS", 1)
    one = photos.read(range(7), range(7))
    monkeypatch.setattr(encoded, "WORKERS", 5)
    many = photos.read(range(7), range(7))
    assert torch.equal(one["image"], many["image"])
    assert torch.equal(one["label"], many["label"])


# -- pictures out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "levels"), [(1, 256), (3, 256), (4, 256), (1, 65536), (1, 17)]
)
def test_what_is_saved_reads_back_on_its_levels(tmp_path, channels, levels):
    steps = torch.randint(0, levels, (channels, 9, 11), generator=torch.Generator().manual_seed(0))
    path = data.save(steps / (levels - 1), tmp_path / "new/a.png", levels)
    source = data.images(tmp_path, channels=channels)
    assert source.levels == (65536 if levels > 256 else 256)
    back = source.read([0])["image"][0]
    assert torch.equal((back * (levels - 1)).round().long(), steps)
    if levels >= 256:
        assert torch.equal(back, steps / (levels - 1))
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_nothing_is_overwritten_silently(tmp_path):
    x = torch.zeros(1, 2, 2)
    path = data.save(x, tmp_path / "a.png")
    refused(lambda: data.save(x + 1, path), "a.png exists", "overwrite")
    assert only(data.images(path)).max() == 0
    data.save(x + 1, path, overwrite=True)
    assert only(data.images(path)).min() == 1


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    x = torch.zeros(1, 2, 2)
    path = data.save(x, tmp_path / "a.png")
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for target, name in ((os, "replace"), (data.pictures, "open")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, full, raising=False)
            refused(lambda: data.save(x + 1, path, overwrite=True), "a.png", "no space left")
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_saved(tmp_path):
    x = torch.zeros(1, 2, 2)
    (tmp_path / "file").write_text("x")
    refused(lambda: data.save(x, tmp_path / "file/a.png"), "file/a.png", "cannot be written")
    refused(lambda: data.save(x, tmp_path / "a.what"), "'.what'", ".png")
    refused(lambda: data.save(x, tmp_path / "a"), "''", ".png")
    refused(lambda: data.save(torch.zeros(4, 2, 2), tmp_path / "a.jpg"), "a.jpg", ".png")
    refused(lambda: data.save(x * float("nan"), tmp_path / "a.png"), "not finite")
    refused(lambda: data.save(torch.zeros(2, 2, 2), tmp_path / "a.png"), "(2, 2, 2)")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 3), st.sampled_from([1, 3, 4]))
def test_every_picture_is_in_the_grid_at_its_place(count, columns, pad, channels):
    images = torch.rand(count, channels, 4, 6, generator=torch.Generator().manual_seed(count))
    canvas = data.grid(images, columns, pad, zoom=2)
    columns = min(columns, count)
    rows = -(-count // columns)
    assert canvas.shape == (channels, rows * (8 + pad) + pad, columns * (12 + pad) + pad)
    inside = torch.zeros(canvas.shape[1:], dtype=torch.bool)
    for i in range(count):
        top, left = pad + i // columns * (8 + pad), pad + i % columns * (12 + pad)
        for y, x in itertools.product(range(2), repeat=2):
            assert torch.equal(
                canvas[:, top + y : top + 8 : 2, left + x : left + 12 : 2], images[i]
            )
        inside[top : top + 8, left : left + 12] = True
    assert (canvas[:3, ~inside] == 0.5).all()


def test_small_pictures_are_made_visible_and_strips_run_in_time():
    digits = data.digits().read(range(10))["image"]
    assert data.grid(digits, columns=5).shape == (1, 2 * 33 + 1, 5 * 33 + 1)
    assert data.grid(torch.rand(1, 3, 64, 64), pad=0).shape == (3, 64, 64)
    moments = [digits * k / 3 for k in range(4)]
    strip = data.strip(moments)
    assert strip.shape == (1, 10 * 33 + 1, 4 * 33 + 1)
    assert torch.equal(strip[:, 1:33:4, 1 + 3 * 33 : 33 + 3 * 33 : 4], digits[0])
    assert (strip[:, 1:33, 1:33] == 0).all()
    refused(lambda: data.strip([]), "no moments")
    refused(lambda: data.grid(digits[:0]), "0 pictures")
