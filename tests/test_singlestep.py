"""Single-step DPM-Solver: its order on every schedule, its blocks, and diffusers' own walk."""

import functools
import math
from itertools import pairwise

import pytest
import torch

from hush import testing
from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, RungeKutta, bases, walk
from hush.samplers.grids import Uniform
from hush.samplers.singlestep import SingleStep
from hush.schedules import EDM, Cosine, Rectified, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser, even_levels, flow_map

MIXTURE = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.3, 0.2, 0.4]
)
SCHEDULES = [VariancePreserving(), Cosine(), EDM(), Rectified(), Tabulated.linear()]


def named(value):
    return type(value).__name__


def exact(schedule):
    return MixtureDenoiser(GaussianProcess(schedule), MIXTURE, spread=False)


def noise(schedule, count=8):
    rng = Streams.of(6, count)
    return GaussianProcess(schedule).marginal(MIXTURE.sample(rng), 1.0).sample(rng.next(2))


def last(sampler, schedule, x, levels):
    *_, state = walk(sampler, exact(schedule), x, levels, Streams.of(0, len(x)))
    return state.x


@functools.cache
def reference(schedule):
    return flow_map(MIXTURE, noise(schedule), schedule.level(1.0))


def order(sampler, schedule, coarse, fine):
    """The order of convergence between two numbers of steps, evenly spaced in the angle."""
    x = noise(schedule)
    errors = [
        (last(sampler, schedule, x, even_levels(schedule, steps)) - reference(schedule)).norm()
        for steps in (coarse, fine)
    ]
    return math.log(errors[0] / errors[1]) / math.log(fine / coarse)


SAMPLERS = [SingleStep(1), SingleStep(2), SingleStep(3), SingleStep(3, rule="midpoint")]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=named)
@pytest.mark.parametrize("sampler", SAMPLERS[:2], ids=repr)
def test_single_step_meets_the_suite_of_samplers(sampler, schedule):
    testing.check_sampler(sampler, schedule)


@pytest.mark.parametrize("steps", [(60, 120), (61, 121), (62, 122)], ids=str)
@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_the_order_holds_whatever_the_number_of_steps_leaves_over(wanted, steps):
    assert order(SingleStep(wanted), Cosine(), *steps) == pytest.approx(wanted, abs=0.2)


def test_a_tail_of_single_steps_costs_the_order():
    """The blocks that other libraries end with: Euler's step into σ = 0 errs by O(width²)."""
    for tail, steps in (((2, 1), (60, 120)), ((1,), (61, 121))):
        assert order(SingleStep(3, tail=tail), Cosine(), *steps) == pytest.approx(2, abs=0.2)


# -- blocks ----------------------------------------------------------------------------------------


class Recording(MixtureDenoiser):
    """Notes at which levels it is asked."""

    def __init__(self, schedule):
        super().__init__(GaussianProcess(schedule), MIXTURE, spread=False)
        self.asked = []

    def forward(self, x_t, t, cond=None):
        self.asked.append(t)
        return super().forward(x_t, t, cond)


def blocks(sampler, steps):
    """The lengths of the blocks of a walk, seen from where its memory is empty."""
    schedule = Rectified()
    levels = Uniform(steps)(schedule)
    states = list(walk(sampler, exact(schedule), noise(schedule, 1), levels, Streams.of(0, 1)))
    starts = [place for place, state in enumerate(states) if not state.memory]
    return [after - before for before, after in pairwise(starts)]


@pytest.mark.parametrize(
    ("sampler", "wanted"),
    [
        (SingleStep(1), {3: [1, 1, 1]}),
        (SingleStep(2), {1: [1], 2: [2], 3: [3], 4: [2, 2], 5: [3, 2], 6: [2, 2, 2]}),
        (SingleStep(3), {1: [1], 2: [2], 3: [3], 4: [2, 2], 5: [2, 3], 6: [3, 3], 7: [2, 2, 3]}),
        (SingleStep(3, tail=(2, 1)), {1: [1], 2: [1, 1], 3: [2, 1], 4: [1, 2, 1], 6: [3, 2, 1]}),
        (SingleStep(2, tail=(1, 1)), {2: [1, 1], 4: [2, 1, 1], 5: [3, 1, 1]}),
    ],
    ids=lambda value: repr(value) if isinstance(value, SingleStep) else "",
)
def test_a_walk_is_cut_into_blocks_that_end_where_it_ends(sampler, wanted):
    assert {steps: blocks(sampler, steps) for steps in wanted} == wanted


def test_every_step_of_a_walk_asks_once_where_it_stands():
    schedule, levels = Cosine(), Uniform(8)(Cosine())
    denoiser = Recording(schedule)
    list(walk(SingleStep(3), denoiser, noise(schedule), levels, Streams.of(0, 8)))
    assert denoiser.asked == levels[:-1]


def test_a_block_of_even_steps_is_a_runge_kutta_step():
    """Two halves are the midpoint rule, three thirds Heun's third-order rule, wherever the block
    lies; in τ = σ/(α + σ), which is time itself on a rectified flow."""
    schedule, x = Rectified(), noise(Rectified())
    for size in (2, 3):
        fine, coarse = Uniform(4 * size)(schedule), Uniform(4)(schedule)
        got = last(SingleStep(size), schedule, x, fine)
        wanted = last(RungeKutta(size), schedule, x, coarse)
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)


def test_one_step_is_ddim():
    x = noise(Cosine())
    for levels in (Uniform(1)(Cosine()), Uniform(7)(Cosine())):
        steps = 3 if len(levels) == 2 else 1
        got = last(SingleStep(steps), Cosine(), x, levels)
        torch.testing.assert_close(
            got, last(Ancestral(0.0), Cosine(), x, levels), rtol=0, atol=1e-10
        )


def test_a_walk_can_be_taken_up_inside_a_block():
    schedule, levels, sampler = Cosine(), Uniform(8)(Cosine()), SingleStep(3)
    states = list(walk(sampler, exact(schedule), noise(schedule), levels, Streams.of(0, 8)))
    for place in (1, 3, 4):
        state = states[place]
        for s in levels[place + 1 :]:
            state = sampler.step(exact(schedule), state, s)
        assert torch.equal(state.x, states[-1].x)


def test_single_step_refuses_what_it_cannot_do():
    for make, words in (
        (lambda: SingleStep(4), "orders 1 to 3"),
        (lambda: SingleStep(tail=(4,)), "1 to 3 steps"),
        (lambda: SingleStep(basis=bases.Data(1.0)), "draws no noise"),
    ):
        with pytest.raises(UserError, match=words):
            make()


# -- diffusers -------------------------------------------------------------------------------------

CHAIN = Tabulated.linear()
KINDS = {"dpmsolver++": (bases.Data(), "zero"), "dpmsolver": (bases.Noise(), "sigma_min")}


def scheduler(kind, solver, order, steps, **options):
    """diffusers' scheduler and the levels of its walk, its float32 tables replaced by doubles."""
    diffusers = pytest.importorskip("diffusers")
    made = diffusers.DPMSolverSinglestepScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        solver_order=order,
        algorithm_type=kind,
        solver_type=solver,
        final_sigmas_type=KINDS[kind][1],
        lower_order_final=True,
        **options,
    )
    made.set_timesteps(steps)
    if options:
        ratios = made.sigmas.double().tolist()
        if ratios[-1] == ratios[-2]:  # sigma_min comes twice, and their last step has no length
            ratios[-1] *= 0.5
        levels = [CHAIN.at_ratio(ratio) for ratio in ratios]
    else:
        end = 0.0 if KINDS[kind][1] == "zero" else 0.001
        times = (made.timesteps.double() + 1.0) / 1000.0
        levels = CHAIN.levels(torch.cat((times, torch.tensor([end], dtype=torch.float64))))
    doubles = torch.tensor([level.sigma / level.alpha for level in levels], dtype=torch.float64)
    torch.testing.assert_close(made.sigmas[:-1].double(), doubles[:-1], rtol=1e-3, atol=1e-6)
    made.sigmas = doubles
    return made, levels


def theirs(made, levels, x):
    denoiser = exact(CHAIN)
    for t, timestep in zip(levels, made.timesteps, strict=False):
        said = (x - t.alpha * denoiser(x, t).mean) / t.sigma
        x = made.step(said, timestep, x).prev_sample
    return x


def lengths(orders):
    """The lengths of the blocks in diffusers' list of orders, each of which begins with a 1."""
    starts = [place for place, order in enumerate(orders) if order == 1] + [len(orders)]
    return [after - before for before, after in pairwise(starts)]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "spacing", [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}], ids=str
)
@pytest.mark.parametrize("solver", ["midpoint", "heun"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_with_their_blocks_it_is_diffusers_walk(kind, order, solver, spacing):
    rule = {"midpoint": "midpoint", "heun": "exact"}[solver]
    for steps in (10, 15, 20, 25):
        made, levels = scheduler(kind, solver, order, steps, **spacing)
        ours = SingleStep(
            order, KINDS[kind][0], "log_snr", rule, tuple(lengths(made.order_list)[-2:])
        )
        x = noise(CHAIN)
        got, wanted = last(ours, CHAIN, x, levels), theirs(made, levels, x)
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("order", [2, 3])
def test_the_tail_that_the_docstring_names_is_theirs(order):
    tails = {2: {0: (1, 1), 1: (1,)}, 3: {0: (2, 1), 1: (1,), 2: (2,)}}[order]
    for steps in range(4, 30):
        made, _ = scheduler("dpmsolver", "midpoint", order, steps)
        ours = SingleStep(order, tail=tails[steps % order])
        assert blocks(ours, steps) == lengths(made.order_list)


def test_diffusers_loses_an_order_where_it_ends_with_eulers_step():
    """Order 3 asked for, on levels that refine everywhere: its step into σ = 0 is Euler's."""
    errors = []
    for steps in (60, 120):
        made, _ = scheduler("dpmsolver++", "midpoint", 3, steps)
        levels = even_levels(CHAIN, steps)
        made.sigmas = torch.tensor([level.sigma / level.alpha for level in levels])
        errors.append((theirs(made, levels, noise(CHAIN)) - reference(CHAIN)).norm().item())
    assert math.log2(errors[0] / errors[1]) < 2.4
    assert order(SingleStep(3), CHAIN, 60, 120) > 2.8
