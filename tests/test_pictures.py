"""Pictures out: files, grids and strips."""

import errno
import itertools
import os

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import only, refused

import hush.data as data


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
