"""Folders of pictures, as people have them: lazy, ordered, labelled, and full of broken files."""

import contextlib
import errno
import io
import os
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import noise, only, planes, refused, write
from PIL import Image, ImageFile

import hush.data as data
from hush.errors import UserError


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
        assert x.max() <= (255 if x.dtype == np.uint8 else 1)


def contents():
    image = Image.fromarray(noise(12, 12, 3))
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA"):
        stream = io.BytesIO()
        image.save(stream, kind)
        yield stream.getvalue()


CONTENTS = list(contents())


@pytest.mark.parametrize("trouble", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_troubles_of_the_machine_are_no_broken_pictures(tmp_path, monkeypatch, trouble):
    for name in "ab":
        write(tmp_path / f"{name}.png", noise(4, 4))
    source = data.images(tmp_path, skip_broken=True)

    def load(self):
        raise trouble

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(UserError) as caught:
        source.read([0])
    assert not isinstance(caught.value, data.BrokenPicture)
    assert "a.png cannot be read just now" in str(caught.value)
    assert not source.broken


def test_of_large_pictures_one_at_a_time_is_decoded(tmp_path, monkeypatch):
    for i in range(8):
        write(tmp_path / f"{i}.png", noise(40, 40, seed=i))
    source = data.images(tmp_path)
    monkeypatch.setattr(data.parallel, "WORKERS", 4)
    at_once, most, load = [], [], ImageFile.ImageFile.load

    def slow(self):
        at_once.append(self)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.pop()
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", slow)
    source.read(range(8))
    assert max(most) > 1
    most.clear()
    monkeypatch.setattr(data.decode, "_LARGE", 40 * 40 - 1)
    data.images(tmp_path).read(range(8))
    assert max(most) == 1


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
