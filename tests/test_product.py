"""Several kinds of state at once: laws part by part, walks, RePaint and bounds."""

import math
from dataclasses import fields

import pytest
import torch

from hush.denoisers import Denoiser
from hush.distributions import Categorical, Gaussian, Product, kl
from hush.likelihoods.bound import bound
from hush.objectives import Denoising
from hush.processes import CategoricalProcess, GaussianProcess, ProductProcess
from hush.processes.kernels import Absorbing, Uniform
from hush.rng import Streams
from hush.samplers import Ancestral, Jumps, RePaint, walk
from hush.samplers.grids import Chain
from hush.samplers.grids import Uniform as Even
from hush.schedules import Cosine, Tabulated, absorbing_betas

CHAIN = Tabulated.linear(50)
PARTS = {"place": GaussianProcess(CHAIN), "kind": CategoricalProcess(Cosine(), Uniform(2))}
PROCESS = ProductProcess(PARTS)
WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)
MEANS = torch.tensor([-1.0, 1.5], dtype=torch.float64)
DEVIATION = 0.3


class Coupled(Denoiser):
    """The exact beliefs about k ~ Cat(weights), x | k ~ N(means_k, deviation²): either part of a
    state speaks of both. The belief about x is matched in mean and variance."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def forward(self, x_t, t, cond=None):
        time = getattr(t, "time", t)
        place, kind = (self.process.parts[name] for name in ("place", "kind"))
        level = place.schedule.level(time)
        alpha, sigma = (torch.as_tensor(v).double().reshape(-1, 1, 1) for v in level[1:])
        variance = alpha**2 * DEVIATION**2 + sigma**2
        gap = x_t["place"].unsqueeze(-1) - alpha * MEANS
        logits = WEIGHTS.log() - 0.5 * gap**2 / variance
        evidence = kind.evidence(x_t["kind"], kind.schedule.level(time))
        logits = logits + evidence[..., :2].log()
        shares = logits.softmax(-1)
        means = MEANS + alpha * DEVIATION**2 / variance * gap
        mean = (shares * means).sum(-1)
        within = (DEVIATION * sigma) ** 2 / variance
        spread = (shares * (within + (means - mean.unsqueeze(-1)) ** 2)).sum(-1)
        padding = (0, kind.kernel.states - 2)
        logits = torch.nn.functional.pad(logits, padding, value=-math.inf)
        return Product({"place": Gaussian(mean, spread), "kind": Categorical(logits)})


def data(count, seed=0):
    rng = Streams.of(seed, count)
    kind = (rng.uniform((1,)) > WEIGHTS[0]).long()
    place = MEANS[kind] + DEVIATION * rng.next().normal((1,), torch.float64)
    return {"place": place, "kind": kind}


def log_prob(x):
    density = -0.5 * (x["place"] - MEANS[x["kind"]]) ** 2 / DEVIATION**2
    constant = -0.5 * math.log(math.tau * DEVIATION**2)
    return (WEIGHTS[x["kind"]].log() + density + constant)[:, 0]


def same(law, other):
    for part in fields(law):
        one, two = getattr(law, part.name), getattr(other, part.name)
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, two, rtol=0.0, atol=1e-12)
        else:
            assert one == two


@pytest.mark.parametrize("each", [False, True], ids=["shared", "per sample"])
def test_the_laws_are_those_of_the_parts_each_at_its_own_speed(each):
    x_0, s, t = data(5), 0.24, 0.62
    if each:
        s, t = (torch.full((5,), time, dtype=torch.float64) for time in (s, t))
    x_t = PROCESS.marginal(x_0, t).sample(Streams.of(1, 5))
    belief = Coupled(PROCESS)(x_t, t)
    levels = PROCESS.schedule.level(s), PROCESS.schedule.level(t)
    for at in ((s, t), levels):  # levels are of the first part's schedule
        laws = {
            "marginal": PROCESS.marginal(x_0, at[1]),
            "transition": PROCESS.transition(x_0, *at),
            "reverse": PROCESS.reverse(belief, x_t, *at),
            "seen": PROCESS.seen(x_t, at[1]),
            "certain": PROCESS.certain(x_0),
        }
        for name, part in PARTS.items():
            same(laws["marginal"].parts[name], part.marginal(x_0[name], t))
            same(laws["transition"].parts[name], part.transition(x_0[name], s, t))
            own = belief.parts[name]
            same(laws["reverse"].parts[name], part.reverse(own, x_t[name], s, t))
            same(laws["seen"].parts[name], part.seen(x_t[name], t))
            same(laws["certain"].parts[name], part.certain(x_0[name]))
    rates = [part.rate(x_0[name], belief.parts[name], x_t[name], t) for name, part in PARTS.items()]
    torch.testing.assert_close(PROCESS.rate(x_0, belief, x_t, t), sum(rates))


def test_the_rate_is_the_limit_of_the_divergence():
    x_0 = data(4)
    t = 0.61
    x_t = PROCESS.marginal(x_0, t).sample(Streams.of(1, 4))
    belief = Coupled(PROCESS)(x_t, t)
    belief = Product({**belief.parts, "place": Gaussian(belief.parts["place"].mean)})

    def cost(h):
        truth = PROCESS.reverse(PROCESS.certain(x_0), x_t, t - h, t)
        return kl(truth, PROCESS.reverse(belief, x_t, t - h, t)) / h

    h = 1e-4
    limit = 2.0 * cost(h / 2) - cost(h)
    torch.testing.assert_close(PROCESS.rate(x_0, belief, x_t, t), limit, rtol=1e-4, atol=1e-4)


def test_what_one_part_draws_does_not_move_another():
    rng = Streams.of(3, 4)
    shape = {"place": (4, 2), "kind": (4, 3)}
    wide = {"place": (4, 9), "kind": (4, 3)}
    like = torch.empty(0, dtype=torch.float64)
    narrow, broad = (PROCESS.prior(one, like).sample(rng) for one in (shape, wide))
    assert torch.equal(narrow["kind"], broad["kind"])
    for part in (slice(0, 1), slice(1, 4)):
        size = len(narrow["kind"][part])
        again = PROCESS.prior({"place": (size, 2), "kind": (size, 3)}, like).sample(rng[part])
        assert all(torch.equal(again[name], narrow[name][part]) for name in again)


def walked(sampler, grid, process=PROCESS, count=6000):
    rng = Streams.of(11, count)
    like = torch.empty(0, dtype=torch.float64)
    x = process.prior({"place": (count, 1), "kind": (count, 1)}, like).sample(rng)
    levels = grid(process.schedule)
    *_, last = walk(sampler, Coupled(process), x, levels, rng.next())
    return last.x


def test_a_walk_draws_both_parts_together():
    """What couples them is found, though each step draws them apart."""
    x = walked(Ancestral(), Chain(50))
    share = x["kind"].double().mean()
    assert abs(share - 0.7) < 0.03
    for kind in (0, 1):
        place = x["place"][x["kind"] == kind]
        assert abs(place.mean() - MEANS[kind]) < 0.06
        assert abs(place.std() - DEVIATION) < 0.1


def test_repaint_holds_one_part_and_with_repeats_the_other_follows():
    known = {"place": torch.zeros(1, 1, dtype=torch.float64), "kind": torch.tensor([[0]])}
    sampler = RePaint(known=known, mask={"kind": torch.tensor([[True]])})
    means = []
    for repeats in (1, 8):
        x = walked(sampler, Jumps(50, Even(), 5, repeats), count=1000)
        assert (x["kind"] == 0).all()
        means.append(x["place"].mean())
    free = (WEIGHTS * MEANS).sum()
    assert MEANS[0] < means[1] < means[0] - 0.3 < free - 1.0, means


def test_the_bound_of_both_is_near_the_truth_and_above_it():
    x_0 = data(4000)
    got = bound(Coupled(PROCESS), x_0, Chain(50)(CHAIN), Streams.of(5, 4000))
    gap = got.total + log_prob(x_0)
    assert -4.0 * gap.std() / 4000**0.5 < gap.mean() < 0.4


def test_a_masked_part_is_walked_and_bounded_with_a_gaussian_one():
    kind = CategoricalProcess(Tabulated(absorbing_betas(50)), Absorbing(3))
    process = ProductProcess({"place": GaussianProcess(CHAIN), "kind": kind})
    x = walked(Ancestral(), Chain(50), process, 2000)
    assert x["kind"].max() == 1
    assert abs(x["kind"].double().mean() - 0.7) < 0.05
    x_0 = data(1000)
    total = bound(Coupled(process), x_0, Chain(50)(CHAIN), Streams.of(5, 1000)).total
    assert total.isfinite().all()


def test_objectives_take_states_of_several_parts():
    x_0 = data(64)
    loss = Denoising()(Coupled(PROCESS), x_0, Streams.of(0, 64))
    assert loss.shape == (64,)
    assert loss.isfinite().all()
