"""What counts neighbours, and the kernel distance: known means, known intervals, known ends."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError

from hush.errors import UserError
from hush.evaluation import expected_coverage, frechet, kernel_distance, manifolds
from hush.evaluation.bootstrap import about, halves

torch.set_num_threads(1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_halves_spread_a_mean_as_much_as_the_mean_itself_spreads():
    x = normal(400)
    drawn = halves(lambda i: x[i].mean().reshape(1), [400], resamples=4000).squeeze(1)
    error = x.std().item() / 20.0
    assert drawn.mean().item() == pytest.approx(x.mean().item(), abs=0.004)
    assert drawn.std().item() == pytest.approx(error, rel=0.05)
    low, high = about(1.0, drawn)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.06)
    assert about(0.99, drawn, (0.0, 1.0))[1] == 1.0


def test_intervals_of_halves_hold_what_they_measure():
    """A precision, a coverage and a distance of known mean: 95 % of the intervals should hold it,
    and 33 or more of 40 do so with probability .998."""
    held = {"density": 0, "coverage": 0, "kernel": 0}
    for seed in range(40):
        a, b, c = (normal(120, 3, seed=3 * seed + part) for part in range(3))
        found = manifolds(a, b, c)
        for name in ("density", "coverage"):
            low, high = found[name].interval
            held[name] += low <= found[name].floor <= high
        low, high = kernel_distance(a, 0.8 * b + 0.5).interval
        held["kernel"] += low <= gaussian_kernel_distance(3, 0.5, 0.64) <= high
    assert min(held.values()) >= 33


@pytest.mark.parametrize(("real", "fake"), [(60, 60), (60, 150), (150, 60)])
def test_equal_laws_have_the_stated_density_and_coverage(real, fake):
    """Means over many draws, whatever the law and the numbers of records."""
    rows = []
    for seed in range(150):
        a, b = normal(real, 2, seed=2 * seed) ** 3, normal(fake, 2, seed=2 * seed + 1) ** 3
        found = manifolds_alone(a, b)
        rows.append([found["density"], found["coverage"]])
    rows = torch.tensor(rows)
    errors = rows.std(0) / len(rows) ** 0.5
    wanted = torch.tensor([1.0, expected_coverage(real, fake)])
    assert ((rows.mean(0) - wanted).abs() < 4.0 * errors).all()
    assert errors.max() < 0.03


def manifolds_alone(real, fake):
    """The values, without the halves."""
    from hush.evaluation.manifolds import NAMES, _apart, _counted

    return dict(zip(NAMES, _counted(*_apart(real, fake), 5).tolist(), strict=True))


def test_expected_coverage_is_the_chance_of_an_order():
    """Brute force: of n - 1 real and m fake in any order, the first k are not all real."""
    from itertools import permutations

    others = "rrr" + "ff"
    orders = list(permutations(others))
    covered = sum("f" in order[:2] for order in orders) / len(orders)
    assert expected_coverage(4, 2, k=2) == pytest.approx(covered)


def test_laws_apart_have_nothing_of_each_other():
    a, b = normal(100, 4, seed=1), 100.0 + normal(100, 4, seed=2)
    found = manifolds(a, b, normal(100, 4, seed=3))
    for one in found.values():
        assert (one.value, one.interval) == (0.0, (0.0, 0.0))
        assert one.floor > 0.9


@pytest.mark.parametrize("kept", [0.25, 0.6])
def test_a_mode_left_out_takes_its_share_of_recall_and_coverage(kept):
    """Two modes far apart; samples of the first alone, as like it as can be."""
    modes = torch.tensor([[0.0, 0.0], [1000.0, 0.0]], dtype=torch.float64)
    first = int(400 * kept)
    place = modes[(torch.arange(400) >= first).long()]
    real, other = (normal(400, 2, seed=seed) + place for seed in (4, 6))
    fake = normal(400, 2, seed=5)
    found = manifolds(real, fake, other)
    alone = manifolds_alone(real[:first], fake)
    assert found["recall"].value == pytest.approx(kept * alone["recall"])
    assert found["coverage"].value == pytest.approx(kept * alone["coverage"])
    assert alone["coverage"] == pytest.approx(expected_coverage(first, 400), abs=0.02)
    assert found["precision"].value > 0.95
    low, high = found["recall"].interval
    assert low < kept * alone["recall"] < high < found["recall"].floor


def test_the_samples_themselves_are_perfect():
    x = normal(50, 3)
    found = manifolds(x, x, x)
    assert all(found[name].value == 1.0 for name in ("precision", "recall", "coverage"))


def gaussian_kernel_distance(size, mean, variance):
    """MMD² of N(0, I) and N(mean, variance I) with the cubic kernel: E s + of the moments of
    s = x·y/d, 3 E s + 3 E s² + E s³, between and within."""

    def moments(m, v):
        first = torch.full((size,), float(m))
        second = v * torch.eye(size) + torch.outer(first, first)
        eye = v * torch.eye(size)
        third = torch.einsum("i,j,k->ijk", first, first, first)
        third = (
            third + torch.einsum("i,jk->ijk", first, eye) + torch.einsum("j,ik->ijk", first, eye)
        )
        third = third + torch.einsum("k,ij->ijk", first, eye)
        return first, second, third

    def kernel(p, q):
        rows = zip((3, 3, 1), p, q, (1, 2, 3), strict=True)
        return 1.0 + sum(float(share * (a * b).sum()) / size**power for share, a, b, power in rows)

    p, q = moments(0.0, 1.0), moments(mean, variance)
    return kernel(p, p) + kernel(q, q) - 2.0 * kernel(p, q)


def test_the_kernel_distance_of_two_gaussians_is_the_closed_form_without_bias():
    wanted = gaussian_kernel_distance(3, 0.5, 0.64)
    assert wanted > 0.5
    many = [
        kernel_distance(normal(30, 3, seed=2 * s), 0.5 + 0.8 * normal(50, 3, seed=2 * s + 1)).value
        for s in range(50)
    ]
    many = torch.tensor(many)
    assert abs(many.mean() - wanted) < 4.0 * many.std() / math.sqrt(len(many))


def test_the_kernel_distance_of_equal_laws_is_around_nothing():
    each = [
        kernel_distance(normal(40, 3, seed=2 * s), normal(60, 3, seed=2 * s + 1)) for s in range(60)
    ]
    values = torch.tensor([one.value for one in each])
    assert abs(values.mean()) < 4.0 * values.std() / 60**0.5
    assert sum(one.interval[0] <= 0.0 <= one.interval[1] for one in each) >= 55


@pytest.mark.parametrize("count", [12, 30])
def test_frechet_is_the_same_by_either_way(count):
    """Fewer samples than dimensions go by another product; a column of nothing changes the way."""
    a, b = normal(count, 20, seed=5), 0.5 + 2.0 * normal(count + 7, 20, seed=6)
    wide = [torch.cat((x, torch.zeros(len(x), 60).double()), 1) for x in (a, b)]
    assert frechet(*wide) == pytest.approx(frechet(a, b), rel=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: manifolds(torch.zeros(10, 3), torch.zeros(50, 3), torch.zeros(50, 3)),
        lambda: manifolds(torch.zeros(50, 3), torch.zeros(50, 4), torch.zeros(50, 3)),
        lambda: kernel_distance(torch.zeros(3, 3), torch.zeros(50, 3)),
    ],
)
def test_what_does_not_fit_is_said(call):
    with pytest.raises((UserError, TypeCheckError), match=r"[Ee]xpected"):
        call()
