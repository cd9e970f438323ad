"""Laws of the random streams: known answers, independence, and the batch that changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hush.rng import Streams, derive, philox

ONES = 0xFFFFFFFF
VECTORS = {  # the known-answer file of Random123, philox4x32 with 10 rounds
    "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    "digits of π": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}


def reference(counter, key):
    """Philox4x32-10 in Python's unbounded integers, from the paper (Salmon et al. 2011, fig. 2)."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        high, low = divmod(a * 0xD2511F53, 2**32)
        top, bottom = divmod(c * 0xCD9E8D57, 2**32)
        a, b, c, d = top ^ b ^ k, bottom, high ^ d ^ m, low
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return a, b, c, d


def words(counter, key):
    return tuple(word.item() for word in philox(tuple(map(torch.tensor, counter)), key))


@pytest.mark.parametrize(("counter", "key", "answer"), VECTORS.values(), ids=VECTORS)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert words(counter, key) == answer == reference(counter, key)


word = st.integers(0, ONES)


@settings(max_examples=50, deadline=None)
@given(st.tuples(word, word, word, word), st.tuples(word, word))
def test_philox_equals_the_paper_in_unbounded_integers(counter, key):
    assert words(counter, key) == reference(counter, key)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
@pytest.mark.parametrize("event", [(), (1,), (3,), (2, 5)])
def test_a_sample_is_the_same_in_any_batch(draw, event):
    whole = getattr(Streams.of(7, 9), draw)(event)
    for start, count in ((0, 1), (3, 4), (8, 1)):
        alone = getattr(Streams.of(7, count, start), draw)(event)
        assert torch.equal(alone, whole[start : start + count])
        assert torch.equal(getattr(Streams.of(7, 9)[start:][:count], draw)(event), alone)


def test_a_longer_event_begins_with_the_shorter_one():
    rng = Streams.of(1, 3)
    for draw in (rng.uniform, rng.normal):
        assert torch.equal(draw((11,))[:, :6], draw((6,)))
        assert torch.equal(draw((4, 5)).flatten(1), draw((20,)))


def test_a_value_always_gives_the_same_numbers_and_next_gives_others():
    rng = Streams.of(1, 4)
    assert torch.equal(rng.normal((5,)), rng.normal((5,)))
    assert torch.equal(rng.next(3).normal((5,)), rng.next().next().next().normal((5,)))
    assert not torch.equal(rng.normal((5,)), rng.next().normal((5,)))


def test_streams_far_beyond_32_bits_differ():
    far = [Streams.of(1, 2, start).normal((8,)) for start in (0, 2**32, 2**40)]
    assert len({tuple(x.flatten().tolist()) for x in far}) == 3
    seeds = [Streams.of(seed, 1).normal((8,)) for seed in (0, 2**32, 2**33)]
    assert len({tuple(x.flatten().tolist()) for x in seeds}) == 3


def test_normal_and_uniform_numbers_follow_their_laws():
    rng = Streams.of(3, 4000)
    normal = rng.normal((50,), torch.float64).flatten().numpy()
    uniform = rng.next().uniform((50,)).flatten().numpy()
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(Streams.of(3, 20000).normal((5,)).flatten().numpy(), "norm").pvalue > 1e-3


def test_moments_of_the_normal_are_right_to_four_standard_errors():
    x = Streams.of(5, 2000).normal((100,), torch.float64)
    count = x.numel()
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((x**power).mean().item() - mean) < 4 * (variance / count) ** 0.5


def test_uniform_numbers_are_strictly_inside_0_and_1():
    x = Streams.of(0, 1000).uniform((1000,))
    assert x.dtype == torch.float64
    assert 0.0 < x.min() < 1e-5
    assert 1.0 - 1e-5 < x.max() < 1.0


def correlation(x, y):
    return np.corrcoef(x.flatten().numpy(), y.flatten().numpy())[0, 1]


def test_draws_samples_elements_seeds_and_purposes_are_uncorrelated():
    rng, count = Streams.of(2, 1000), 1000 * 40
    x = rng.normal((40,), torch.float64)
    others = {
        "next draw": rng.next().normal((40,), torch.float64),
        "next sample": Streams.of(2, 1000, 1).normal((40,), torch.float64),
        "next seed": Streams.of(3, 1000).normal((40,), torch.float64),
        "next element": x.roll(1, 1),
        "next pair": x.roll(2, 1),
        "purpose": Streams.of(derive(2, "samples"), 1000).normal((40,), torch.float64),
    }
    for name, y in others.items():
        for f in (lambda z: z, torch.square, torch.abs):
            assert abs(correlation(f(x), f(y))) < 4 * count**-0.5, name


def test_purposes_have_seeds_of_their_own_of_64_bits():
    seeds = {derive(seed, name) for seed in range(100) for name in ("data", "noise", "samples")}
    assert len(seeds) == 300
    assert max(seeds) < 2**64
    assert np.mean([seed >> 63 for seed in seeds]) == pytest.approx(0.5, abs=0.12)
    assert derive(1, "samples") == derive(1, "samples")


def test_no_global_generator_is_touched():
    before = torch.get_rng_state()
    Streams.of(0, 10).normal((10,))
    assert torch.equal(before, torch.get_rng_state())
