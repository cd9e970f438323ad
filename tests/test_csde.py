"""CSDE: paths have the law of the equation given what is known, cost what they should, and no part
of the network is told what is not for it."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pandas
import pytest
import torch
from torch import nn
from windows import windows

from hush import systems
from hush.data import series
from hush.denoisers import Controlled
from hush.errors import UserError
from hush.evaluation.gaussian_process import gaussian_process_posterior
from hush.evaluation.held_out import held_out_losses
from hush.networks.controls import Steered, own
from hush.networks.series import known
from hush.networks.sides import steps
from hush.rng import Streams
from hush.tasks.forecast import forecast
from hush.tasks.impute import impute

THETA, SIGMA = 0.8, 1.3  # dX = -θ X dt + σ dW


class Exact(nn.Module):
    """An equation that is known, and its h: (x, y, r, Δ) -> (pull, stiffness) for a next value y
    that is r away from where a step of length Δ arrives; without one, nothing bends it."""

    earlier, later, features = 1, 1, 0

    def __init__(self, drift, diffusion, h=None, rate=0.0):
        super().__init__()
        self.rate = rate
        self.blank = nn.Parameter(torch.zeros(1))
        self.drift, self.diffusion, self.h = drift, diffusion, h

    def forward(self, steps):
        side = (part[:, 0] for part in steps.later)
        for value, gap, there, length in zip(*side, steps.length, strict=True):
            yield partial(self.at, value, gap, there, length)

    def at(self, value, gap, there, length, x):
        pull = stiffness = torch.zeros_like(x)
        if self.h:
            found = self.h(x, value, gap.clamp(min=1e-9), length)
            pull, stiffness = (torch.where(there, part, 0.0) for part in found)
        rate = torch.full_like(x, self.rate)
        return Steered(self.drift(x), self.diffusion(x), rate, pull, stiffness)


def bridge(x, y, gap, length):
    """Of dX = -θ X dt + σ dW: N(y; x e^{-θ r}, σ² (1 - e^{-2θ r})/(2θ)) as a function of x."""
    shrunk = torch.exp(-THETA * gap)
    stiffness = 2.0 * THETA * shrunk.square() / (1.0 - shrunk.square())
    return stiffness * (y / shrunk - x), stiffness


def chain(x, y, gap, length):
    """The same of the chain of its Euler-Maruyama steps, r/Δ of them."""
    length = length.clamp(min=1e-6)
    shrunk = (1.0 - THETA * length) ** (gap / length)
    one = (1.0 - THETA * length).square()
    stiffness = shrunk.square() * (1.0 - one) / (1.0 - shrunk.square()) / length
    return stiffness * (y / shrunk - x), stiffness


def brownian(x, y, gap, length):
    return (y - x) / gap, 1.0 / gap


def ornstein_uhlenbeck(h=None, substeps=16, rate=0.0):
    network = Exact(lambda x: -THETA * x, lambda x: SIGMA + 0.0 * x, h, rate)
    return Controlled(network, 1, substeps)


def told(values, time=None):
    """A condition of one window, for whichever batch."""
    values = torch.as_tensor(values, dtype=torch.float64).reshape(1, -1, np.shape(values)[-1])
    time = (
        torch.arange(values.shape[2]).double()
        if time is None
        else torch.tensor(time, dtype=torch.float64)
    )
    return {"series": values, "time": time.unsqueeze(0)}


def walked(denoiser, cond, count, seed=0):
    """(Path, noise) of so many draws given one condition."""
    cond = {key: part.expand(count, *part.shape[1:]) for key, part in cond.items()}
    like = torch.empty(0, dtype=torch.float64)
    noise = denoiser.process.prior(tuple(cond["series"].shape), like).sample(
        Streams.of(seed, count)
    )
    seen = denoiser.told(cond, noise)
    return denoiser.double().path(noise, seen, seen), noise


nan = math.nan


# -- the law of the equation ----------------------------------------------------------------------


def test_bridges_of_the_exact_h_have_the_law_of_the_exact_bridge():
    """Uneven stamps, known at both ends and in the middle, hidden before and after them too."""
    time = [0.0, 0.4, 1.1, 2.3, 2.6, 3.5, 4.2]
    given = [nan, 1.0, nan, nan, -0.5, nan, nan]
    denoiser, count = ornstein_uhlenbeck(bridge, 2, -THETA), 10_000
    denoiser.log_variance.data.fill_(math.log(SIGMA**2 / (2.0 * THETA)))
    with torch.no_grad():
        found = walked(denoiser, told(given, time), count)[0].values[:, 0]
    stamps, given = torch.tensor(time).double(), torch.tensor(given).double()
    apart = (stamps.unsqueeze(1) - stamps).abs()
    covariance = SIGMA**2 / (2.0 * THETA) * torch.exp(-THETA * apart)
    mean, law = gaussian_process_posterior(covariance, given.nan_to_num(), ~given.isnan())
    error = (law.diagonal().clamp(min=0.0) / count).sqrt()
    assert ((found.mean(0) - mean).abs() <= 4.0 * error + 1e-6).all()
    torch.testing.assert_close(found.T.cov(), law, atol=0.025, rtol=0.03)
    assert torch.equal(found[0, [1, 4]], torch.tensor([1.0, -0.5]).double())


def test_a_forecast_is_the_predictive_law():
    with torch.no_grad():
        denoiser = ornstein_uhlenbeck(bridge, 4, -THETA)
        path = walked(denoiser, told([2.0, nan, nan]), 20_000)[0]
    for k in (1, 2):
        shrunk = math.exp(-THETA * k)
        variance = SIGMA**2 * (1.0 - shrunk**2) / (2.0 * THETA)
        assert abs(path.values[:, 0, k].mean() - 2.0 * shrunk) < 0.03
        assert abs(path.values[:, 0, k].var() / variance - 1.0) < 0.05
    assert not path.running.any()  # nothing lies ahead that would bend it


def minus_log_density(values, time):
    """Of the exact process at uneven stamps, its first value N(0, 1)."""
    total = 0.5 * (values[0] ** 2 + math.log(math.tau))
    for k in range(len(time) - 1):
        shrunk = math.exp(-THETA * (time[k + 1] - time[k]))
        variance = SIGMA**2 * (1.0 - shrunk**2) / (2.0 * THETA)
        miss = values[k + 1] - shrunk * values[k]
        total += 0.5 * (miss**2 / variance + math.log(math.tau * variance))
    return total


@pytest.mark.parametrize("substeps", [1, 3])
def test_with_its_own_rate_the_process_is_exact_at_any_number_of_steps(substeps):
    """Its transitions, so that what is known costs its exact density; its bridges too."""
    values, time = [0.3, -1.0, 0.4, 2.0], [0.0, 0.5, 1.7, 2.0]
    denoiser = ornstein_uhlenbeck(bridge, substeps, -THETA)
    cost = walked(denoiser, told(values, time), 20_000)[0].cost
    error = 4.0 * (cost.var() / 20_000).sqrt().item() + 1e-9
    assert abs(cost.mean().item() - minus_log_density(values, time)) < error
    given, kept = [0.3, nan, nan, 2.0], [0, 3]
    cost = walked(denoiser, told(given, time), 20_000)[0].cost
    error = 4.0 * (cost.var() / 20_000).sqrt().item() + 1e-9
    wanted = minus_log_density([values[k] for k in kept], [time[k] for k in kept])
    assert abs(cost.mean().item() - wanted) < error


@pytest.mark.parametrize("rate", [-3.0, -1e-3, 1e-9, 0.02, 0.9])
def test_a_step_is_that_of_a_linear_drift(rate):
    network = Exact(lambda x: 0.7 + 0.0 * x, lambda x: SIGMA + 0.0 * x, None, rate)
    with torch.no_grad():
        path, noise = walked(Controlled(network, 1, 1), told([1.0, nan]), 3)
    mean = 1.0 + 0.7 * math.expm1(rate) / rate
    deviation = SIGMA * math.sqrt(math.expm1(2.0 * rate) / (2.0 * rate))
    wanted = mean + deviation * noise[:, 0, 1]
    torch.testing.assert_close(path.values[:, 0, 1], wanted, rtol=1e-6, atol=1e-6)


def test_the_steps_are_of_order_one_half_where_noise_multiplies():
    """X = x exp((μ - σ²/2) t + σ W) of dX = μ X dt + σ X dW, driven by the same noise."""
    mu, sigma, count, fine = 0.5, 0.8, 2000, 256
    noise = Streams.of(1, count).normal((1, fine), torch.float64)
    exact = torch.exp(mu - sigma**2 / 2.0 + sigma * noise.sum(2) * fine**-0.5)
    errors = []
    for substeps in (16, 64, 256):
        drawn = noise.unflatten(2, (substeps, -1)).sum(3) * (substeps / fine) ** 0.5
        network = Exact(lambda x: mu * x, lambda x: sigma * x)
        denoiser = Controlled(network, 1, substeps).double()
        cond = {key: part.expand(count, *part.shape[1:]) for key, part in told([1.0, nan]).items()}
        drawn = torch.cat((drawn[..., :1], drawn), 2)
        seen = denoiser.told(cond, drawn)
        with torch.no_grad():
            path = denoiser.path(drawn, seen, seen)
        errors.append((path.values[:, :, 1] - exact).square().mean().sqrt().log2().item())
    orders = [(one - two) / 2.0 for one, two in pairwise(errors)]
    assert all(0.4 < order < 0.6 for order in orders), orders


def test_the_steps_are_of_order_one_where_nothing_is_drawn():
    errors = []
    for substeps in (16, 32, 64):
        cond, denoiser = told([1.0, nan]), ornstein_uhlenbeck(None, substeps).double()
        noise = torch.zeros(1, 1, 1 + substeps).double()
        seen = denoiser.told(cond, noise)
        found = denoiser.path(noise, seen, seen).values[0, 0, 1].item()
        errors.append(abs(found - math.exp(-THETA)))
    assert all(1.95 < one / two < 2.1 for one, two in pairwise(errors))


# -- what paths cost ------------------------------------------------------------------------------


def test_the_running_cost_is_the_divergence_of_path_measures():
    """KL of W + v t from W is v² T/(2 σ²), and that of dX = -θ X dt + σ dW from σ W, with x known,
    θ²/(2 σ²) ∫ E X² dt. A bend without stiffness is a drift."""

    def paths(pull, count):
        h = lambda x, y, gap, length: (pull(x), torch.zeros_like(x))  # noqa: E731
        network = Exact(torch.zeros_like, lambda x: SIGMA + 0.0 * x, h)
        one = Controlled(network, 1, 64)
        network.at = lambda value, gap, there, length, x: Exact.at(  # bent all the way
            network, value, gap, torch.ones_like(there), length, x
        )
        with torch.no_grad():
            return walked(one, told([1.5, nan, nan]), count)[0]

    path = paths(lambda x: 0.7 + 0.0 * x, 8)
    wanted = torch.full((8,), 0.7**2 * 2.0 / (2.0 * SIGMA**2)).double()
    torch.testing.assert_close(path.running, wanted)
    path = paths(lambda x: -THETA * x, 8000)
    rest, shrunk = SIGMA**2 / (2.0 * THETA), 1.0 - math.exp(-2.0 * THETA * 2.0)
    squares = rest * 2.0 + (1.5**2 - rest) * shrunk / (2.0 * THETA)
    wanted = THETA**2 / (2.0 * SIGMA**2) * squares
    assert abs(path.running.mean().item() / wanted - 1.0) < 0.04


@pytest.mark.parametrize("substeps", [1, 4, 16])
def test_the_optimal_cost_is_minus_the_log_density_and_no_control_costs_less(substeps):
    """-log p(y | x) of the chain of steps itself, at any number of them."""
    cond, count = told([1.0, nan, -0.7, nan, nan, 2.0]), 8000
    one = (1.0 - THETA / substeps) ** 2
    exact = 0.0
    for x, y, gap in ((1.0, -0.7, 2), (-0.7, 2.0, 3)):
        power = one ** (gap * substeps)
        variance = SIGMA**2 / substeps * (1.0 - power) / (1.0 - one)
        miss = (y - x * power**0.5) ** 2
        exact += 0.5 * (miss / variance + math.log(math.tau * variance))
    first = 0.5 * (1.0 + math.log(math.tau))  # of N(0, 1) at 1
    costs = {}
    for h in (chain, brownian, None):
        with torch.no_grad():
            cost = walked(ornstein_uhlenbeck(h, substeps), cond, count)[0].cost - first
        costs[h] = cost.mean().item(), 4.0 * (cost.var().item() / count) ** 0.5
    mean, error = costs[chain]
    assert abs(mean - exact) < error
    for h in (brownian, None):
        assert costs[h][0] - costs[h][1] > exact


def test_where_all_is_known_the_cost_is_that_of_the_chain_and_nothing_is_drawn():
    values, time = [0.3, -1.0, 0.4, 2.0], [0.0, 0.5, 1.7, 2.0]
    (path, _), (other, _) = (
        walked(ornstein_uhlenbeck(chain, 1), told(values, time), 3, seed) for seed in (0, 1)
    )
    wanted = 0.5 * (0.3**2 + math.log(math.tau))
    for k in range(3):
        length = time[k + 1] - time[k]
        miss = values[k + 1] - values[k] * (1.0 - THETA * length)
        variance = SIGMA**2 * length
        wanted += 0.5 * (miss**2 / variance + math.log(math.tau * variance))
    assert path.cost.tolist() == pytest.approx([wanted] * 3, rel=1e-9)
    assert not path.running.any()
    assert torch.equal(path.values, other.values)


def test_channels_of_which_each_knows_its_own_stamps_are_drawn_each_by_its_own_law():
    given = [[1.0, nan, 0.5, nan], [nan, -1.0, nan, nan]]
    network = Exact(lambda x: -THETA * x, lambda x: SIGMA + 0.0 * x, bridge)
    both = Controlled(network, 2, 8)
    with torch.no_grad():
        path, noise = walked(both, told(given), 50)
        for k in range(2):
            alone = Controlled(network, 1, 8).double()
            cond = {key: part.expand(50, *part.shape[1:]) for key, part in told(given[k]).items()}
            seen = alone.told(cond, noise[:, k : k + 1])
            drawn = alone.path(noise[:, k : k + 1], seen, seen).values
            torch.testing.assert_close(path.values[:, k : k + 1], drawn)


# -- who is told what -----------------------------------------------------------------------------


def plain(values, time, substeps, count):
    """What lies before and after each step, looked for one by one."""
    for stamp in range(len(time)):
        for share in range(1, 1 + (substeps if stamp else 1)):
            before = time[stamp - 1] if stamp else time[0]
            leaves = before + (share - 1) / substeps * (time[stamp] - before)
            arrives = before + share / substeps * (time[stamp] - before) if stamp else time[0]
            seen = [(v, t) for v, t in zip(values, time, strict=True) if v == v]
            past = [(v, leaves - t) for v, t in seen if stamp and t <= before][::-1][:count]
            future = [(v, t - arrives) for v, t in seen if t >= time[stamp]][:count]
            yield past, future


@pytest.mark.parametrize("substeps", [1, 3])
def test_each_agent_sees_the_conditions_that_are_itsown(substeps):
    record = windows(6, 2, 9, missing=0.4)
    time = record["time"] + 0.3 * Streams.of(3, 6).uniform((9,)).float()
    told_of = known({"series": record["series"], "time": time}, record["series"], 0)
    found = steps(told_of, told_of, substeps, 2, 3)
    for row in range(6):
        for channel in range(2):
            values, stamps = record["series"][row, channel].tolist(), time[row].tolist()
            for k, sides in enumerate(plain(values, stamps, substeps, 3)):
                for side, wanted in zip((found.earlier, found.later), sides, strict=True):
                    agents = len(side.value[k])
                    there = side.there[k, :, row, channel]
                    assert there.tolist() == [i < len(wanted) for i in range(agents)]
                    for agent, (value, gap) in enumerate(wanted[:agents]):
                        assert side.value[k, agent, row, channel] == value
                        assert side.gap[k, agent, row, channel].item() == pytest.approx(
                            gap, abs=1e-5
                        )
                assert bool(found.met[k, row, channel]) == (
                    k % substeps == 0 and values[k // substeps] == values[k // substeps]
                )


def stirred(**settings):
    torch.manual_seed(3)
    system = systems.csde((2, 8), width=8, substeps=2, **settings)
    for parameter in system.denoiser.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return system


def laws(network, cond):
    seen = known(cond, cond["series"], network.features)
    along = steps(seen, seen, 2, network.earlier, network.later)
    x = Streams.of(5, len(seen.seen)).normal((2,), torch.float64)
    return [law(x) for law in network(along)]


@pytest.mark.parametrize("stamp", [1, 4, 7])
def test_the_model_is_told_of_what_was_and_only_h_of_what_will_be(stamp):
    """A tell-tale is planted at a stamp: before it the model stays what it is to the last bit, and
    after it the pull does."""
    network = stirred().denoiser.network.double()
    values = windows(3, 2, 8)["series"].double()
    values[..., stamp] = 1.0
    time = torch.arange(8.0).double().expand(3, -1)
    planted = values.clone()
    planted[..., stamp] = 7.0
    pairs = zip(
        *(laws(network, {"series": v, "time": time}) for v in (values, planted)), strict=True
    )
    for k, (law, other) in enumerate(pairs):
        same = [torch.equal(one, two) for one, two in zip(law, other, strict=True)]
        arrives = -(-k // 2)  # the stamp that the step is on the way to
        if arrives <= stamp:
            assert same[:3] == [True, True, True]
        else:
            assert same[3:] == [True, True]
        assert same[1:3] == [True, True]  # of the first agent alone, and it sees x alone
        if arrives == stamp:
            assert same[3:] == [False, False]
        if arrives == stamp + 1:
            assert not same[0]


def test_no_agent_sees_the_condition_of_another():
    network = stirred(earlier=2, later=2).denoiser.network.double()
    values = windows(3, 2, 8, missing=0.0)["series"].double()
    seen = known({"series": values}, values, 0)
    along = steps(seen, seen, 2, 2, 2)
    x = Streams.of(5, 3).normal((2,), torch.float64)
    base = network.agents(x, network.agents.told(own(along))[7])
    for agent in range(4):
        side = agent // 2
        value = along[2 + side].value.clone()
        value[:, agent % 2] += 3.0
        changed = along[2 + side]._replace(value=value)
        other = along._replace(**{("earlier", "later")[side]: changed})
        found = network.agents(x, network.agents.told(own(other))[7])
        moved = (found != base).any(-1).any(-1)
        assert moved.tolist() == [k == 1 + agent for k in range(5)]


@pytest.mark.parametrize("sides", [(0, 1), (1, 0), (0, 0), (3, 2)])
def test_any_number_of_conditions_on_either_side(sides):
    system = stirred(earlier=sides[0], later=sides[1], features=1)
    record = windows(3, 2, 8)
    cond = {**record, "covariates": torch.ones(3, 1, 8)}
    drawn = system.sample(3, cond, seed=1)
    there = ~record["series"].isnan()
    assert drawn.isfinite().all()
    assert torch.equal(drawn[there], record["series"][there])


def test_covariates_are_looked_at():
    system = stirred(features=1)
    record, ones = windows(3, 2, 8), torch.ones(3, 1, 8)
    one, two = (system.sample(3, {**record, "covariates": c * ones}, seed=1) for c in (0.0, 1.0))
    assert not torch.equal(one, two)


# -- a system like any other ----------------------------------------------------------------------


def test_a_sample_is_the_same_in_whatever_batch():
    system, record = stirred(), windows(3, 2, 8)
    whole = system.sample(6, record, seed=4)
    parts = system.sample(6, record, seed=4, batch=2)
    torch.testing.assert_close(parts, whole)
    later = system.sample(2, record, seed=4, start=4)
    torch.testing.assert_close(later, whole[4:])
    assert not torch.equal(system.sample(6, record, seed=5), whole)


def test_windows_of_any_length_and_of_nothing():
    system = stirred()
    for length in (1, 2, 20):
        record = windows(2, 2, length)
        assert system.sample(2, record, seed=0).shape == (2, 2, length)
    empty = {"series": torch.full((2, 2, 5), nan)}
    assert system.sample(2, empty, seed=0).isfinite().all()


def test_verbs_fill_and_go_on(tmp_path):
    system = stirred()
    random = np.random.default_rng(0)
    values = random.standard_normal((30, 2)).cumsum(0)
    values[random.random(values.shape) < 0.3] = nan
    stamps = np.cumsum(0.2 + random.exponential(size=30))
    frame = pandas.DataFrame({"time": stamps, "a": values[:, 0], "b": values[:, 1]})
    filled = impute(system, frame, samples=4, seed=1)
    there = ~np.isnan(values)
    assert not filled.isna().any().any()
    assert np.array_equal(filled[["a", "b"]].to_numpy()[there], values[there])
    found = forecast(system, frame, 3, 4, 1)
    assert found.samples.shape == (1, 4, 2, 3)
    assert found.samples.isfinite().all()
    again = impute(system, frame, samples=4, seed=1)
    assert filled.equals(again)


def test_the_loss_counts_what_is_known_and_is_each_samplesown():
    """A hidden value that is missing counts nowhere; a sample's loss is its own, in any batch."""
    system, record = stirred(), windows(4, 2, 8)
    rng = Streams.of(2, 4)
    x_0, cond, mask = system.learnt(record, rng)
    loss = system.objective(system.denoiser, x_0, rng, cond, mask)
    other = torch.where(record["series"].isnan(), 50.0, x_0)
    assert torch.equal(system.objective(system.denoiser, other, rng, cond, mask), loss)
    half = {key: part[:2] for key, part in cond.items()}
    alone = system.objective(system.denoiser, x_0[:2], rng[:2], half, mask[:2])
    torch.testing.assert_close(alone, loss[:2])
    changed = torch.where(mask, x_0 + 1.0, x_0)
    assert (system.objective(system.denoiser, changed, rng, cond, mask) != loss).all()
    loss.sum().backward()
    assert all(part.grad is not None for part in system.denoiser.parameters())


def test_between_noise_and_path_there_is_nothing():
    process = stirred().denoiser.process
    x = torch.zeros(1, 2, 15)
    for ask in (
        lambda: process.transition(x, 0.2, 0.4),
        lambda: process.marginal(x, 0.5),
        lambda: process.seen(x, 0.5),
    ):
        with pytest.raises(UserError, match=r"one step.*csdi"):
            ask()


def frame_of(count, seed):
    """An Ornstein-Uhlenbeck path at uneven stamps."""
    random = np.random.default_rng(seed)
    gaps = 0.2 + random.exponential(0.3, count)
    x, rest = [random.standard_normal() * (SIGMA**2 / (2 * THETA)) ** 0.5], SIGMA**2 / (2 * THETA)
    for gap in gaps[1:]:
        shrunk = math.exp(-THETA * gap)
        x.append(shrunk * x[-1] + (rest * (1 - shrunk**2)) ** 0.5 * random.standard_normal())
    return pandas.DataFrame({"time": gaps.cumsum(), "x": x})


@pytest.mark.slow
def test_it_learns_the_equation_that_made_the_data(tmp_path):
    """benchmarks/controlled.py measures it in full."""
    import hush

    frame = frame_of(6000, 0)
    data, step = series(frame, length=12), frame["time"].diff().median()
    torch.manual_seed(0)
    system = systems.csde((1, 12))
    recipe = replace(system.recipe, steps=250, learning_rate=5e-3, warmup=20, ema=0.98)
    system = hush.train(system, data, tmp_path / "run", recipe, show=False)
    unit, values = system.codec.deviation.item(), data.read(range(0, 4000, 7))
    cond = system.codec.told({"series": values["series"], "time": values["time"]})
    seen = known(cond, cond["series"], 0)
    network = system.denoiser.network
    along = steps(seen, seen, 4, network.earlier, network.later)
    with torch.no_grad():
        law = list(network(along))[21](seen.values[..., 5])
    x = seen.values[..., 5] * unit + system.codec.mean.item()
    wrong = law.drift * unit / step + THETA * x
    assert wrong.square().mean().sqrt() < 0.15 * (THETA * x).square().mean().sqrt()
    assert (law.diffusion * unit / step**0.5 / SIGMA - 1.0).abs().max() < 0.15
    losses = held_out_losses(system, data)
    assert max(losses.values()) < 1.5


# -- noise that channels share --------------------------------------------------------------------

SHARED = torch.tensor([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]], dtype=torch.float64)


def linked(h, substeps=4):
    """Three Brownian motions whose noise is SHARED, and so are their first values."""
    network = Exact(torch.zeros_like, lambda x: SIGMA + 0.0 * x, h)
    denoiser = Controlled(network, 3, substeps)
    root = torch.linalg.cholesky(SHARED)
    denoiser.links.weights.data.copy_((root / root.diagonal().unsqueeze(1)).tril(-1))
    torch.testing.assert_close(denoiser.double().links.correlations()[1], SHARED, atol=1e-6, rtol=0)
    return denoiser


def test_what_is_not_known_follows_what_those_that_are_make_of_shared_noise():
    """Brownian channels a and c from known first values, b known throughout and c at the end:
    everything left is jointly Gaussian with covariance σ² R min(t, s)."""
    given = [[0.5, nan, nan, nan], [1.0, 2.5, 2.0, 4.0], [0.0, nan, nan, nan]]
    denoiser, count = linked(brownian), 20_000
    with torch.no_grad():
        path = walked(denoiser, told(given), count)[0]
    values, stamps = torch.tensor(given).double(), torch.arange(1.0, 4.0).double()
    mean = values[:, :1] + SHARED[:, 1:2] * (values[1, 1:] - values[1, 0])
    left = SIGMA**2 * (SHARED - SHARED[:, 1:2] * SHARED[1:2])
    for k, stamp in enumerate(stamps.tolist()):
        found = path.values[:, [0, 2], k + 1]
        error = 4.0 * (left.diagonal()[[0, 2]] * stamp / count).sqrt()
        assert ((found.mean(0) - mean[[0, 2], k]).abs() < error).all()
        wanted = left[[0, 2]][:, [0, 2]] * stamp
        torch.testing.assert_close(found.T.cov(), wanted, atol=0.05, rtol=0.05)
    jumps = values[1].diff()
    first = torch.distributions.MultivariateNormal(torch.zeros(3).double(), SHARED)
    wanted = 0.5 * (jumps.square() / SIGMA**2 + math.log(math.tau * SIGMA**2)).sum()
    wanted = wanted - first.log_prob(values[:, 0])
    error = 4.0 * (path.cost.var() / count).sqrt()
    assert abs(path.cost.mean() - wanted) < error + 1e-4
    assert (path.cost.mean() - path.cost).abs().max() < 40.0


@pytest.mark.parametrize("substeps", [1, 3])
def test_where_all_is_known_the_cost_is_of_the_joint_density(substeps):
    """Of the joint jumps, and in the mean over what drives the steps between."""
    values = [[0.5, 1.0, -0.5], [1.0, 2.5, 2.0], [0.0, 0.3, 1.5]]
    with torch.no_grad():
        path = walked(linked(brownian, substeps), told(values), 4000)[0]
    known_of = torch.tensor(values).double()
    first = torch.distributions.MultivariateNormal(torch.zeros(3).double(), SHARED)
    jump = torch.distributions.MultivariateNormal(torch.zeros(3).double(), SIGMA**2 * SHARED)
    wanted = -first.log_prob(known_of[:, 0]) - jump.log_prob(known_of.diff().T).sum()
    assert abs(path.cost.mean() - wanted) < 4.0 * (path.cost.var() / 4000).sqrt() + 1e-4


def test_any_channels_known_cost_no_less_than_their_density():
    """Whichever channel is known first, and however wrong h is about what the others share."""
    given = torch.tensor(
        [[0.5, nan, nan, 1.5], [nan, 1.5, nan, 1.0], [0.0, nan, 2.0, nan]]
    ).double()
    with torch.no_grad():
        path = walked(linked(brownian), told(given.tolist()), 20_000)[0]
    stamps = torch.arange(4.0).double()
    covariance = torch.kron(1.0 + SIGMA**2 * torch.minimum(stamps.unsqueeze(1), stamps), SHARED)
    values = given.T.flatten()
    there = ~values.isnan()
    law = torch.distributions.MultivariateNormal(
        torch.zeros(int(there.sum())).double(), covariance[there][:, there]
    )
    wanted = -law.log_prob(values[there])
    error = 4.0 * (path.cost.var() / 20_000).sqrt()
    assert wanted - error < path.cost.mean() < wanted + 2.0
