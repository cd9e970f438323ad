"""Which record is read when: a pure function, whatever reads ahead."""

import itertools
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import noise, refused, write

import hush.data as data
from hush.data import encoded
from hush.errors import UserError


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
