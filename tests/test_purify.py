"""Purification's laws: on Gaussian data and with exact beliefs, what comes out is known."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from hush import systems
from hush.codecs import Range
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, EulerMaruyama
from hush.samplers.grids import Uniform
from hush.schedules import EDM, Rectified, Tabulated, VariancePreserving
from hush.system import Recipe, System
from hush.tasks import Generate
from hush.tasks.purify import Adaptive, Deterministic, DiffPure, Guided, Near, Purifier
from hush.tasks.purify.adaptive import blurred_score
from hush.tasks.purify.renewed import descent
from hush.testing import GaussianMixture, MixtureDenoiser, every
from hush.testing.guidance import check_guidance

MEAN, VARIANCE, ATTACKED = 0.7, 0.25, 1.6
DATA = GaussianMixture.of([1.0], [[[[MEAN]]]], [VARIANCE])
TWO = GaussianMixture.of(
    [0.4, 0.6], [[[[-1.0, 0.5], [0.0, 1.0]]], [[[1.0, -0.5], [0.3, 0.0]]]], [0.1, 0.3]
)
SCHEDULES = {
    "VP": VariancePreserving(),
    "chain": Tabulated(),
    "EDM": EDM(),
    "rectified": Rectified(),
}
on_schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
MANY = 40_000


def exact(schedule, data=DATA, spread=True):
    """A run that is never wrong about data that its codec leaves as they are."""
    denoiser = MixtureDenoiser(GaussianProcess(schedule), data, spread)
    task = Generate(tuple(data.event))
    return System(Range(), denoiser, Denoising(), Ancestral(), Uniform(), task, Recipe(), None)


def gain(level):
    """(E[x_0 | x_t] - m)/(x_t - α m) and Var[x_0 | x_t] of the Gaussian data."""
    noised = level.alpha**2 * VARIANCE + level.sigma**2
    return level.alpha * VARIANCE / noised, level.sigma**2 * VARIANCE / noised


def purified(purifier, system, count=MANY, seed=3):
    x = torch.full((count, 1, 1, 1), ATTACKED, dtype=torch.float64)
    return purifier.clean(system, x, Streams.of(seed, count)).flatten()


def like(x, mean, variance):
    """Within four standard errors of a Gaussian's moments."""
    count = len(x)
    assert x.mean().item() == pytest.approx(mean, abs=4.0 * (variance / count) ** 0.5)
    assert x.var().item() == pytest.approx(variance, rel=4.0 * (2.0 / count) ** 0.5)


@on_schedules
@pytest.mark.parametrize(("depth", "steps"), [(0.1, 7), (0.6, 3)])
def test_diffpure_draws_from_what_the_noised_picture_leaves_open(schedule, depth, steps):
    """x_t = α x_a + σ ε and then x_0 ~ p(x_0 | x_t): the mean α g (x_a - m) from m, the variance
    g² σ² + Var[x_0 | x_t], whatever the steps."""
    t = schedule.level(depth)
    slope, left = gain(t)
    mean = MEAN + slope * t.alpha * (ATTACKED - MEAN)
    out = purified(DiffPure(depth, steps), exact(schedule))
    like(out, mean, slope**2 * t.sigma**2 + left)


def test_diffpure_by_eulers_steps_goes_to_the_same_law():
    system = exact(VariancePreserving(), spread=False)
    t = system.denoiser.process.schedule.level(0.3)
    slope, left = gain(t)
    out = purified(DiffPure(0.3, 200, EulerMaruyama()), system, 20_000)
    mean, variance = MEAN + slope * t.alpha * (ATTACKED - MEAN), slope**2 * t.sigma**2 + left
    assert out.mean().item() == pytest.approx(mean, abs=0.02)
    assert out.var().item() == pytest.approx(variance, rel=0.05)


def test_rounds_come_one_after_the_other():
    """Each round is DiffPure of the last one's answer: x ← m + α g (x - m) + noise."""
    schedule = VariancePreserving()
    t = schedule.level(0.2)
    slope, left = gain(t)
    mean, variance = ATTACKED, 0.0
    for _ in range(3):
        mean = MEAN + slope * t.alpha * (mean - MEAN)
        variance = (slope * t.alpha) ** 2 * variance + slope**2 * t.sigma**2 + left
    like(purified(DiffPure(0.2, 4, rounds=3), exact(schedule)), mean, variance)


def started(t, count):
    """x_t - α m of the picture noised to a level by the draws that `purified` makes."""
    noise = Streams.of(3, count).normal((1, 1, 1), torch.float64).flatten()
    return t.alpha * (ATTACKED - MEAN) + t.sigma * noise


@on_schedules
def test_deterministic_is_a_line_in_the_noise_it_starts_with(schedule):
    """x_s - α_s m = (k + p g)(x_t - α_t m) at each of DDIM's steps: the only draw is the first."""
    levels, whole = descent(schedule, 0.3, 20), 1.0
    for t, s in itertools.pairwise(levels):
        keep = s.sigma / t.sigma
        whole *= keep + (s.alpha - keep * t.alpha) * gain(t)[0]
    out = purified(Deterministic(0.3), exact(schedule, spread=False), 50)
    torch.testing.assert_close(out, MEAN + whole * started(levels[0], 50), atol=1e-12, rtol=0.0)


def test_deterministic_goes_to_the_flow_of_the_data():
    """Where the steps are many it is √(v/(α² v + σ²)) of the way from the mean."""
    schedule = VariancePreserving()
    t = schedule.level(0.3)
    whole = (VARIANCE / (t.alpha**2 * VARIANCE + t.sigma**2)) ** 0.5
    errors = []
    for steps in (50, 100, 200):
        out = purified(Deterministic(0.3, steps), exact(schedule, spread=False), 50)
        errors.append((out - MEAN - whole * started(t, 50)).abs().max().item())
    assert errors[-1] < 0.01
    for less, more in itertools.pairwise(errors):
        assert less / more == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_guided_draws_from_the_law_of_its_own_steps(scale):
    """Each step's mean gains p σ²/α s_t (x_{a,t} - x_t), s_t = scale σ/α, and x_{a,t} brings noise
    of its own: mean and variance of a linear recursion."""
    schedule, depth, steps = VariancePreserving(), 0.4, 12
    levels = descent(schedule, depth, steps)
    t = levels[0]
    mean, variance = t.alpha * ATTACKED, t.sigma**2
    for t, s in itertools.pairwise(levels):
        remain = (s.sigma * t.alpha / (s.alpha * t.sigma)) ** 2
        keep = s.sigma / t.sigma * remain**0.5
        pull = s.alpha - keep * t.alpha
        slope, left = gain(t)
        push = scale * t.sigma**3 / t.alpha**2
        believed = MEAN + slope * (mean - t.alpha * MEAN) + push * (t.alpha * ATTACKED - mean)
        fresh = (1.0 - remain) * s.sigma**2 + pull**2 * (left + push**2 * t.sigma**2)
        mean = keep * mean + pull * believed
        variance = (keep + pull * (slope - push)) ** 2 * variance + fresh
    bare = purified(DiffPure(depth, steps), exact(schedule)).mean().item()
    assert abs(mean - ATTACKED) < abs(bare - ATTACKED)
    like(purified(Guided(depth, steps, rounds=1, scale=scale), exact(schedule)), mean, variance)


def test_guided_without_a_scale_is_diffpure_bit_for_bit():
    x = TWO.sample(Streams.of(0, 9))
    for rounds in (1, 3):
        system = exact(Tabulated(), TWO)
        held = Guided(0.2, 11, rounds=rounds, scale=0.0).clean(system, x, Streams.of(1, 9))
        free = DiffPure(0.2, 11, rounds=rounds).clean(system, x, Streams.of(1, 9))
        assert torch.equal(held, free)


def test_near_is_a_guidance_like_all():
    check_guidance(Near())
    x = torch.zeros(4, 1, 2, 2, dtype=torch.float64)
    near = Near(x, Streams.of(0, 4), 2.0)(exact(EDM(), TWO).denoiser)
    assert torch.equal(near(x, 0.4).mean, near(x, 0.4).mean)
    assert not torch.equal(near(x, 0.4).mean, near(x, 0.5).mean)


@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_the_score_at_a_level_is_that_of_the_blurred_data(ratio):
    x = TWO.sample(Streams.of(5, 20))
    for schedule in SCHEDULES.values():
        level = schedule.at_ratio(ratio)
        got = blurred_score(exact(schedule, TWO).denoiser, x, level)
        wanted = TWO.score(x, level._replace(alpha=1.0, sigma=ratio))
        torch.testing.assert_close(got, wanted, atol=1e-9, rtol=1e-9)


@on_schedules
def test_adp_takes_the_share_over_the_curvature_on_a_quadratic(schedule):
    """h = 1/(v + r²) everywhere, a = λ/h: each step leaves 1 - λ of the distance to the mean, of
    any data; held to a it leaves 1 - a h."""
    system, noise, steps, ratio = exact(schedule), 0.5, 6, 0.25
    drawn = Streams.of(3, 30).normal((1, 1, 1), torch.float64).flatten()
    first = ATTACKED + noise * drawn - MEAN
    bend = 1.0 / (VARIANCE + ratio**2)
    for share in (0.05, 0.3):
        out = purified(Adaptive(noise, steps, ratio, share), system, 30)
        torch.testing.assert_close(out, MEAN + (1 - share) ** steps * first, atol=1e-8, rtol=1e-8)
    fixed = Adaptive(noise, steps, ratio, smallest=0.02, largest=0.02)
    held = Adaptive(noise, steps, ratio, share=5.0, largest=0.02)
    wanted = MEAN + (1 - 0.02 * bend) ** steps * first
    for purifier in (fixed, held):
        torch.testing.assert_close(purified(purifier, system, 30), wanted, atol=1e-8, rtol=1e-8)
    width = 0.05 / bend
    stopped = replace(Adaptive(noise, steps, ratio), stop=1.01 * width)
    torch.testing.assert_close(purified(stopped, system, 30), MEAN + first)
    moving = replace(stopped, stop=0.99 * width)
    assert not torch.allclose(purified(moving, system, 30), MEAN + first)


def test_adp_takes_its_longest_step_where_the_density_does_not_bend_down():
    """Halfway between two narrow Gaussians log p is a valley."""
    valley = GaussianMixture.of([0.5, 0.5], [[[[-1.0]]], [[[1.0]]]], [0.01, 0.01])
    x = torch.full((1, 1, 1, 1), 0.05, dtype=torch.float64)
    system = exact(VariancePreserving(), valley)
    level = VariancePreserving().at_ratio(0.25)
    step = Adaptive(0.0, 1, largest=0.03).clean(system, x, Streams.of(0, 1)) - x
    torch.testing.assert_close(step, 0.03 * blurred_score(system.denoiser, x, level))


def test_adps_step_is_each_samples_own():
    """Of a mixture of a wide and a narrow component the wide one is left in longer steps."""
    data = GaussianMixture.of([0.5, 0.5], [[[[-9.0]]], [[[9.0]]]], [0.04, 1.0])
    x = torch.tensor([-8.8, 10.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    out = Adaptive(0.0, 1, largest=9.0).clean(exact(EDM(), data), x, Streams.of(0, 2)).flatten()
    torch.testing.assert_close(
        out, torch.tensor([-9.0 + 0.95 * 0.2, 9.0 + 0.95], dtype=torch.float64), atol=1e-6, rtol=0.0
    )


PURIFIERS = [
    DiffPure(0.3, 5),
    Deterministic(0.3, 5),
    Guided(0.3, 5, rounds=2, scale=3.0),
    Adaptive(steps=3, stop=0.004),
]


@pytest.mark.parametrize("purifier", PURIFIERS, ids=lambda one: type(one).__name__)
def test_a_pictures_answer_is_its_own(purifier):
    """Whatever the batch, and whoever stands beside it."""
    system = exact(Tabulated(), TWO)
    pictures = TWO.sample(Streams.of(8, 7)).clamp(0.0, 1.0)
    whole = purifier(system, pictures, seed=4)
    torch.testing.assert_close(purifier(system, pictures, 4, batch=3), whole, atol=1e-12, rtol=0.0)
    tail = purifier(system, pictures[5:], 4, start=5)
    torch.testing.assert_close(tail, whole[5:], atol=1e-12, rtol=0.0)
    assert torch.equal(purifier(system, pictures, 4), whole)
    assert not torch.allclose(purifier(system, pictures, 5), whole)


@pytest.mark.parametrize("purifier", PURIFIERS, ids=lambda one: type(one).__name__)
def test_the_slope_through_a_purifier_is_its_own(purifier):
    """Against differences, with the same draws; where nobody asks for it nothing is kept."""
    system = exact(VariancePreserving(), TWO)
    defence, rng = purifier.within(system), Streams.of(2, 3)
    x = TWO.sample(Streams.of(9, 3)).clamp(0.0, 1.0)
    asked = x.clone().requires_grad_()
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (slope,) = torch.autograd.grad(defence(asked, rng).sum(), asked)
    width = 1e-5
    rise = (defence(x + width * way, rng) - defence(x - width * way, rng)).sum() / (2 * width)
    assert (slope * way).sum().item() == pytest.approx(rise.item(), rel=1e-5)
    assert not defence(x, rng).requires_grad


def test_rounding_to_the_datas_levels_is_passed_over_by_slopes():
    model = systems.ddpm((1, 8, 8), (), SMALL)
    model.codec.fit([torch.linspace(0.0, 1.0, 17)], levels=17)
    pictures = torch.full((2, 1, 8, 8), 0.3, requires_grad=True)
    out = DiffPure(0.05, 3).within(model)(pictures, Streams.of(0, 2))
    torch.testing.assert_close(16.0 * out, (16.0 * out).round())
    assert torch.autograd.grad(out.sum(), pictures)[0].abs().min() > 0.0
    assert all(weight.grad is None for weight in model.denoiser.parameters())
    assert not DiffPure(0.05, 3)(model, pictures.detach()).requires_grad


SMALL = Backbone(width=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.1)


def test_any_run_purifies_with_classes_and_without_and_of_tokens():
    pictures = torch.linspace(0.0, 1.0, 128).reshape(2, 1, 8, 8)
    cases = {
        "classes": systems.ddpm((1, 8, 8), ("a", "b"), SMALL),
        "edm": systems.edm((1, 8, 8), (), SMALL),
        "tokens": systems.d3pm((1, 8, 8), (), SMALL, 17),
    }
    for name, model in cases.items():
        fit = getattr(model.codec, "fit", None)
        fit([pictures], levels=17)
        out = DiffPure(0.2, 4)(model, pictures, seed=1)
        assert out.shape == pictures.shape, name
        assert out.isfinite().all(), name
        assert out.min() >= 0.0, name
        assert out.max() <= 1.0, name
    with pytest.raises(UserError, match="tokens"):
        Adaptive()(cases["tokens"], pictures)


def test_a_descent_of_a_chain_is_of_its_own_steps():
    chain = Tabulated.linear(100)
    assert [round(100 * t.time) for t in descent(chain, 0.1, 4)] == [10, 8, 5, 2, 0]
    assert [round(100 * t.time) for t in descent(chain, 0.1, 50)] == list(range(10, -1, -1))
    assert [round(100 * t.time) for t in descent(chain, 0.001, 5)] == [1, 0]
    assert [t.time for t in descent(EDM(), 0.5, 2)] == [0.5, 0.25, 0.0]


class Marked(Denoiser):
    """Says 0 and remembers whether it was told of a class and in what mode it was."""

    def __init__(self):
        super().__init__()
        self.process, self.seen = GaussianProcess(), []
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x_t, t, cond=None):
        self.seen.append((cond, self.training))
        return Gaussian(0.0 * self.scale * x_t)


def test_the_run_is_asked_without_a_class_and_as_it_is_used():
    denoiser = Marked().train()
    system = replace(exact(Tabulated()), denoiser=denoiser, task=Generate((1, 2, 2), ("a", "b")))
    DiffPure(0.1, 3)(system, torch.zeros(1, 1, 2, 2))
    assert denoiser.seen == [(None, False)] * 3


def test_what_cannot_be_purified_is_said():
    system = exact(Tabulated(), TWO)
    good = torch.full((2, 1, 2, 2), 0.5)
    for bad in (good[:, :, :1], good[0], good[:0], good + 1.0, good - 1.0, good * torch.nan):
        with pytest.raises(UserError):
            DiffPure(0.1, 2)(system, bad)
    for make in (
        lambda: DiffPure(depth=0.0),
        lambda: DiffPure(depth=1.5),
        lambda: Guided(rounds=0),
        lambda: Deterministic(steps=0),
        lambda: Adaptive(share=0.0),
        lambda: Adaptive(smallest=1.0),
        lambda: Adaptive(noise=-0.1),
    ):
        with pytest.raises(UserError):
            make()


def test_every_purifier_has_its_paper():
    assert {type(one) for one in every(Purifier)} == {DiffPure, Deterministic, Guided, Adaptive}
    assert all(one.cite for one in every(Purifier))
