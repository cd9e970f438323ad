"""What is kept decoded changes nothing but the time: the same bits, whatever the disk does."""

import contextlib
import copy
import errno
import itertools
import os
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import noise, write
from PIL import Image

import hush.data as data
from hush.data import decoded
from hush.data.decode import unit
from hush.data.decoded import Decoded

EIGHT = {
    "grey.png": noise(24, 30),
    "colour.jpg": noise(40, 20, 3, seed=1),
    "clear.png": noise(16, 16, 4, seed=2),
    "palette.gif": Image.fromarray(noise(20, 20, seed=3)).convert("P"),
}
KINDS = {
    "8-bit": EIGHT,
    "16-bit": {**EIGHT, "deep.png": noise(18, 25, high=65536, dtype=np.uint16)},
    "float": {**EIGHT, "float.tiff": noise(20, 18).astype(np.float32) / 255},
}
CUT = "m-cut.jpg"  # not the last in the order of names


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds")
    for kind, pictures in KINDS.items():
        for number, (name, pixels) in enumerate(pictures.items()):
            write(root / kind / "ab"[number % 2] / name, pixels)
        whole = write(root / kind / "b" / CUT, noise(40, 40, 3, seed=9))
        whole.write_bytes(whole.read_bytes()[:-900])
    return root


@contextlib.contextmanager
def nothing_kept():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "fits", lambda size: False)
        yield


def both(path, **options):
    """The same source twice: one keeps what it decoded, one does not."""
    kept = data.images(path, **options)
    with nothing_kept():
        return kept, data.images(path, **options)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(KINDS)),
    st.fixed_dictionaries(
        {
            "size": st.sampled_from([7, (6, 9)]),
            "channels": st.sampled_from([None, 1, 3, 4]),
            "crop": st.sampled_from(["centre", "random", "stretch"]),
            "flip": st.booleans(),
            "background": st.sampled_from([0.0, 0.3, 1.0]),
            "labels": st.sampled_from([None, False]),
        }
    ),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**64 - 1)), min_size=1, max_size=12),
)
def test_the_same_bits_whatever_the_options(folders, kind, options, asked):
    kept, plain = both(folders / kind, skip_broken=True, **options)
    items = [item % len(kept) for item, _ in asked]
    draws = [draw for _, draw in asked]
    for given_draws in (draws, None, draws, draws[::-1]):
        assert same(kept.read(items, given_draws), plain.read(items, given_draws))
    assert kept.broken == plain.broken


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_decoded_twice_unless_crops_are_random(folders, kind, monkeypatch):
    def source(crop):
        return data.images(folders / kind, size=8, flip=True, skip_broken=True, crop=crop)

    first = source("centre")
    everything = first.read(range(len(first)), range(len(first)))
    loose = source("random")
    loose.read(range(len(loose)))
    opened = []
    inner = Image.open
    monkeypatch.setattr(
        Image, "open", lambda *args, **kw: opened.append(args) or inner(*args, **kw)
    )
    assert same(first.read(range(len(first)), range(len(first))), everything)
    assert not opened
    loose.read(range(len(loose)))
    assert len(opened) == len(loose)  # for what was found broken, the next one
    assert not any(args[0].name.endswith(CUT) for args in opened)


@pytest.mark.parametrize("workers", [0, 3])
def test_the_stream_of_a_run_is_the_same(folders, workers):
    streams = []
    for source in both(folders / "8-bit", size=8, flip=True, skip_broken=True):
        part = data.Subset(source, [4, 0, 1, 3, 2])
        with contextlib.closing(data.batches(part, 4, 3, workers=workers)) as stream:
            streams.append(list(itertools.islice(stream, 6)))
    assert all(same(*pair) for pair in zip(*streams, strict=True))


def test_many_threads_at_once_read_the_same(tmp_path):
    for number in range(24):
        write(tmp_path / f"{number:02}.png", noise(16, 16, 3, seed=number))
    kept, plain = both(tmp_path)
    asked = [[(7 * turn + k) % 24 for k in range(12)] for turn in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(kept.read, asked))
    assert all(same(one, plain.read(items)) for one, items in zip(found, asked, strict=True))


def full(failing_after):
    """A disk that has room for so many writes; then it takes half of one, and then nothing."""
    inner, writes = os.pwrite, []

    def pwrite(file, content, place):
        writes.append(place)
        if len(writes) > failing_after + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = memoryview(content).cast("B")
        half = part[: len(part) // 2] if len(writes) == failing_after + 1 else part
        return inner(file, half, place)

    return pwrite


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts open files in /proc")
@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_changes_nothing_and_gets_its_room_back(folders, monkeypatch, room):
    kept, plain = both(folders / "8-bit", size=8, labels=False, skip_broken=True)
    held = [kept.read([0])["image"]] if room else []
    monkeypatch.setattr(os, "pwrite", full(room))
    before = open_files()
    for _ in range(3):
        assert same(kept.read(range(len(kept))), plain.read(range(len(plain))))
    assert open_files() == before - 2  # the file, and the mapping's hold of it
    assert kept._kept.get(0) is None
    assert all(torch.equal(x, plain.read([0])["image"]) for x in held)


def test_what_is_being_read_outlives_the_file(monkeypatch):
    kept = Decoded(2, (1, 2, 2), np.uint8)
    kept.keep(0, np.arange(4, dtype=np.uint8).reshape(1, 2, 2))
    reading = kept.get(0)
    monkeypatch.setattr(os, "pwrite", full(-1))
    kept.keep(1, np.zeros((1, 2, 2), np.uint8))
    assert kept.get(0) is kept.get(1) is None
    assert reading.flatten().tolist() == [0, 1, 2, 3]


def test_no_file_can_be_met_and_none_stays_open(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    source = data.images(folders / "8-bit", size=8, skip_broken=True)
    source.read(range(len(source)))
    assert source._kept.get(0) is not None
    assert not os.listdir(tmp_path)
    assert open_files() > before
    del source
    assert open_files() == before


@pytest.mark.parametrize("trouble", ["no folder", "no room", "no file", "no mapping"])
def test_where_nothing_can_be_kept_pictures_are_read_as_before(folders, monkeypatch, trouble):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    if trouble == "no folder":
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    elif trouble == "no room":
        monkeypatch.setattr(decoded, "fits", lambda size: False)
    elif trouble == "no file":
        monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    else:
        monkeypatch.setattr(decoded.mmap, "mmap", fail)
    source = data.images(folders / "8-bit", size=8, skip_broken=True)
    first = source.read(range(len(source)))
    assert source._kept.get(0) is None
    assert same(first, source.read(range(len(source))))


def test_it_fits_where_twice_as_much_is_free(monkeypatch):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for free in (1000, 4 * memory):
        monkeypatch.setattr(decoded.shutil, "disk_usage", lambda place, n=free: Usage(n))
        most = min(free, memory) // 2
        assert decoded.fits(most)
        assert not decoded.fits(most + 1)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
        assert decoded.fits(most // 4)
        assert not decoded.fits(most // 4 + 1)
        monkeypatch.delenv("LOCAL_WORLD_SIZE")


class Usage:
    def __init__(self, free):
        self.free = free


def test_a_copy_begins_empty_and_reads_the_same(folders):
    source = data.images(folders / "8-bit", size=8, skip_broken=True)
    expected = source.read(range(len(source)))
    for twin in (copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
        assert source._kept.get(0) is not None
        assert twin._kept.get(0) is None
        assert same(twin.read(range(len(twin))), expected)


def test_a_picture_that_became_deeper_is_read_as_it_is(tmp_path):
    path = write(tmp_path / "a.png", noise(4, 4))
    source = data.images(tmp_path)
    deep = noise(4, 4, high=65536, dtype=np.uint16)
    write(path, deep)
    for _ in range(2):
        assert np.array_equal(source.read([0])["image"][0, 0].numpy(), deep / np.float32(65535))


def test_8_bits_are_their_255th_parts_in_every_bit():
    values = np.arange(256, dtype=np.uint8)
    expected = (values.astype(np.float64) / 255).astype(np.float32)
    assert np.array_equal(unit(values, np.empty(256, np.float32)), expected)
