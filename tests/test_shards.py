"""WebDataset shards, here and elsewhere: one pass makes an index, nothing is ever extracted."""

import contextlib
import http.server
import io
import itertools
import json
import tarfile
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import noise, refused
from PIL import Image

import hush.data as data
from hush.data import parallel, remote, shards, shelf
from hush.data.batches import WINDOW


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    return tmp_path / "cache/hush"


def png(value, side=4):
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def noisy(seed):
    stream = io.BytesIO()
    Image.fromarray(noise(16, 16, 3, seed=seed)).save(stream, "PNG")
    return stream.getvalue()


def archive(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def samples(*values, label=True):
    for value in values:
        yield f"{value:03}.png", png(value)
        if label:
            yield f"{value:03}.cls", str(5 + value % 2).encode()


def shard(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive(members))
    return path


def values(source):
    return (source.read(range(len(source)))["image"][:, 0, 0, 0] * 255).round().int().tolist()


def four(folder):
    for part in range(4):
        shard(folder / f"s-{part:02}.tar", samples(*range(10 * part, 10 * part + 3 + part)))
    return [10 * part + i for part in range(4) for i in range(3 + part)]


# -- what a shard is ------------------------------------------------------------------------------


def test_a_file_a_folder_a_pattern_and_braces_mean_the_same(tmp_path):
    expected = four(tmp_path / "in")
    for name in ("in", "in/*.tar", "in/s-{00..03}.tar", "in/s-{00,01,02,03}.tar"):
        source = data.open_source(tmp_path / name)
        assert values(source) == expected
        assert source.blocks == (3, 4, 5, 6)
        assert source.classes == ("5", "6")
        assert source.read(range(4))["label"].tolist() == [0, 1, 0, 0]
    assert values(data.open_source(tmp_path / "in/s-{03,01}.tar")) == expected[12:] + expected[3:7]
    assert len({data.open_source(tmp_path / name).digest() for name in ("in", "in/*.tar")}) == 1


def test_a_sample_is_what_shares_its_name_up_to_the_first_dot(tmp_path):
    members = [
        ("a.b/1.png", png(1)),
        ("a.b/2.png", png(2)),
        ("a.b/1.json", json.dumps({"label": "ape"}).encode()),
        ("a.b/2.json", json.dumps({"cls": 7, "label": "bee", "text": "x"}).encode()),
        ("a.b/1.cls", b" ant \n"),
        ("2.cls", b"another sample"),
        ("._1.png", b"clutter"),
        ("readme", b"no ending"),
        ("a.b/1.png", png(9)),  # once more: the later one counts
    ]
    source = data.open_source(shard(tmp_path / "s.tar", members))
    assert values(source) == [9, 2]
    assert source.classes == ("7", "ant")
    assert source.read([0, 1])["label"].tolist() == [1, 0]
    assert data.open_source(tmp_path / "s.tar", label="label").classes == ("ape", "bee")
    refused(lambda: data.open_source(tmp_path / "s.tar", label="text"), "1 of 2", "no class")


def test_one_of_several_pictures_is_asked_for_by_its_ending(tmp_path):
    members = [(f"{i}.{side}.png", png(10 * i + s)) for i in (1, 2) for s, side in enumerate("lr")]
    path = shard(tmp_path / "s.tar", members)
    refused(lambda: data.open_source(path), "several pictures", "l.png, r.png")
    assert values(data.open_source(path, column="r.png")) == [11, 21]
    refused(lambda: data.open_source(path, column="r.pgn"), "column=r.pgn", "did you mean r.png?")


def test_numbers_are_classes_in_their_order_and_labels_may_be_missing(tmp_path):
    members = [
        (f"{i}.{kind}", content)
        for i, label in enumerate(["10", "9", "-1"])
        for kind, content in (("png", png(i)), ("cls", label.encode()))
    ]
    path = shard(tmp_path / "s.tar", members)
    assert data.open_source(path).classes == ("-1", "9", "10")
    assert data.open_source(path, labels=False).classes == ()
    shard(path, [*members, ("x.png", png(9))])
    assert data.open_source(path).classes == ()
    refused(lambda: data.open_source(path, labels=True), "1 of 4", "no class")
    refused(lambda: data.open_source(path, label="text"), "4 of 4", "text")


def test_names_are_only_names_and_links_and_devices_are_passed_over(tmp_path):
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    special = []
    for i, kind in enumerate(kinds):
        info = tarfile.TarInfo(f"k{i}.png")
        info.type, info.linkname = kind, "/etc/passwd"
        special.append((info, b""))
    names = ["../../outside.png", "/absolute.png", "a\nb.png", "x" * 300 + ".png", "ü.png"]
    path = shard(tmp_path / "in/s.tar", special + [(name, png(i)) for i, name in enumerate(names)])
    before = sorted(tmp_path.rglob("*"))
    source = data.open_source(path)
    assert values(source) == [0, 1, 2, 3, 4]
    new = set(tmp_path.rglob("*")) - set(before)
    assert all(tmp_path / "cache" in (made, *made.parents) for made in new)
    assert source.store.name(2).endswith(r":a\nb.png")


def test_shards_without_pictures_say_what_is_there(tmp_path):
    path = shard(tmp_path / "s.tar", [("1.txt", b"x"), ("1.cls", b"0")])
    refused(lambda: data.open_source(path), "s.tar", "no pictures", ".cls, .txt")
    refused(lambda: data.open_source(tmp_path / "none-*.tar"), "none-*.tar", "found none")
    refused(lambda: data.open_source(tmp_path / "s-{0..1}.tar"), "s-0.tar", "no such file")
    (tmp_path / "t.parquet").write_bytes(b"x")
    refused(lambda: data.open_source(tmp_path), ".parquet", ".tar", "name one kind")
    refused(lambda: data.table(path), ".parquet files and no others")


# -- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.77, 0.9])
def test_a_cut_shard_is_an_error_or_gives_its_whole_samples(tmp_path, share):
    shard(tmp_path / "in/a.tar", samples(1, 2))
    whole = archive(samples(*range(10, 20)))
    end = 20 * 1024 if share < 1 else len(whole)
    cut = tmp_path / "in/b.tar"
    cut.write_bytes(whole[: int(share * end)])
    refused(lambda: data.open_source(tmp_path / "in"), "b.tar", "damaged", "--skip-broken")
    source = data.open_source(tmp_path / "in", skip_broken=True)
    kept = int(share * end) // 2048  # four blocks a sample: two headers, a picture, a class
    assert values(source) == [1, 2, *range(10, 10 + kept)]
    assert list(source.broken) == [str(cut)]
    assert source.summary().endswith("1 of 2 shards damaged")
    assert len(source.read(range(len(source)))["label"]) == len(source)  # classes stay whole


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_spoilt_shard_is_an_error_or_an_index(draw):
    content = bytearray(archive(samples(1, 2, 3)))
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, 6000))] = draw.draw(st.integers(0, 255))
    found = data.archive.index(io.BytesIO(content[: draw.draw(st.integers(0, 8000))]), "spoilt")
    for member in found.members:
        assert 0 <= member.offset <= member.offset + member.size <= len(content)
        assert isinstance(member.head, (str, tuple))
    assert data.archive.unpacked(data.archive.packed(found)) == found


def test_a_shard_that_changes_while_it_is_read_is_an_error_even_when_skipping(tmp_path):
    path = shard(tmp_path / "s.tar", samples(1, 2, 3))
    source = data.open_source(path, skip_broken=True)
    content = path.read_bytes()
    path.write_bytes(content[::-1])
    refused(lambda: source.read([0]), "s.tar", "changed", "start again")
    path.unlink()
    refused(lambda: source.read([0]), "s.tar", "no such file")


# -- the index is paid once -----------------------------------------------------------------------


def test_the_pass_is_paid_once_and_again_when_the_shard_changes(tmp_path, cache, monkeypatch):
    path = shard(tmp_path / "s.tar", samples(1, 2, 3))
    passes = []
    monkeypatch.setattr(
        shards, "index", lambda *given: passes.append(given) or data.archive.index(*given)
    )
    first = data.open_source(path)
    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.open", lambda *a, **k: pytest.fail("opened"))
        again = data.open_source(path)
    assert len(passes) == 1
    assert first.store.members == again.store.members
    shard(path, samples(1, 2, 4, 5))
    assert values(data.open_source(path)) == [1, 2, 4, 5]
    for kept in (cache / "indices").iterdir():
        kept.write_text(kept.read_text()[:-9])
    assert values(data.open_source(path)) == [1, 2, 4, 5]
    assert len(passes) == 3
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert len(data.open_source(path)) == 4  # no cache is no error


def test_the_digest_is_that_of_names_places_and_labels(tmp_path):
    digest = {}
    for name, members in {
        "one": samples(1, 2, 3),
        "same": samples(1, 2, 3),
        "fewer": samples(1, 2),
        "renamed": ((f"x{name}", content) for name, content in samples(1, 2, 3)),
        "relabelled": ((n, b"5" if "cls" in n else c) for n, c in samples(1, 2, 3)),
    }.items():
        digest[name] = data.open_source(shard(tmp_path / name / "s.tar", members)).digest()
    assert digest["one"] == digest["same"]
    assert len(set(digest.values())) == 4


# -- elsewhere ------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """GET, whole or by range; what it was asked for is in `log`."""

    files: dict
    log: list
    ranges: bool
    failures = breaks = 0

    def do_GET(self):
        content = self.files.get(self.path)
        if content is None:
            return self.send_error(404)
        if type(self).failures:
            type(self).failures -= 1
            return self.send_error(503)
        stretch = self.headers.get("Range") if self.ranges else None
        start, end = 0, len(content)
        if stretch:
            first, last = stretch.removeprefix("bytes=").split("-")
            start, end = int(first), int(last) + 1
        self.log.append((self.path, end - start))
        self.send_response(206 if stretch else 200)
        if stretch:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        if self.tagged:
            self.send_header("ETag", str(hash(content)))
            self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if type(self).breaks and end - start > 3000:
            type(self).breaks -= 1
            end -= 600
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content[start:end])

    def log_message(self, *words):
        pass


@pytest.fixture(params=["ranges", "whole", "bare"])
def served(request):
    kind = request.param
    handler = type(
        "Served",
        (Handler,),
        {"files": {}, "log": [], "ranges": kind == "ranges", "tagged": kind != "bare"},
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_shards_on_the_web(served, cache):
    for part in range(3):
        content = archive((f"{i}.png", noisy(10 * part + i)) for i in range(40))
        served.files[f"/s-{part}.tar"] = content
    size = sum(map(len, served.files.values()))
    source = data.open_source(served.url + "/s-{0..2}.tar")
    reference = [noise(16, 16, 3, seed=10 * part + i) for part in range(3) for i in range(40)]
    got = (source.read(range(120))["image"] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert all(np.array_equal(a, b) for a, b in zip(got, reference, strict=True))
    assert sum(sent for _, sent in served.log if sent > 1) <= (2 if not served.ranges else 1) * size
    assert source.blocks == (40, 40, 40)

    served.log.clear()
    again = data.open_source(served.url + "/s-{0..2}.tar")
    again.read(range(120))
    if served.tagged:  # the shelf and the index are still good: one question each
        assert len(served.log) == 3

    if served.ranges:  # a stray picture costs its own bytes; a walk brings the file, once
        for held in (cache / "shards").glob("*.tar"):
            held.unlink()
        again = data.open_source(served.url + "/s-{0..2}.tar")
        served.log.clear()
        again.read([3, 43])
        assert all(sent < 3000 for _, sent in served.log)
        again.read(range(40))
        again.read(range(40))
        assert sum(sent > 3000 for _, sent in served.log) == 1


def test_what_the_web_refuses_is_told_and_a_busy_server_asked_again(served):
    refused(lambda: data.open_source(served.url + "/none.tar"), served.url, "none.tar", "404")
    served.files["/s.tar"] = archive(samples(1, 2))
    served.failures = 2
    assert values(data.open_source(served.url + "/s.tar")) == [1, 2]
    served.failures = 9
    refused(lambda: data.open_source(served.url + "/s.tar"), "s.tar", "503")


def test_a_remote_shard_that_changes_is_an_error(served, cache):
    if not served.tagged:
        return  # nobody can know
    served.files["/s.tar"] = archive((f"{i}.png", noisy(i)) for i in range(20))
    source = data.open_source(served.url + "/s.tar")
    for held in (cache / "shards").glob("*.tar"):
        held.unlink()
    served.files["/s.tar"] = archive((f"{i}.png", noisy(i)) for i in range(9, 29))
    refused(lambda: source.read([0]), "s.tar", "changed", "start again")
    refused(lambda: source.read(range(20)), "s.tar", "changed", "start again")
    assert not list((cache / "shards").glob("*.tar"))


def test_a_line_that_breaks_off_is_tried_again_and_leaves_nothing_behind(served, cache):
    if not served.tagged:
        return  # nobody can know how long it was to be
    served.files["/s.tar"] = archive((f"{i}.png", noisy(i)) for i in range(20))
    served.breaks = 2
    assert len(data.open_source(served.url + "/s.tar")) == 20
    for held in (cache / "shards").glob("*.tar"):
        held.unlink()
    source = data.open_source(served.url + "/s.tar")
    served.breaks = 9
    refused(lambda: source.read(range(20)), "s.tar", "the line broke")
    assert not list((cache / "shards").glob("*.tar"))


def test_any_file_system_of_fsspec(tmp_path):
    import fsspec

    files = fsspec.filesystem("memory")
    for part in range(3):
        files.pipe(f"/bucket/s-{part}.tar", archive(samples(*range(10 * part, 10 * part + 4))))
    files.pipe("/bucket/readme.txt", b"x")
    expected = [10 * part + i for part in range(3) for i in range(4)]
    for name in ("bucket/s-{0..2}.tar", "bucket/*.tar", "bucket/"):
        source = data.open_source(f"memory://{name}")
        assert (values(source), source.blocks) == (expected, (4, 4, 4))
    refused(lambda: data.open_source("memory://bucket/none.tar"), "none.tar", "cannot be read")
    refused(lambda: data.open_source("nothing://bucket/a.tar"), "nothing://", "cannot be reached")
    refused(lambda: data.open_source("memory://empty/"), "memory://empty/", "found none")
    files.rm("/bucket", recursive=True)


def test_the_shelf_is_bounded(tmp_path, cache, monkeypatch):
    import fsspec

    files = fsspec.filesystem("memory")
    contents = [
        archive([(f"{i}.png", noisy(i)) for i in range(20 * p, 20 * p + 20)]) for p in range(6)
    ]
    for part, content in enumerate(contents):
        files.pipe(f"/shelf/s-{part}.tar", content)
    monkeypatch.setattr(shelf, "LIMIT", 2 * len(contents[0]))
    monkeypatch.setattr(parallel, "WORKERS", 1)  # what is just being brought is beside it
    source = data.open_source("memory://shelf/")

    def held():
        return sum(file.stat().st_size for file in (cache / "shards").glob("*.tar"))

    assert held() <= shelf.LIMIT
    for record in itertools.islice(data.batches(source, 30), 8):
        assert record["image"].shape == (30, 3, 16, 16)
        assert held() <= shelf.LIMIT
    files.rm("/shelf", recursive=True)


# -- order ----------------------------------------------------------------------------------------


def test_training_walks_a_few_shards_at_a_time(tmp_path, monkeypatch):
    for part in range(24):
        names = samples(*range(10 * part, 10 * part + 10), label=False)
        shard(tmp_path / f"in/{part:02}.tar", names)
    source = data.open_source(tmp_path / "in")
    train, held_out = data.split(source)
    assert sum(train.blocks) == len(train)
    assert len(held_out) == 12
    seen, windows = [], []
    opened = shelf.LocalFile.read
    monkeypatch.setattr(
        shelf.LocalFile,
        "read",
        lambda self, *given: seen.append(self.name) or opened(self, *given),
    )
    with contextlib.closing(data.batches(train, 38, seed=1)) as stream:
        row = []
        for record in itertools.islice(stream, len(train) // 38):
            row += record["index"].tolist()
            windows.append(len(set(seen)))
            seen.clear()
    assert sorted(row) == sorted(set(row))
    assert max(windows) <= 2 * WINDOW
    assert torch.equal(held_out.read([0])["image"], source.read([held_out.indices[0]])["image"])
