"""Parquet, the hub, and the one word that names any source."""

import io

import numpy as np
import pytest
import torch
from pictures import STORED, noise, planes, refused, write
from PIL import Image

import hush.data as data


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
    refused(lambda: data.table(tmp_path / "junk.parquet"), "junk.parquet", "as parquet")


def test_the_digest_of_a_table_is_its_bytes_and_labels(tmp_path, datasets):
    def digest(name, cells, labels):
        made = datasets.Dataset.from_dict({"image": cells, "label": labels})
        made.to_parquet(str(tmp_path / name / "t.parquet"))
        return data.open_source(tmp_path / name).digest()

    cells = [png(noise(6, 6, seed=i)) for i in range(3)]
    first = digest("one", cells, [0, 1, 0])
    assert first == digest("moved", cells, [0, 1, 0])
    others = [
        digest("relabelled", cells, [0, 1, 1]),
        digest("fewer", cells[:2], [0, 1]),
        digest("longer", [*cells[:2], png(noise(9, 9))], [0, 1, 0]),
    ]
    assert len({first, *others}) == 4


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
