"""CMDE: pairs whose parts are noised at speeds of their own, against Gaussian pairs (O11)."""

import math
from itertools import pairwise

import pytest
import torch

import hush
from hush.denoisers import Denoiser, DiffusedCondition, ProductDenoiser
from hush.denoisers.parameterisations import EDM, Noise
from hush.distributions import Gaussian, Product
from hush.errors import UserError
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.joint import Joint
from hush.objectives.times import Uniform as Evenly
from hush.objectives.weights import VLB
from hush.processes import GaussianProcess, ProductProcess
from hush.processes.product import Still
from hush.rng import Streams
from hush.samplers import (
    Ancestral,
    EulerMaruyama,
    Heun,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    walk,
)
from hush.samplers.grids import LogSNR, Uniform
from hush.schedules import VarianceExploding
from hush.systems.cmde import cmde
from hush.testing.inverse import FullGaussian, LinearGaussian

RHO, Y = 0.8, 1.5
LOUD = VarianceExploding(0.01, 50.0)
STEPS = 500
SPEEDS = {
    "CDE": Still(),
    "CMDE, .5": GaussianProcess(VarianceExploding(0.005, 0.5)),
    "CMDE, 5": GaussianProcess(VarianceExploding(0.005, 5.0)),
    "CDiffE": GaussianProcess(LOUD),
}
# Mean and variance of x given y after 500 steps of reverse diffusion, of 20,000 samples each.
PUBLISHED = {
    "CDE": (1.200, 0.368),
    "CMDE, .5": (1.190, 0.364),
    "CMDE, 5": (1.150, 0.380),
    "CDiffE": (0.745, 0.502),
}
on_speeds = pytest.mark.parametrize("speed", SPEEDS)


def paired(speed):
    return ProductProcess({"x": GaussianProcess(LOUD), "y": SPEEDS[speed]})


def sigma(part, time):
    return 0.0 if isinstance(part, Still) else part.schedule.level(time).sigma


class Exact(Denoiser):
    """The joint belief about Gaussian vectors (x, y), the first `count` numbers being x: mean
    m + Σ (Σ + D)⁻¹ (z - m) of z = (x_t, y_t), D the noise of each, and each element's variance."""

    def __init__(self, process, data, count):
        super().__init__()
        self.process, self.data, self.count = process, data, count

    def forward(self, x_t, t, cond=None):
        time = self.process.schedule.level(t).time
        count, covariance = self.count, self.data.covariance
        z = torch.cat((x_t["x"], x_t["y"]), 1)
        noise = torch.zeros(len(z), z.shape[1], dtype=torch.float64)
        for name, part in (("x", slice(count)), ("y", slice(count, None))):
            wide = torch.as_tensor(sigma(self.process.parts[name], time), dtype=torch.float64)
            noise[:, part] = wide.reshape(-1, 1) ** 2
        noise = noise[:1] if not isinstance(time, torch.Tensor) else noise
        gain = torch.linalg.solve(covariance + torch.diag_embed(noise), covariance).mT
        mean = self.data.mean + (gain @ (z - self.data.mean).unsqueeze(-1)).squeeze(-1)
        left = (covariance - gain @ covariance).diagonal(dim1=-2, dim2=-1).expand_as(mean)
        return Product(
            {
                "x": Gaussian(mean[:, :count], left[:, :count]),
                "y": Gaussian(mean[:, count:], left[:, count:]),
            }
        )


def pairs(width):
    """`width` independent pairs (x_i, y_i) of unit variance, correlated by ρ."""
    eye = torch.eye(width, dtype=torch.float64)
    blocks = torch.cat((torch.cat((eye, RHO * eye), 1), torch.cat((RHO * eye, eye), 1)))
    return FullGaussian(torch.zeros(2 * width, dtype=torch.float64), blocks)


def given(y):
    return {"picture": 0.5 * (y + 1.0)}  # pictures lie in [0, 1], states in [-1, 1]


def drawn(speed, sampler, grid, count, width=8, seed=3):
    """Samples of x given y = 1.5, (count, width)."""
    rng = Streams.of(seed, count)
    denoiser = DiffusedCondition(Exact(paired(speed), pairs(width), width)).begun(rng.branch("y"))
    cond = given(torch.full((count, width), Y, dtype=torch.float64))
    like = torch.empty(0, dtype=torch.float64)
    x = denoiser.process.prior((count, width), like).sample(rng)
    *_, last = walk(sampler, denoiser, x, grid(LOUD), rng.next(), cond)
    return last.x


def recursion(part, steps=STEPS):
    """The exact mean and variance of what reverse diffusion draws of such a pair: every step is
    x ← A x + B y_t + C z with the score's own coefficients, y_t = y + σ_y ε drawn afresh."""
    levels = Uniform(steps)(LOUD)
    mean, variance = 0.0, 1.0 + levels[0].sigma ** 2
    for t, s in pairwise(levels):
        a, b, push = t.sigma**2, sigma(part, t.time) ** 2, t.sigma**2 - s.sigma**2
        whole = (1.0 + a) * (1.0 + b) - RHO**2
        keep, pull = 1.0 - push * (1.0 + b) / whole, push * RHO / whole
        mean = keep * mean + pull * Y
        variance = keep**2 * variance + pull**2 * b + (push if s.sigma > 0.0 else 0.0)
    return mean, variance


@on_speeds
def test_the_estimators_draw_what_the_exact_recursion_says(speed):
    mean, variance = recursion(SPEEDS[speed])
    assert abs(mean - PUBLISHED[speed][0]) < 0.02
    assert abs(variance - PUBLISHED[speed][1]) < 0.02
    x = drawn(speed, ReverseDiffusion(), Uniform(STEPS), 2500)
    assert abs(x.mean() - mean) < 4.0 * (variance / x.numel()) ** 0.5
    assert abs(x.var() - variance) < 4.0 * variance * (2.0 / x.numel()) ** 0.5


def test_the_slower_y_is_noised_the_less_x_is_biased():
    means, variances = zip(*(recursion(part) for part in SPEEDS.values()), strict=True)
    assert sorted(means, reverse=True) == list(means)
    assert sorted(variances) == list(variances)


def test_the_limits_are_known_in_closed_form():
    """Of infinitely many steps, from infinite noise: CDE is exact; where both are noised alike
    dm/du = (u m - ρ y)/(u² - ρ²), dv/du = 2u v/(u² - ρ²) - 1 with u = 1 + σ² down to 1."""
    left = 1.0 - RHO**2
    mean, variance = recursion(SPEEDS["CDE"], 20_000)
    assert (mean, variance) == pytest.approx((RHO * Y, left), abs=1e-3)
    mean, variance = recursion(SPEEDS["CDiffE"], 20_000)
    limit = Y * (1.0 - left**0.5) / RHO
    spread = left / (2.0 * RHO) * math.log((1.0 + RHO) / (1.0 - RHO))
    assert (mean, variance) == pytest.approx((limit, spread), abs=1e-3)


@pytest.mark.parametrize(
    "sampler",
    [
        Ancestral(),
        EulerMaruyama(),
        PredictorCorrector(ReverseDiffusion(), snr=0.15),
        Heun(),
        Multistep(),
        Multistep(order=1),
    ],
    ids=repr,
)
def test_every_sampler_walks_it(sampler):
    x = drawn("CMDE, .5", sampler, LogSNR(60), 250)
    assert abs(x.mean() - RHO * Y) < 0.05
    assert abs(x.var() - 0.36) < 0.04


def test_an_inverse_problem_is_solved():
    """O11: CDE's estimator with the exact conditional belief draws the posterior, to 5 %."""
    first = [[1.0, 0.5, 0.2, 0.0], [0.5, 0.8, 0.3, 0.1], [0.2, 0.3, 0.6, 0.2], [0, 0.1, 0.2, 0.5]]
    prior = FullGaussian(
        torch.tensor([0.7, -0.4, 0.1, 0.0], dtype=torch.float64),
        torch.tensor(first, dtype=torch.float64),
    )
    means = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], dtype=torch.float64)
    problem = LinearGaussian(prior, means, 0.1)
    covariance, across = prior.covariance, prior.covariance @ means.T
    seen = means @ across + 0.01 * torch.eye(2, dtype=torch.float64)
    whole = torch.cat((torch.cat((covariance, across), 1), torch.cat((across.T, seen), 1)))
    data = FullGaussian(torch.cat((prior.mean, prior.mean @ means.T)), whole)
    y, count = torch.tensor([[1.0, -0.5]], dtype=torch.float64), 4000
    wanted = problem.given(y)
    rng = Streams.of(7, count)
    denoiser = DiffusedCondition(Exact(paired("CDE"), data, 4), rng)
    like = torch.empty(0, dtype=torch.float64)
    x = denoiser.process.prior((count, 4), like).sample(rng)
    cond = given(y.expand(count, 2))
    *_, last = walk(ReverseDiffusion(), denoiser, x, Uniform(STEPS)(LOUD), rng.next(), cond)
    mean, spread = last.x.mean(0), last.x.T.cov()
    assert torch.linalg.norm(mean - wanted.mean[0]) < 0.05 * torch.linalg.norm(wanted.mean)
    gap = torch.linalg.norm(spread - wanted.covariance)
    assert gap < 0.05 * torch.linalg.norm(wanted.covariance)


def test_y_is_noised_as_its_own_process_does_afresh_at_every_level():
    class Shown(Exact):
        def forward(self, x_t, t, cond=None):
            belief = super().forward(x_t, t)
            return Product({**belief.parts, "x": Gaussian(x_t["y"])})

    count, width = 4000, 4
    joint = Shown(paired("CMDE, 5"), pairs(width), width)
    denoiser = DiffusedCondition(joint, Streams.of(1, count))
    x = torch.zeros(count, width, dtype=torch.float64)
    cond = given(torch.full_like(x, Y))
    one, other = (denoiser(x, t, cond).mean for t in (0.7, 0.7001))
    wide = joint.process.parts["y"].schedule.level(0.7).sigma
    assert abs(one.mean() - Y) < 4.0 * wide / x.numel() ** 0.5
    assert abs(one.std() / wide - 1.0) < 4.0 * (0.5 / x.numel()) ** 0.5
    both = torch.stack((one.flatten(), other.flatten()))
    assert abs(both.corrcoef()[0, 1]) < 4.0 / x.numel() ** 0.5
    assert torch.equal(denoiser(x, 0.7, cond).mean, one)
    each = torch.full((count,), 0.7, dtype=torch.float64)
    torch.testing.assert_close(denoiser(x, each, cond).mean, one)
    part = slice(100, 250)
    alone = denoiser.begun(Streams.of(1, count)[part])
    assert torch.equal(alone(x[part], 0.7, given(torch.full_like(x[part], Y))).mean, one[part])
    assert not torch.equal(denoiser.begun(Streams.of(2, count))(x, 0.7, cond).mean, one)


class Known(torch.nn.Module):
    """A network that answers what it was told to, and keeps what it saw."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, clock, cond=None):
        self.seen, self.clock = x, clock
        return self.answer


@pytest.mark.parametrize("says", [Noise(), EDM(0.7)], ids=repr)
@pytest.mark.parametrize("each", [False, True], ids=["shared", "per sample"])
def test_every_part_is_believed_at_its_own_level(says, each):
    rng = Streams.of(0, 3)
    process = ProductProcess({**paired("CMDE, .5").parts, "z": Still()})
    shapes = {"x": (2, 4, 4), "y": (1, 4, 4), "z": (3, 4, 4)}
    x_0 = {n: rng.branch(n).normal(shape, torch.float64) for n, shape in shapes.items()}
    t = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64) if each else 0.6
    x_t = process.marginal(x_0, t).sample(rng)
    right, scaled = [], []
    for name, part in process.parts.items():
        if name == "z":
            right.append(torch.zeros_like(x_0[name]))
            continue
        level = part.schedule.level(t)
        skip, out, c_in, _ = (
            torch.as_tensor(v).reshape(-1, 1, 1, 1) for v in says(part.schedule, level)
        )
        right.append((x_0[name] - skip * x_t[name]) / out)
        scaled.append(c_in * x_t[name])
    network = Known(torch.cat(right, 1))
    belief = ProductDenoiser(process, network, says)(x_t, t)
    for name, value in x_0.items():
        torch.testing.assert_close(belief.parts[name].mean, value)
    torch.testing.assert_close(network.seen[:, :3], torch.cat(scaled, 1))
    clock = torch.as_tensor(says.clock(LOUD, LOUD.level(t)), dtype=torch.float64)
    torch.testing.assert_close(network.clock, clock.expand(3))


@on_speeds
def test_the_loss_of_the_exact_belief_is_the_information_that_noise_leaves(speed):
    """The rate of the exact belief is the fall of I = ½ log det(1 + Σ/D), so its mean over time is
    known, D being the noise of both parts (of a part that stays still: what it leaves of x)."""
    start, count, width = 0.05, 20_000, 4
    data, process = pairs(width), paired(speed)
    z = data.sample(Streams.of(4, count))
    x_0, cond = z[:, :width], given(z[:, width:])
    denoiser = DiffusedCondition(Exact(process, data, width))
    objective = Joint(times=Evenly(start))
    losses = objective(denoiser, x_0, Streams.of(5, count), cond)

    def information(time):
        a = LOUD.level(time).sigma ** 2
        if speed == "CDE":
            return 0.5 * math.log(1.0 + (1.0 - RHO**2) / a)
        b = sigma(process.parts["y"], time) ** 2
        return 0.5 * math.log(((1.0 + a) * (1.0 + b) - RHO**2) / (a * b))

    wanted = (information(start) - information(1.0)) / (1.0 - start)
    assert abs(losses.mean() - wanted) < 4.0 * losses.std() / count**0.5


def test_of_a_still_y_the_loss_is_that_of_x_alone():
    data, process = pairs(4), paired("CDE")
    z = data.sample(Streams.of(4, 50))
    joint = Exact(process, data, 4)
    x_0, cond, t = z[:, :4], given(z[:, 4:]), torch.linspace(0.1, 1.0, 50).double()
    rng = Streams.of(1, 50)
    got = Joint().at(DiffusedCondition(joint), x_0, t, rng, cond)
    state = {"x": x_0, "y": z[:, 4:]}
    level = LOUD.level(t)
    x_t = process.marginal(state, level).sample(rng)
    belief = joint(x_t, level).parts["x"]
    alone = Denoising(VLB()).judge(process.parts["x"], belief, x_0, x_t["x"], level)
    torch.testing.assert_close(got, alone)


class Alone(Denoiser):
    """The belief about x ~ N(0, 1) that knows no y."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def forward(self, x_t, t, cond=None):
        return Gaussian(x_t / (1.0 + self.process.schedule.level(t).sigma.unsqueeze(1) ** 2))


@on_speeds
def test_what_is_held_out_is_judged_by_x_alone(speed):
    """The loss is the rate -½ d(1/a)/dt·mmse, mmse = v a/(v + a), a = σ_x², with the variance v
    of x that y_t leaves; a denoiser that knows no y has v = 1."""
    start, count, width = 0.3, 20_000, 4
    data, process = pairs(width), paired(speed)
    z = data.sample(Streams.of(4, count))
    t = start + (1.0 - start) * Streams.of(6, count).uniform()
    told = DiffusedCondition(Exact(process, data, width)).eval()
    alone = Alone(process.parts["x"]).eval()
    for denoiser in (told, alone):
        losses = Joint().at(denoiser, z[:, :width], t, Streams.of(5, count), given(z[:, width:]))
        noise = sigma(process.parts["y"], t) if denoiser is told else math.inf
        left = 1.0 - RHO**2 / (1.0 + torch.as_tensor(noise).double() ** 2)
        a = LOUD.level(t).sigma ** 2
        rates = LOUD.rates(t)[1] / LOUD.level(t).sigma * left / (left + a)
        assert abs((losses - rates).mean()) < 4.0 * (losses - rates).std() / count**0.5


def test_what_cannot_be_is_said():
    denoiser = DiffusedCondition(Exact(paired("CDE"), pairs(2), 2))
    x = torch.zeros(3, 2, dtype=torch.float64)
    with pytest.raises(UserError, match="given y"):
        denoiser(x, 0.5)
    with pytest.raises(UserError, match="one for each"):
        denoiser.begun(Streams.of(0, 2))(x, 0.5, given(x))
    with pytest.raises(UserError, match="mask"):
        Joint()(denoiser, x, Streams.of(0, 3), given(x), x > 0.0)
    with pytest.raises(UserError, match="still"):
        paired("CDE").prior({"x": (3, 2), "y": (3, 2)}, x)


SMALL = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)


@pytest.mark.parametrize("sigma_y", [0.0, 0.5, 8.0])
def test_the_system_learns_and_draws(sigma_y, tmp_path):

    data = hush.data.digits()
    torch.manual_seed(0)
    model = cmde(data.shape, 2, SMALL, sigma_y=sigma_y)
    changes = {"steps": 4, "batch": 8, "warmup": 0, "sample_every": 100, "held_out": 0.01}
    model = hush.train(model, data, tmp_path / "run", show=False, **changes)
    picture = torch.rand(2, 1, 8, 8)
    x = model.sample(3, {"picture": picture}, grid=5, seed=1)
    assert x.shape == (3, 1, 8, 8)
    assert 0.0 <= x.min() <= x.max() <= 1.0
    other = model.sample(3, {"picture": 1.0 - picture}, grid=5, seed=1)
    assert not torch.equal(x, other)
