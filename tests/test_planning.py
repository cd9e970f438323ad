"""Searched grids, plans and the default: against exhaustive search and exact flows."""

import itertools

import pytest
import torch

from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Multistep, default, grids, plan, walk
from hush.samplers.grids import Focused, Given
from hush.samplers.interpolation import mean_shares
from hush.samplers.search import Teacher, _first, _gram, _inner, _last, searched
from hush.schedules import EDM, Cosine, Rectified, Tabulated
from hush.testing import GaussianMixture, MixtureDenoiser, flow_map

MIXTURE = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.09, 0.04, 0.16]
)
SCHEDULES = {"chain": Tabulated.linear(), "cosine": Cosine(), "EDM": EDM(), "flow": Rectified()}
OVER = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def problem(schedule, count=32, seed=2):
    """An exact denoiser, states at t = 1, and where the flow takes them."""
    process, rng = GaussianProcess(schedule), Streams.of(seed, count)
    x = process.marginal(MIXTURE.sample(rng), 1.0).sample(rng.next(2))
    ends = flow_map(MIXTURE, x, schedule.level(1.0))
    return MixtureDenoiser(process, MIXTURE, spread=False), x, ends


def error(sampler, grid, denoiser, x, ends):
    *_, state = walk(sampler, denoiser, x, grid(denoiser.process.schedule), Streams.of(0, len(x)))
    return (state.x - ends).square().mean(1).sqrt().mean().item()


@pytest.mark.parametrize("steps", [2, 3, 4, 6])
def test_the_search_finds_what_trying_every_grid_finds(steps):
    denoiser, x, _ = problem(Cosine())
    teacher = Teacher.of(denoiser, x, 12)
    gram = _gram(teacher)
    u = torch.tensor(
        [level.sigma / (level.alpha + level.sigma) for level in teacher.levels]
    ).numpy()
    inner = [_inner(gram, u, i) for i in range(12)]
    first, last = _first(gram, u), _last(gram, u)

    def total(path):
        nodes = (0, *path)
        between = zip(nodes, nodes[1:], nodes[2:], strict=False)
        return first[nodes[1]] + sum(inner[i][h, j] for h, i, j in between) + last[nodes[-2:]]

    best = min(itertools.combinations(range(1, 12), steps - 1), key=total)
    wanted = [teacher.levels[place].time for place in (0, *best)] + [0.0]
    assert list(searched(teacher, steps).moments) == wanted


def test_what_the_search_counts_is_what_a_corrected_step_leaves():
    """From the teacher's own states the local error of one inner step, by its definition."""
    denoiser, x, _ = problem(Rectified())
    teacher = Teacher.of(denoiser, x, 40)
    u = [level.time for level in teacher.levels]  # of straight paths the variable is the time
    gram = _gram(teacher)
    h, i, j = 5, 9, 16
    sampler = Multistep(3, corrector=3)
    nodes = [teacher.levels[place] for place in (h, i, j)]
    shares = mean_shares(sampler.basis, nodes, nodes[1], nodes[2])
    mean = sum(w * teacher.slopes[k] for w, k in zip(shares, (h, i, j), strict=True))
    gap = (u[j] - u[i]) * mean - (teacher.places[j] - teacher.places[i])
    counted = _inner(gram, torch.tensor(u).numpy(), i)[h, j]
    assert counted == pytest.approx(gap.square().mean().sqrt().item(), rel=1e-4)


@OVER
def test_the_teacher_walks_the_flow(schedule):
    denoiser, x, ends = problem(schedule)
    assert (Teacher.of(denoiser, x, 128).end - ends).abs().max() < 1e-4


@OVER
@pytest.mark.parametrize("evaluations", [1, 2, 5, 10])
def test_a_plan_is_the_best_of_all_it_tried_on_states_it_did_not_learn_from(schedule, evaluations):
    denoiser, x, ends = problem(schedule)
    plans = plan(denoiser, x, evaluations, rounds=1)
    assert [one.error for one in plans] == sorted(one.error for one in plans)
    best, held = plans[0], slice(16, None)
    found = error(best.sampler, best.grid, denoiser, x[held], ends[held])
    assert found == pytest.approx(best.error, rel=0.01, abs=1e-4)
    for name in (grids.LogSNR, grids.Karras, grids.Uniform):
        plain = error(Multistep(3), name(evaluations), denoiser, x[held], ends[held])
        assert found <= 1.01 * plain
    assert best.grid.steps == evaluations


@OVER
def test_a_plan_halves_the_default_error_of_plain_grids_at_10_evaluations(schedule):
    denoiser, x, _ = problem(schedule, 64)
    best = plan(denoiser, x, 10)[0]
    fresh = problem(schedule, 64, seed=9)
    plain = min(error(Multistep(3), grid, *fresh) for grid in (grids.LogSNR(10), grids.Karras(10)))
    assert error(best.sampler, best.grid, *fresh) < 0.5 * plain


@OVER
@pytest.mark.parametrize(("evaluations", "share"), [(5, 0.75), (10, 0.85), (20, 0.45), (50, 0.1)])
def test_the_default_is_ahead_of_third_order_on_plain_grids(schedule, evaluations, share):
    this = problem(schedule, 64, seed=5)
    plain = min(
        error(Multistep(3), grid(evaluations), *this)
        for grid in (grids.Uniform, grids.LogSNR, grids.Karras)
    )
    assert error(*default(evaluations), *this) < share * plain


def test_what_cannot_be_planned_is_said():
    denoiser, x, _ = problem(Cosine(), 4)
    with pytest.raises(UserError, match="got 0 and 4"):
        plan(denoiser, x, 0)
    with pytest.raises(UserError, match="2 to 11 steps, got 12"):
        searched(Teacher.of(denoiser, x, 12), 12)
    with pytest.raises(UserError, match="3 steps want 4 listed times"):
        Given(3, (1.0, 0.5, 0.0))
    with pytest.raises(UserError, match="at least 1 step"):
        Focused(0)
