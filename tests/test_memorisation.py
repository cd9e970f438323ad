"""Samples that are the training records, that are not, and that are now and then."""

import math
import sys

import pytest
import torch

from hush.data import InMemory
from hush.errors import UserError
from hush.evaluation import memorisation, nearest_of
from hush.evaluation.memorisation import among

torch.set_num_threads(1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(samples, train=300, held_out=200, seed=0):
    """Memorisation of `samples(train)` where all is of one law."""
    learnt, unseen = normal(train, 6, seed=seed), normal(held_out, 6, seed=seed + 10_000)
    ours = samples(learnt)
    apart = [torch.cdist(x, learnt).min(1).values for x in (ours, unseen)]
    return memorisation(*apart)


def test_a_model_that_returns_training_records_is_caught():
    found = drawn(lambda learnt: learnt[:150])
    assert found.share == 1.0
    assert found.nearest_sample == 0.0
    assert found.much
    assert str(found).startswith("Memorised: 100.0 % of the samples")
    # All samples are nearer than all of 200: U = 0, its mean 15,000.
    assert found.statistic == pytest.approx(-15_000 / math.sqrt(30_000 * 351 / 12))
    assert found.chance < 1e-50


def test_a_model_that_draws_afresh_is_not_and_its_statistic_is_standard_normal():
    """Over 120 draws: C_T has mean 0 and deviation 1 (given the training records a little less is
    shared), the share its expectation, and the chance is not small more often than it says."""
    found = [drawn(lambda _, s=s: normal(150, 6, seed=s + 777), seed=s) for s in range(120)]
    statistic = torch.tensor([one.statistic for one in found])
    assert abs(statistic.mean()) < 4.0 / 120**0.5
    assert 0.8 < statistic.std() < 1.2
    share = torch.tensor([one.share for one in found])
    assert abs(share.mean() - 2 / 201) < 4.0 * share.std() / 120**0.5
    assert found[0].expected == pytest.approx(2 / 201)
    assert sum(one.chance < 0.05 for one in found) <= 13  # of 120 at .05: with probability .99
    assert not any(one.found for one in found)
    assert str(found[0]).startswith("No sign of memorising")


def test_a_few_copies_among_many_are_some():
    found = drawn(lambda learnt: torch.cat((learnt[:15], normal(135, 6, seed=5))))
    assert found.found
    assert not found.much
    low, high = found.interval
    assert low < 0.1 < high
    assert str(found).startswith("Some samples are copies")


def test_the_interval_is_clopper_and_pearsons():
    """Of 0 near among n the upper end is 1 - .025^(1/n)."""
    found = memorisation(torch.full((40,), 9.0), torch.arange(50.0))
    far = memorisation(torch.full((40,), 99.0), torch.arange(50.0))
    assert found.share == far.share == 0.0
    assert far.interval == (0.0, pytest.approx(1.0 - 0.025 ** (1 / 40)))


def test_records_are_as_near_to_each_other_as_fresh_ones_are():
    x = normal(40, 2, 3)
    apart = torch.cdist(x.flatten(1), x.flatten(1)) + torch.eye(40) * 1e9
    torch.testing.assert_close(among(x), apart.min(1).values)


def test_a_source_is_searched_in_parts(monkeypatch):
    images = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(sys.modules["hush.evaluation.memorisation"], "_BLOCK", 7)
    apart, which = nearest_of(images[[3, 44, 20]] + 1e-3, InMemory(images))
    assert which.tolist() == [3, 44, 20]
    torch.testing.assert_close(apart, torch.full((3,), 4e-3), rtol=1e-2, atol=0.0)


def test_few_records_are_refused():
    with pytest.raises(UserError, match="expected 10 or more"):
        memorisation(torch.zeros(9), torch.zeros(50))
