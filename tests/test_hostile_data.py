"""One law for data of every kind of malice: a person gets records, or one sentence they can use.

Whatever lies in a folder, shard or table, opening and reading it ends within seconds and within
bounded memory; it gives records of the promised shape with values in [0, 1], or a `UserError` of
one printable line that names the place; and what lay there still lies there, byte for byte.
"""

import contextlib
import os
import re
import resource
import stat

import hostile
import hostile_files  # noqa: F401 - more cases
import pytest
import torch
from pictures import noise

import hush.data as data
from hush.data.words import shown
from hush.errors import UserError

ROOM = 3 << 29  # bytes that reading may add to the address space, threads included


def test_there_are_many():
    assert len(hostile.CASES) >= 130


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@contextlib.contextmanager
def bounded_memory():
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def lying_there(root):
    """Everything below a folder: its kind, its rights and its bytes."""
    held = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(folder, name)
            facts, content = os.lstat(path), None
            if stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK):
                with open(path, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(facts.st_mode):
                content = os.readlink(path)
            held[path] = facts.st_mode, content
    return held


def read_all(source):
    for start in range(0, len(source), 64):
        items = range(start, min(start + 64, len(source)))
        record = source.read(items, [3 * item for item in items])
        x = record["image"]
        assert x.shape == (len(items), *source.shape)
        assert torch.isfinite(x).all()
        assert (x >= 0).all()
        assert (x <= 1).all()
        if source.classes:
            assert record["label"].shape == (len(items),)
            assert 0 <= record["label"].min() <= record["label"].max() < len(source.classes)
    for text in (source.name, source.summary(), source.digest(), *source.classes):
        assert text.isprintable()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::Warning:PIL")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("skip_broken", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("name", hostile.CASES)
def test_records_or_one_sentence(tmp_path, name, skip_broken):
    folder = tmp_path / "data"
    folder.mkdir()
    path = hostile.CASES[name](folder)
    before = lying_there(folder)
    said = None
    with bounded_memory():
        try:
            pictures = {"skip_broken": skip_broken, "flip": True, "size": SIZES.get(name)}
            source = data.open_source(path, **({} if name in NUMBERS else pictures))
            if name in hostile.MEANWHILE:
                hostile.MEANWHILE[name](folder)
                before = None
            read_all(source)
        except UserError as error:
            said = str(error)
    if said is not None:
        assert shown(folder) in said, said
        assert said.isprintable(), repr(said)
        assert "Traceback" not in said
        assert "MemoryError" not in said
        assert len(said) < 2000 or "long name" in name or "letters" in name or "deep" in name
    if before is not None:
        assert lying_there(folder) == before


NUMBERS = [name for name in hostile.CASES if name.startswith("numbers")]
SIZES = {name: 8 for name in hostile.CASES if name.startswith(("odd: 1 x", "png: 13000"))}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_good_picture_beside_a_bad_one_is_still_read(tmp_path):
    """The law above would hold for a reader that refuses everything; this one forbids it."""
    read, refused = [], []
    named = [
        name for name in hostile.CASES if re.search("cut at|spoilt|called|odd:|folder: a ", name)
    ]
    for number, name in enumerate(named):
        folder = tmp_path / str(number)
        folder.mkdir()
        if hostile.CASES[name](folder) == folder:
            source = data.open_source(folder, size=12, skip_broken=True, labels=False)
            good = [
                i for i in range(len(source)) if source.store.files[source._items[i]] == "good.png"
            ]
            got = source.read(good)["image"][0]
            expected = torch.from_numpy(noise(12, 12, 3)).permute(2, 0, 1) / 255
            (read if torch.equal(got, expected) else refused).append(name)
    assert not refused
    assert len(read) > 100
