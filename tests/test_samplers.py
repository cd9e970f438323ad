"""Samplers walk the exact denoiser: order of convergence, laws of what they draw, and no traces.

The probability-flow ODE of a mixture is the same flow on every schedule (see `flow_map`), so the
order depends on the grid alone: one that refines everywhere, the last step into σ = 0 included.
There Heun's rule has no second end to ask (σ = 0 is the data) and takes Euler's step, whose own
error is O(width²): on grids whose last step shrinks like 1/steps or faster the order stays 2.
"""

import dataclasses
import functools
import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from hush import systems
from hush.errors import UserError
from hush.networks import Backbone
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import (
    Ancestral,
    Heun,
    Multistep,
    Reversible,
    RungeKutta,
    SingleStep,
    State,
    bases,
    walk,
)
from hush.samplers.grids import Chain, Karras, LogSNR, Uniform
from hush.samplers.interpolation import mean_shares
from hush.schedules import EDM, Cosine, Level, Rectified, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser, even_levels, flow_map

NOISE = bases.Noise()
MIXTURE = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.3, 0.2, 0.4]
)
GAUSSIAN = GaussianMixture.of([1.0], [[0.7]], [0.25])


def last(sampler, denoiser, x, levels, rng=None, cond=None):
    rng = rng or Streams.of(0, len(x))
    *_, state = walk(sampler, denoiser, x, levels, rng, cond)
    return state.x


def exact(schedule, mixture=MIXTURE, spread=False):
    return MixtureDenoiser(GaussianProcess(schedule), mixture, spread)


def draws(schedule, mixture, count, seed=6):
    """Draws of the exact law at t = 1, and the streams that are left."""
    rng = Streams.of(seed, count)
    x = GaussianProcess(schedule).marginal(mixture.sample(rng), 1.0).sample(rng.next(2))
    return x, rng.next(3)


# -- the flow --------------------------------------------------------------------------------------


def test_the_reference_flow_is_the_closed_one_for_gaussian_data():
    """O4: x_0 = m + √(σ²/v_1) (x_1 - α_1 m)."""
    x = torch.linspace(-2, 2, 41, dtype=torch.float64).unsqueeze(1)
    for schedule in (Tabulated.linear(), Cosine(), EDM(), Rectified()):
        end = schedule.level(1.0)
        variance = end.alpha**2 * 0.25 + end.sigma**2
        wanted = 0.7 + (0.25 / variance) ** 0.5 * (x - end.alpha * 0.7)
        torch.testing.assert_close(flow_map(GAUSSIAN, x, end), wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("steps", "golden"), [(10, 0.277), (50, 0.056), (100, 0.028), (1000, 0.0030)]
)
def test_ddims_error_is_o4s(steps, golden):
    schedule = Tabulated.linear()
    x = torch.linspace(-2, 2, 401, dtype=torch.float64).unsqueeze(1)
    got = last(Ancestral(0.0), exact(schedule, GAUSSIAN), x, Chain(steps, "linspace")(schedule))
    error = (got - flow_map(GAUSSIAN, x, schedule.level(1.0))).abs().max().item()
    assert error == pytest.approx(golden, abs=0.0005 if steps < 1000 else 0.00005)


ORDERS = {  # schedule, a grid of it that refines everywhere
    "VP": (VariancePreserving(), functools.partial(LogSNR, ratio_min=1e-6)),
    "cosine": (Cosine(), Uniform),
    "EDM": (EDM(), functools.partial(Karras, ratio_min=1e-6)),
    "rectified": (Rectified(), Uniform),
}
IN_VELOCITY = [
    (Ancestral(0.0), 1),
    (Heun(), 2),
    *((RungeKutta(k), k) for k in (1, 2, 3, 4)),
    *((Multistep(k), k) for k in (1, 2, 3, 4)),
    *((Multistep(k, bases.Angular()), k) for k in (2, 3)),
]
IN_NOISE = [(Heun(NOISE), 2), *((Multistep(k, NOISE), k) for k in (1, 2, 3))]


def order(sampler, schedule, grid, coarse):
    x, rng = draws(schedule, MIXTURE, 16)
    reference = _reference(schedule)
    errors = [
        (last(sampler, exact(schedule), x, grid(steps)(schedule), rng) - reference).square().mean()
        for steps in (coarse, 2 * coarse)
    ]
    return 0.5 * math.log2(errors[0] / errors[1])


@functools.cache
def _reference(schedule):
    return flow_map(MIXTURE, draws(schedule, MIXTURE, 16)[0], schedule.level(1.0))


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize(("sampler", "wanted"), IN_VELOCITY, ids=repr)
def test_order_of_convergence(sampler, wanted, name):
    coarse = 512 if sampler == Multistep(4) else 64 if wanted == 4 else 128
    assert order(sampler, *ORDERS[name], coarse) == pytest.approx(wanted, abs=0.2)


@pytest.mark.parametrize("name", ["VP", "EDM"])
@pytest.mark.parametrize(("sampler", "wanted"), IN_NOISE, ids=repr)
def test_order_of_convergence_in_the_basis_of_the_noise(sampler, wanted, name):
    assert order(sampler, *ORDERS[name], coarse=128) == pytest.approx(wanted, abs=0.2)


def in_log_snr(schedule, steps):
    """Levels even in log(σ/α) down to 1e-6, from t = 1 (blind there, from the second at 1e5)."""
    end = schedule.level(1.0)
    first = end.log_ratio if end.alpha > 0.0 else math.log(1e5)
    ratios = torch.linspace(first, math.log(1e-6), steps, dtype=torch.float64)
    times = torch.cat((schedule.time(-2.0 * ratios), torch.zeros(1, dtype=torch.float64)))
    times[0] = 1.0
    return schedule.levels(times)


DATA = bases.Data()
NAMED = {
    "DPM-Solver++ 2M": (Multistep(2, DATA, along="log_snr", rule="midpoint"), 2),
    "DPM-Solver++ 3M": (Multistep(3, DATA, along="log_snr"), 3),
    "DPM-Solver++ 2S": (SingleStep(2, DATA, "log_snr", "midpoint"), 2),
    "DPM-Solver++ 3S": (SingleStep(3, DATA, "log_snr", "midpoint"), 3),
    "DPM-Solver-3": (SingleStep(3, NOISE, "log_snr", "midpoint"), 3),
    "DEIS 2": (Multistep(2, NOISE, along="log_snr"), 2),
    "DEIS 3": (Multistep(3, NOISE, along="log_snr"), 3),
    "UniPC 2, of which the corrector makes 3": (Multistep(2, DATA, 3, "log_snr", "midpoint"), 3),
    "PNDM, whose convergence is of order 2": (Multistep(4, NOISE, along="time", start="again"), 2),
    "a corrector of 4 on 2": (Multistep(2, corrector=4), 3.25),
    "Reversible": (Reversible(), 2),
}


@pytest.mark.parametrize("name", ["chain", *ORDERS])
@pytest.mark.parametrize("solver", NAMED)
def test_named_solvers_have_their_order_along_the_log_snr(solver, name):
    sampler, wanted = NAMED[solver]
    schedule = Tabulated.linear() if name == "chain" else ORDERS[name][0]
    if sampler.basis == NOISE and name == "rectified":
        pytest.skip("the basis of the noise needs signal")
    if "PNDM" in solver and name == "EDM":
        pytest.skip("on EDM σ is the time, and what is even in it is exact")
    found = order(sampler, schedule, lambda steps: lambda _: in_log_snr(schedule, steps), 256)
    assert found == pytest.approx(wanted, abs=0.2)
    assert found >= sampler.claims - 0.2


def test_multistep_of_order_1_is_ddim_in_both_bases():
    for schedule in (VariancePreserving(), Cosine(), EDM()):
        x, rng = draws(schedule, MIXTURE, 5)
        levels = Uniform(12)(schedule)
        ddim = last(Ancestral(0.0), exact(schedule), x, levels, rng)
        for basis in (bases.Velocity(), NOISE):
            got = last(Multistep(1, basis), exact(schedule), x, levels, rng)
            torch.testing.assert_close(got, ddim, rtol=1e-9, atol=1e-9)


def test_ddim_on_straight_paths_is_euler_along_the_velocity():
    schedule = Rectified()
    x, rng = draws(schedule, MIXTURE, 5)
    levels = Uniform(9)(schedule)
    got, denoiser = last(Ancestral(0.0), exact(schedule), x, levels, rng), exact(schedule)
    for t, s in pairwise(levels):
        velocity = (x - denoiser(x, t).mean) / t.time
        x = x + (s.time - t.time) * velocity
    torch.testing.assert_close(got, x, rtol=1e-12, atol=1e-12)


def test_heun_in_the_basis_of_the_noise_is_karrass_algorithm_1():
    schedule, denoiser = EDM(), exact(EDM())
    x, rng = draws(schedule, MIXTURE, 5)
    levels = Karras(10)(schedule)
    got = last(Heun(NOISE), denoiser, x, levels, rng)
    for t, s in pairwise(levels):
        d = (x - denoiser(x, t).mean) / t.sigma
        euler = x + (s.sigma - t.sigma) * d
        if s.sigma > 0:
            d = 0.5 * (d + (euler - denoiser(euler, s).mean) / s.sigma)
        x = x + (s.sigma - t.sigma) * d
    torch.testing.assert_close(got, x, rtol=1e-11, atol=1e-11)


def test_karrass_grid_is_his_equation_5():
    sigmas = [level.sigma for level in Karras(18)(EDM())]
    ends = 80.0 ** (1 / 7), 0.002 ** (1 / 7)
    wanted = [(ends[0] + i / 17 * (ends[1] - ends[0])) ** 7 for i in range(18)]
    assert sigmas == pytest.approx([*wanted, 0.0], rel=1e-11)


def test_chain_grids_are_the_spacings_of_the_literature():
    chain = Tabulated.linear()
    steps = {
        spacing: [round(level.time * 1000) for level in Chain(10, spacing)(chain)]
        for spacing in ("trailing", "leading", "linspace")
    }
    assert steps["trailing"] == [*range(1000, 0, -100), 0]
    assert steps["leading"] == [*range(901, 0, -100), 0]
    assert steps["linspace"] == [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1, 0]


@pytest.mark.parametrize("sampler", [Ancestral(0.0), Heun(), Multistep(2), Multistep(3)], ids=repr)
@pytest.mark.parametrize("name", ORDERS)
def test_single_precision_costs_single_precision(sampler, name):
    schedule, grid = ORDERS[name]
    x = draws(schedule, MIXTURE, 32)[0].float()
    levels = grid(20)(schedule)
    double = last(sampler, exact(schedule), x.double(), levels)
    torch.testing.assert_close(last(sampler, exact(schedule), x, levels).double(), double,
                               rtol=0, atol=1e-5)  # fmt: skip


@pytest.mark.parametrize(("sampler", "_"), IN_NOISE, ids=repr)
def test_single_precision_in_the_basis_of_the_noise_where_the_noise_ends_moderately(sampler, _):
    """Up to σ/α of some hundreds: VP, EDM, the linear chain. On cosine's 22026 the cancellation in
    x/α + area is squared and nothing is left; `Velocity`, the default, is right everywhere."""
    for name in ("VP", "EDM"):
        test_single_precision_costs_single_precision(sampler, name)


# -- multistep weights -----------------------------------------------------------------------------

places = st.lists(st.integers(-50, 50), min_size=2, max_size=4, unique=True)


class Line(bases.Velocity):
    """A basis whose variable is the number itself: levels for weights."""

    def variable(self, level):
        return level.time


def shares(places, start, end, **how):
    """The shares of nodes at these places in the mean from start to end."""
    nodes, t, s = ([Level(p, 1.0, 1.0) for p in part] for part in (places, [start], [end]))
    return mean_shares(Line(), nodes, *t, *s, **how)


@settings(max_examples=200, deadline=None)
@given(places, st.lists(st.integers(-9, 9), min_size=3, max_size=3))
def test_the_mean_of_polynomials_is_exact(points, coefficients):
    """Σ_j share_j p(node_j) = ∫_start^end p/(end - start), in rational arithmetic, for deg p less
    than the number of nodes; "midpoint" is a line half way."""
    *nodes, end = (Fraction(point, 7) for point in points)
    start, count = nodes[-1], len(nodes)
    polynomial = coefficients[:count]

    def value(x):
        return sum(c * x**k for k, c in enumerate(polynomial))

    integral = sum(
        Fraction(c, k + 1) * (end ** (k + 1) - start ** (k + 1)) for k, c in enumerate(polynomial)
    )
    wanted = {"exact": integral / (end - start)}
    if count == 2:
        wanted["midpoint"] = value((start + end) / 2)
    for rule, exact_mean in wanted.items():
        found = shares([float(node) for node in nodes], float(start), float(end), rule=rule)
        terms = [share * float(value(node)) for share, node in zip(found, nodes, strict=True)]
        size = sum(
            abs(share) * float(sum(abs(c) * abs(node) ** k for k, c in enumerate(polynomial)))
            for share, node in zip(found, nodes, strict=True)
        )
        assert sum(terms) == pytest.approx(float(exact_mean), abs=1e-12 * max(1.0, size))


def test_on_even_nodes_the_shares_are_adams_bashforths_and_moultons():
    assert shares([1.0], 1.0, 0.9) == pytest.approx([1])
    assert shares([1.1, 1.0], 1.0, 0.9) == pytest.approx([-1 / 2, 3 / 2])
    assert shares([1.2, 1.1, 1.0], 1.0, 0.9) == pytest.approx([5 / 12, -16 / 12, 23 / 12])
    four = shares([1.3, 1.2, 1.1, 1.0], 1.0, 0.9)
    assert four == pytest.approx([-9 / 24, 37 / 24, -59 / 24, 55 / 24])
    moulton = shares([1.1, 1.0, 0.9], 1.0, 0.9)
    assert moulton == pytest.approx([-1 / 12, 8 / 12, 5 / 12])


@pytest.mark.parametrize("basis", [bases.Data(), bases.Noise(), bases.Data(1.0), bases.Velocity()],
                         ids=repr)  # fmt: skip
def test_along_the_log_snr_the_mean_is_the_exponential_integral(basis):
    """Against scipy's quadrature of ∫ L_j(λ) du(λ), λ half the log-SNR, for long steps too."""
    for nodes, end in (([-3.0, -2.0, -1.2], -0.5), ([-1.0, 0.5], 2.0), ([-4.0, -2.0], 6.0)):
        at = [Level(0.0, 1.0, math.exp(-place)) for place in (*nodes, end)]
        found = mean_shares(basis, at[:-1], at[-2], at[-1], along="log_snr")

        def u(place, basis=basis):
            return basis.variable(Level(0.0, 1.0, math.exp(-place)))

        def du(place):
            return (u(place + 1e-5) - u(place - 1e-5)) / 2e-5

        for j, share in enumerate(found):
            rest = [p for k, p in enumerate(nodes) if k != j]

            def part(x, j=j, rest=rest, nodes=nodes, du=du):
                lagrange = math.prod((x - p) / (nodes[j] - p) for p in rest)
                return lagrange * du(x)

            integral = quad(part, nodes[-1], end, epsabs=1e-12, epsrel=1e-10)[0]
            assert share == pytest.approx(integral / (u(end) - u(nodes[-1])), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_multistep_is_exact_where_the_slope_is_a_polynomial_first_and_last_steps_included(
    order, steps
):
    """A slope that is a polynomial of τ alone, of the degree that the first steps allow, is
    integrated exactly over the whole way from τ = 1 to 0."""

    class Polynomial(MixtureDenoiser):
        def forward(self, x_t, t, cond=None):
            slope = sum((k + 1) * t.sigma**k for k in range(self.degree + 1))
            belief = super().forward(x_t, t)
            return dataclasses.replace(belief, mean=x_t - t.sigma * slope, variance=0.0)

    denoiser = Polynomial(GaussianProcess(Rectified()), MIXTURE)
    # orders 1 and 2 begin with Euler (degree 0); order 3 redoes that step by the trapezoid
    denoiser.degree = 1 if order == 3 and steps > 1 else 0
    x = torch.zeros(1, 2, dtype=torch.float64)
    got = last(Multistep(order), denoiser, x, Uniform(steps)(Rectified()))
    wanted = -sum(1.0 for _ in range(denoiser.degree + 1))  # ∫_1^0 Σ (k+1) τ^k
    torch.testing.assert_close(got, torch.full_like(x, wanted), rtol=0, atol=1e-13)


def test_solvers_refuse_other_orders():
    for make in (lambda: Multistep(6), lambda: Multistep(0), lambda: RungeKutta(5)):
        with pytest.raises(UserError, match="has orders 1 to"):
            make()


# -- what is drawn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_with_the_exact_variance_gaussian_data_are_drawn_exactly_in_any_number_of_steps(eta, steps):
    schedule, count = Cosine(), 20000
    x, rng = draws(schedule, GAUSSIAN, count)
    got = last(Ancestral(eta), exact(schedule, GAUSSIAN, True), x, Uniform(steps)(schedule), rng)
    assert got.mean().item() == pytest.approx(0.7, abs=4 * 0.5 / count**0.5)
    assert got.var().item() == pytest.approx(0.25, rel=4 * (2 / count) ** 0.5)


def statistics(x):
    """Means, variances and the covariance, with their standard errors."""
    centred = x - x.mean(0)
    terms = {
        "mean": x,
        "covariance": torch.stack(
            (centred[:, 0] ** 2, centred[:, 1] ** 2, centred[:, 0] * centred[:, 1]), 1
        ),
    }
    return {name: (term.mean(0), term.std(0) / len(x) ** 0.5) for name, term in terms.items()}


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ddpm_gives_a_mixture_its_mean_covariance_and_weights(eta):
    """O2, 400 steps, 3 standard errors (4 over all eight numbers), with the exact variance in every
    step so that the steps' own bias is far below them."""
    schedule, count = Cosine(), 6000
    apart = GaussianMixture.of([0.2, 0.5, 0.3], [[-3.0, 0.0], [2.0, 2.0], [2.0, -2.5]], [0.3] * 3)
    x, rng = draws(schedule, apart, count, seed=11)
    got = last(Ancestral(eta), exact(schedule, apart, True), x, even_levels(schedule, 200), rng)
    found = statistics(got)
    cov = apart.covariance
    wanted = {"mean": apart.mean, "covariance": torch.stack((cov[0, 0], cov[1, 1], cov[0, 1]))}
    for name, (value, error) in found.items():
        assert ((value - wanted[name]).abs() < 4 * error).all(), name
    nearest = torch.cdist(got, apart.means).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / count
    error = (apart.weights * (1 - apart.weights) / count).sqrt()
    assert ((shares - apart.weights).abs() < 3 * error).all()


def test_marginals_do_not_depend_on_eta():
    """Every eta walks through the same laws: the mean and variance half way, and at the end."""
    schedule, count = Cosine(), 8000
    levels = even_levels(schedule, 150)
    halfway = len(levels) // 2
    v_half = levels[halfway].alpha ** 2 * 0.25 + levels[halfway].sigma ** 2
    for eta in (0.0, 0.3, 1.0):
        x, rng = draws(schedule, GAUSSIAN, count)
        states = list(walk(Ancestral(eta), exact(schedule, GAUSSIAN), x, levels, rng))
        for state, variance in ((states[halfway], v_half), (states[-1], 0.25)):
            mean = state.t.alpha * 0.7
            # the point belief's own bias at 150 steps is under 1.5 %
            assert state.x.mean().item() == pytest.approx(mean, abs=4 * (variance / count) ** 0.5)
            slack = 4 * (2 / count) ** 0.5 + 0.015
            assert state.x.var().item() == pytest.approx(variance, rel=slack)


def test_conditional_walks_draw_their_own_component():
    schedule = Cosine()
    x, rng = draws(schedule, MIXTURE, 300)
    cond = torch.arange(300) % 3
    got = last(Heun(), exact(schedule), x, even_levels(schedule, 60), rng, cond)
    for k in range(3):
        mine = got[cond == k]
        error = (MIXTURE.variances[k] / len(mine)).sqrt().item()
        # x_1 is drawn from the mixture, whose law differs from the component's by O(α_1)
        assert (mine.mean(0) - MIXTURE.means[k]).abs().max().item() < 4 * error + 1e-3


# -- a walk ----------------------------------------------------------------------------------------


def test_a_walk_yields_every_level_and_belongs_to_its_caller():
    schedule, levels = Cosine(), Uniform(5)(Cosine())
    x, rng = draws(schedule, MIXTURE, 2)
    states = list(walk(Ancestral(), exact(schedule), x, levels, rng))
    assert [state.t for state in states] == levels
    assert states[0].x is x
    early = next(iter(walk(Ancestral(), exact(schedule), x, levels, rng)))
    assert early.t.time == 1.0


def test_a_walk_can_be_taken_up_anywhere():
    schedule, levels = Cosine(), Uniform(8)(Cosine())
    x, rng = draws(schedule, MIXTURE, 3)
    for sampler in (Ancestral(), Heun(), Multistep(3)):
        states = list(walk(sampler, exact(schedule), x, levels, rng))
        state = states[4]
        for s in levels[5:]:
            state = sampler.step(exact(schedule), state, s)
        assert torch.equal(state.x, states[-1].x)


def test_states_and_samplers_cannot_be_changed():
    levels = Uniform(2)(Cosine())
    state = State(torch.zeros(1, 2), levels[0], Streams.of(0, 1))
    for value, name in ((state, "x"), (Ancestral(), "eta"), (Multistep(), "order")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 1.0)


# -- a whole system --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def system():
    backbone = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(), head=8)
    made = systems.ddpm((1, 6, 6), ("cat", "dog", "owl"), backbone, chain=100)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.denoiser.parameters():
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    return dataclasses.replace(made, grid=Chain(12))


@pytest.mark.parametrize("sampler", [None, Ancestral(0.0), Heun(), Multistep(3)], ids=repr)
def test_the_same_seed_gives_the_same_samples_in_whatever_batches(system, sampler):
    whole = system.sample(7, sampler=sampler, seed=3)
    for batch in (1, 3, 5):
        split = system.sample(7, sampler=sampler, seed=3, batch=batch)
        torch.testing.assert_close(split, whole, rtol=1e-5, atol=1e-5)


def test_more_samples_begin_with_the_same_ones_and_other_seeds_give_others(system):
    few, many = system.sample(3, seed=3), system.sample(9, seed=3)
    torch.testing.assert_close(many[:3], few, rtol=1e-5, atol=1e-5)
    assert (system.sample(3, seed=4) - few).abs().max() > 0.01


def test_guidance_of_scale_1_samples_what_none_samples(system):
    plain = system.sample(4, seed=1, cond="owl")
    assert torch.equal(system.sample(4, seed=1, cond="owl", guidance=1.0), plain)
    assert (system.sample(4, seed=1, cond="owl", guidance=4.0) - plain).abs().max() > 1e-4


def test_guidance_of_scale_0_samples_without_the_condition(system):
    free = system.sample(3, seed=1, cond="owl", guidance=0.0)
    other = system.sample(3, seed=1, cond="cat", guidance=0.0)
    torch.testing.assert_close(free, other, rtol=1e-5, atol=1e-5)
