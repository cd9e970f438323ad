"""Which record is read when: a pure function, whatever reads ahead."""

import contextlib
import errno
import itertools
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import noise, refused, write

import hush.data as data
from hush.data import parallel
from hush.data.batches import WINDOW
from hush.errors import UserError


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 1000), st.integers(0, 2**63))
def test_order_is_a_permutation_that_is_its_arguments(count, epoch, seed):
    first = data.order(count, epoch, seed)
    assert sorted(first.tolist()) == list(range(count))
    first += 1  # a caller's copy
    assert sorted(data.order(count, epoch, seed).tolist()) == list(range(count))


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(0, 5), st.integers(0, 9))
def test_blocks_are_shuffled_and_a_few_at_a_time_mixed(blocks, epoch, seed):
    count, blocks = sum(blocks), tuple(blocks)
    row = data.order(count, epoch, seed, blocks).tolist()
    assert sorted(row) == list(range(count))
    assert row == data.order(count, epoch, seed, blocks).tolist()
    block_of = [block for block, size in enumerate(blocks) for _ in range(size)]
    met = []  # each window of blocks is finished before the next begins
    while row:
        window = set(list(dict.fromkeys(block_of[item] for item in row))[:WINDOW])
        size = sum(blocks[block] for block in window)
        assert {block_of[item] for item in row[:size]} == window
        met, row = met + sorted(window), row[size:]
    assert sorted(met) == list(range(len(blocks)))


def test_the_order_of_blocks_and_within_them_differs_between_epochs():
    blocks = (10,) * 12
    rows = [data.order(120, epoch, 0, blocks).tolist() for epoch in range(6)]
    assert len({tuple(row) for row in rows}) == 6
    assert len({frozenset(item // 10 for item in row[:40]) for row in rows}) > 3
    # Within a window records are mixed: a run of neighbours is as short as chance makes it.
    follows = sum(b == a + 1 for row in rows for a, b in itertools.pairwise(row))
    assert follows < 6 * 120 / 20


@hypothesis_settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.booleans(),
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.integers(0, 5),
)
def test_any_batch_sizes_give_the_same_row_and_every_epoch_each_item_once(sizes, whole, cuts, seed):
    count, blocks = sum(sizes), () if whole else tuple(sizes)
    edges = [0, *itertools.accumulate(cuts)]
    parts = [data.indices_at(a, b, count, seed, blocks) for a, b in itertools.pairwise(edges)]
    row = list(itertools.chain(*(indices for indices, _ in parts)))
    draws = list(itertools.chain(*(draws for _, draws in parts)))
    assert (row, draws) == data.indices_at(0, edges[-1], count, seed, blocks)
    assert len(set(draws)) == len(draws) == len(row) == edges[-1]
    for epoch in range(len(row) // count):
        once = row[epoch * count : (epoch + 1) * count]
        assert once == data.order(count, epoch, seed, blocks).tolist()


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.integers(0, 40), st.integers(0, 2)
)
def test_the_shares_of_all_processes_together_are_the_whole(count, share, world, start, workers):
    source = data.InMemory(torch.rand(count, 1, 2, 2), torch.arange(count))
    batch = share * world
    with contextlib.closing(data.batches(source, batch, 3, start)) as stream:
        whole = list(itertools.islice(stream, 3))
    shares = []
    for rank in range(world):
        stream = data.batches(source, batch, 3, start, workers, rank, world)
        with contextlib.closing(stream):
            shares.append(list(itertools.islice(stream, 3)))
    for expected, *parts in zip(whole, *shares, strict=True):
        for key in expected:
            assert torch.equal(expected[key], torch.cat([part[key] for part in parts]))


def test_a_changed_batch_goes_on_where_the_run_stood(photos):
    """Three batches of 4, then of 6 from position 12 on, are the row of 2s."""
    row = [x["index"] for x in itertools.islice(data.batches(photos, 2, seed=9), 12)]
    fours = [x["index"] for x in itertools.islice(data.batches(photos, 4, seed=9), 3)]
    sixes = [x["index"] for x in itertools.islice(data.batches(photos, 6, seed=9, start=12), 2)]
    assert torch.equal(torch.cat(row), torch.cat(fours + sixes))


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
        stream = data.batches(photos, batch, seed=4, start=start * batch, workers=workers)
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
    step = next(k for k in range(10) if data.indices_at(k, k + 1, 10, 0)[0] == [5])
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


REASONS = {
    "out of memory": (MemoryError("no room"), "no room"),
    "a bad disk": (OSError(errno.EIO, "Input/output error", "a.png"), "input/output error (a.png)"),
    "threads": (RuntimeError("can't start new thread"), "can't start new thread"),
    "wrapped": (ValueError(), "ValueError"),
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("workers", [0, 2])
def test_whatever_reading_raises_is_told_at_its_own_batch(reason, workers):
    raised, said = REASONS[reason]

    class Failing(data.InMemory):
        def read(self, indices, draws=None):
            if 5 in indices:
                raise raised
            return super().read(indices, draws)

    source = Failing(torch.zeros(10, 1, 2, 2), name="photos")
    step = data.indices_at(0, 10, 10, 0)[0].index(5)
    stream = data.batches(source, 1, workers=workers)
    assert len(list(itertools.islice(stream, step))) == step
    refused(lambda: next(stream), "photos", said, f"samples {step} to {step}")
    assert not reading_threads()


def test_batches_are_checked_before_the_first_step():
    refused(lambda: data.batches(data.digits(), 9, world=2), "batch=9", "2 processes")
    refused(lambda: data.batches(data.digits(), 8, rank=2, world=2), "rank=2", "world=2")
    refused(lambda: data.batches(data.digits(), 8, rank=-1, world=2), "rank=-1")
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
    monkeypatch.setattr(parallel, "WORKERS", 1)
    one = photos.read(range(7), range(7))
    monkeypatch.setattr(parallel, "WORKERS", 5)
    many = photos.read(range(7), range(7))
    assert torch.equal(one["image"], many["image"])
    assert torch.equal(one["label"], many["label"])


# -- digests --------------------------------------------------------------------------------------


def test_the_digest_of_memory_is_its_bytes_and_labels():
    images, labels = torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 1, 0])
    source = data.InMemory(images, labels, ["a", "b"])
    same = data.InMemory(images.clone(), labels.clone(), ["a", "b"], name="moved")
    assert source.digest() == same.digest()
    assert len(source.digest()) == 8
    brighter = images.clone()
    brighter[2, 0, 1, 1] += 1e-7
    others = [
        data.InMemory(brighter, labels, ["a", "b"]),
        data.InMemory(images, labels.flip(0) * 0, ["a", "b"]),
        data.InMemory(images, labels, ["a", "c"]),
        data.InMemory(images, labels, ["ab", ""]),
        data.InMemory(images.reshape(4, 1, 4, 1), labels, ["a", "b"]),
        data.InMemory(images),
        data.Subset(source, [0, 1, 2]),
        data.Subset(source, [0, 1, 3]),
    ]
    assert len({source.digest(), *(other.digest() for other in others)}) == 9


def test_the_digest_of_a_folder_is_its_names_and_labels(tmp_path, monkeypatch):
    def folder(root, *places):
        for i, place in enumerate(places):
            write(tmp_path / root / place, noise(4, 4, seed=i))
        return data.images(tmp_path / root)

    source = folder("one", "cat/1.png", "dog/2.png")
    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.open", lambda *a, **k: pytest.fail("opened"))
        first = source.digest()
    assert first == folder("moved", "cat/1.png", "dog/2.png").digest()
    others = [
        folder("two", "cat/1.png", "dog/3.png"),
        folder("three", "cat/1.png", "cow/2.png"),
        folder("four", "cat/1.png", "dog/2.png", "dog/3.png"),
        data.images(tmp_path / "one", labels=False),
    ]
    assert len({first, *(other.digest() for other in others)}) == 5


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.data())
def test_a_subset_carries_its_blocks(sizes, draw):
    source = data.InMemory(torch.zeros(sum(sizes), 1, 1, 1))
    source.blocks = tuple(sizes)
    items = draw.draw(st.lists(st.integers(0, len(source) - 1), min_size=1, unique=True))
    subset = data.Subset(source, sorted(items))
    assert sum(subset.blocks) == len(items)
    block_of = [block for block, size in enumerate(sizes) for _ in range(size)]
    rest = iter(sorted(items))
    held = [{block_of[next(rest)] for _ in range(size)} for size in subset.blocks]
    assert all(len(block) == 1 for block in held)
    assert len(set.union(*held)) == len(held)
    ordered = [block_of[item] for item in items]
    assert bool(data.Subset(source, items).blocks) == (ordered == sorted(ordered))
