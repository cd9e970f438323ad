"""Yardsticks: what is Gaussian they know exactly, and a verdict says what they show."""

import inspect
from dataclasses import replace

import pytest
import torch
from windows import table

from hush import systems
from hush.data import Source, digits, split
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.evaluation.held_out import Losses, held_out_each, held_out_losses
from hush.evaluation.principal import Moments
from hush.evaluation.yardstick import Yardsticks, unlearned, verdict, yardsticks
from hush.networks import Backbone
from hush.noise import Coloured
from hush.objectives import Denoising, HighOrder, SlicedScoreMatching, Spread, Variational
from hush.objectives.weights import VLB, MinSNR, SNRPlusOne, Unit
from hush.processes import GaussianProcess, ProductProcess
from hush.rng import Streams
from hush.schedules import Level
from hush.systems.index import TABLE
from hush.testing import FullGaussian, GaussianMixture, JointTable, MixtureDenoiser, TableDenoiser
from hush.world import World

torch.set_num_threads(1)
TINY = Backbone(width=8, multipliers=(1,), blocks=1, attention=(), dropout=0.0)
EVENT = (1, 4, 4)
SIZE = 16
RESTORING = (
    "sr3",
    "srdiff",
    "palette",
    "cmde",
    "cascade",
    "csdi",
    "sssd",
    "timegrad",
)  # their data are seen beside a part or a picture of them
OF_A_RUN = ("analytic_dpm", "ldm", "autoencoder")  # told again of one, made of one, or one to be
NONE = ("anoddpm", "csde")  # whose noise has no density, or is the data's own
NUMBERS = [n for n in TABLE if n not in ("d3pm", "ardm", *NONE, *OF_A_RUN, *RESTORING)]
OBJECTIVES = [Denoising(Unit()), Denoising(SNRPlusOne()), Denoising(MinSNR()), Denoising(VLB())]


class Given(Source):
    """Records of any numbers."""

    name = "given"

    def __init__(self, x):
        self.x, self.shape = x, tuple(x.shape[1:])

    def __len__(self):
        return len(self.x)

    def read(self, indices, draws=None):
        return {"image": self.x[list(indices)]}

    def digest(self):
        return "given"


class Exact(Denoiser):
    """The posterior of hush.testing, one sample at a time, each at a level of its own."""

    def __init__(self, process, data):
        super().__init__()
        self.process, self.data = process, data

    def forward(self, x_t, t, cond=None):
        level = self.process.schedule.level(t)
        rows = zip(*(part.expand(len(x_t)).tolist() for part in level), strict=True)
        beliefs = [
            self.data.posterior(x.reshape(1, -1), Level(*row))
            for x, row in zip(x_t, rows, strict=True)
        ]
        mean, variance = (
            torch.cat([getattr(belief, part) for belief in beliefs]).reshape(x_t.shape)
            for part in ("mean", "variance")
        )
        return Gaussian(mean, variance)


def built(name, event=EVENT, seed=0, **kwargs):
    torch.manual_seed(seed)
    system = getattr(systems, name)
    if name in ("vdm", "improved_ddpm"):
        kwargs = {"levels": None, **kwargs}
    if name == "palette":
        kwargs = {"tasks": ("inpaint",), **kwargs}
    small = {"width": 8, "depth": 1} if TABLE[name].data == "series" else {"backbone": TINY}
    return system(event, **small, **kwargs)  # its codec, not fitted, leaves data as they are


def gaussian_law(seed=0):
    """Three strong axes of sixteen, and noise all around."""
    normal = Streams.of(seed, 1).normal((SIZE, SIZE), torch.float64)[0]
    axes = torch.linalg.qr(normal).Q
    values = torch.tensor([1.0, 0.6, 0.3] + [0.02] * (SIZE - 3), dtype=torch.float64)
    mean = torch.linspace(-0.5, 0.5, SIZE, dtype=torch.float64)
    return FullGaussian(mean, axes * values @ axes.T), values


def with_moments(law, count):
    """Records whose sample mean and covariance are those of the law, to rounding."""
    x = Streams.of(5, count).normal((SIZE,), torch.float64)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / count), x.T, upper=False)
    return law.mean + (torch.linalg.cholesky(law.covariance) @ white).T


@pytest.fixture(scope="module")
def data():
    """A Gaussian law, its eigenvalues, records that have its moments, and records drawn from it."""
    law, values = gaussian_law()
    train = Given(with_moments(law, 400).reshape(-1, *EVENT))
    return law, values, train, Given(law.sample(Streams.of(6, 640)).reshape(-1, *EVENT))


def within(losses, expected, errors=4.0):
    """Whether the mean loss at each level is what is expected, by its standard error."""
    for level, value in enumerate(expected):
        each = losses.at(level)
        error = errors * (each.var() / len(each)).sqrt().item()
        assert each.mean().item() == pytest.approx(value, abs=error)


# the laws of both


@pytest.mark.parametrize("name", NUMBERS)
def test_on_gaussian_data_the_gaussian_is_the_exact_belief_for_every_system(name, data):
    law, _, train, held_out = data
    system = built(name)
    found = yardsticks(system, train, held_out, seed=1).gaussian
    exact = replace(system, denoiser=Exact(system.denoiser.process, law))
    expected = held_out_each(exact, held_out, 1)
    assert found.times == expected.times
    assert torch.allclose(found.each, expected.each, rtol=1e-7, atol=1e-9)
    assert found.each.isfinite().all()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: str(objective.weight))
@pytest.mark.parametrize("name", ["ddpm", "edm", "rectified_flow"])
def test_their_errors_are_the_posterior_variance_and_the_variance_of_the_data(
    name, objective, data
):
    _, values, train, held_out = data
    system = built(name)
    system = replace(system, objective=replace(objective, times=system.objective.times))
    found, schedule = yardsticks(system, train, held_out), system.denoiser.process.schedule
    u = (torch.arange(8, dtype=torch.float64) + 0.5) / 8
    level = schedule.level(system.objective.times.quantile(schedule, u))
    weight = objective.weight(schedule, level)
    alpha, sigma = level.alpha.unsqueeze(1), level.sigma.unsqueeze(1)
    posterior = (sigma**2 * values / (alpha**2 * values + sigma**2)).mean(1)
    within(found.gaussian, (weight * posterior).tolist())
    within(found.constant, (weight * values.mean()).tolist())
    # In expectation no level has the Gaussian above the constant.
    gain = Losses(found.constant.times, found.constant.each - found.gaussian.each)
    for place in range(8):
        each = gain.at(place)
        assert each.mean() > -4.0 * (each.var() / len(each)).sqrt()


@pytest.mark.parametrize("objective", [HighOrder(), Variational(), Spread(), SlicedScoreMatching()])
def test_objectives_that_ask_for_more_than_a_mean_find_it(objective):
    law = FullGaussian(torch.full((SIZE,), 0.3).double(), 0.4 * torch.eye(SIZE).double())
    train = Given(with_moments(law, 100).reshape(-1, *EVENT))
    held_out = Given(law.sample(Streams.of(6, 320)).reshape(-1, *EVENT))
    system = replace(built("ddpm"), objective=objective)
    found = yardsticks(system, train, held_out)
    mixture = GaussianMixture.of([1.0], law.mean.reshape(1, *EVENT).tolist(), [0.4])
    exact = replace(system, denoiser=MixtureDenoiser(system.denoiser.process, mixture))
    expected = held_out_each(exact, held_out)
    assert torch.allclose(found.gaussian.each, expected.each, rtol=1e-6, atol=1e-9)
    assert found.constant.each.isfinite().all()
    if isinstance(objective, SlicedScoreMatching):  # Stein's identity: the same expectation
        plain = yardsticks(replace(system, objective=Denoising()), train, held_out)
        for one, other in ((found.gaussian, plain.gaussian), (found.constant, plain.constant)):
            difference = one.each - other.each
            assert abs(difference.mean()) < 4.0 * (difference.var() / len(difference)).sqrt()


def test_of_tokens_they_are_frequencies_and_bayes_rule():
    x = (Streams.of(2, 300).uniform((1, 1, 3)) ** 2 * 3).long()
    system = systems.d3pm((1, 1, 3), (), TINY, levels=3, kernel="mask_and_replace", chain=10)
    system = replace(system, objective=Denoising(Unit()))
    source = Given(x / 2.0)
    constant, bayes = unlearned(system, source)
    counts = torch.stack([(x == token).sum(0) for token in range(3)], -1).double()
    shares = (counts + 0.5) / (300 + 1.5)
    assert torch.allclose(constant.log_probs.exp()[..., :3], shares, atol=1e-12)
    assert (constant.log_probs[..., 3] == -torch.inf).all()  # data are never the mask
    process, (one, two, three) = system.denoiser.process, shares.reshape(3, 3)
    table = JointTable(torch.einsum("i,j,k->ijk", one, two, three))
    x_t = process.marginal(x, 0.4).sample(Streams.of(3, 300))
    expected = TableDenoiser(process, table)(x_t.reshape(300, 3), 0.4).probs
    assert torch.allclose(bayes(x_t, 0.4).probs.reshape(300, 3, 4), expected, atol=1e-12)
    losses = yardsticks(system, source, source).constant
    assert losses.each[0].item() == pytest.approx(constant(x[:1], 0.4).error(x[:1]).mean().item())


@pytest.mark.parametrize("name", ["d3pm", "ardm"])
def test_systems_of_tokens_are_measured_and_the_best_network_is_below(name):
    table = JointTable.random(3, 3, seed=1, sharpness=2.0)
    x = table.sample(Streams.of(4, 1600)).reshape(-1, 1, 1, 3)
    train, held_out = Given(x[:800] / 2.0), Given(x[800:] / 2.0)
    kernel = {"kernel": "uniform"} if name == "d3pm" else {}
    system = getattr(systems, name)((1, 1, 3), (), TINY, levels=3, **kernel)
    flat = replace(system, denoiser=Flat(TableDenoiser(system.denoiser.process, table)))
    found = yardsticks(system, train, held_out)
    best = held_out_each(flat, held_out)
    assert found.constant.each.mean() >= found.gaussian.each.mean() > best.each.mean()
    assert verdict(best, found) is None


class Flat(Denoiser):
    """A denoiser of vectors, asked for pictures."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process

    def forward(self, x_t, t, cond=None):
        belief = self.denoiser(x_t.flatten(1), t)
        return type(belief)(belief.logits.reshape(*x_t.shape, -1))


def test_they_owe_nothing_to_the_network_and_are_the_same_at_every_call():
    source = digits()
    train, held_out = split(source, 0.02)
    both = [built("improved_ddpm", source.shape, seed, levels=17) for seed in (0, 1)]
    for system in both:
        system.codec.fit([source.images], source.levels)
    first, second, again = (yardsticks(one, train, held_out) for one in (*both, both[0]))
    for other in (second, again):
        assert torch.equal(first.constant.each, other.constant.each)
        assert torch.equal(first.gaussian.each, other.gaussian.each)


def test_there_are_none_for_other_noise_or_data_that_are_all_the_same(data):
    _, _, train, held_out = data
    system = built("ddpm")
    system.denoiser.process = GaussianProcess(system.denoiser.process.schedule, Coloured())
    assert yardsticks(system, train, held_out) is None
    system.denoiser.process = ProductProcess({"x": GaussianProcess()})
    assert yardsticks(system, train, held_out) is None
    assert yardsticks(built("ddpm"), Given(train.x[:1]), held_out) is None


# the fit


def test_the_moments_of_gaussian_records_are_their_own(data):
    law, values, train, _ = data
    found = Moments.of(train.x)
    spread = found.axes.T * (found.values - found.rest) @ found.axes
    covariance = spread + found.rest * torch.eye(SIZE)
    assert torch.allclose(covariance, law.covariance, atol=1e-12)
    assert torch.allclose(found.mean.flatten(), law.mean, atol=1e-12)
    assert torch.allclose(found.variance.flatten(), law.covariance.diagonal(), atol=1e-12)
    assert found.rest.item() == pytest.approx(values[-1].item())


@pytest.mark.parametrize("count", [60, 61])
def test_few_records_of_many_elements_keep_their_variance_and_their_strong_axes(count):
    strong = torch.linalg.qr(Streams.of(7, 2).normal((300,), torch.float64).T).Q.T
    weights = Streams.of(8, count).normal((2,), torch.float64) * 5.0
    x = weights @ strong + 0.1 * Streams.of(9, count).normal((300,), torch.float64)
    found = Moments.of(x)
    total = found.values.sum() + (300 - len(found.values)) * found.rest
    assert total.item() == pytest.approx((x - x.mean(0)).square().sum().item() / count)
    assert len(found.values) == 2  # all else is noise, alike in every direction
    assert torch.allclose(found.axes @ found.axes.T, torch.eye(2, dtype=torch.float64), atol=1e-10)
    assert (found.axes @ strong.T).square().sum().item() == pytest.approx(2.0, abs=0.01)


# the verdict


@pytest.fixture(scope="module")
def mixture():
    """Data of two clouds, a system for them, its yardsticks, and the losses of the best network."""
    means = torch.stack((torch.full(EVENT, -0.8), torch.full(EVENT, 0.8))).double()
    means[1, :, :2] = -0.8
    weights, spread = torch.tensor([0.4, 0.6]).double(), torch.tensor([0.01, 0.01]).double()
    law = GaussianMixture(weights, means, spread)
    train, held_out = (Given(law.sample(Streams.of(seed, 640)).float()) for seed in (1, 2))
    system = built("rectified_flow")
    best = replace(system, denoiser=MixtureDenoiser(system.denoiser.process, law))
    losses = held_out_each(best, held_out)
    return system, held_out, yardsticks(system, train, held_out), losses


def test_the_best_network_is_below_the_gaussian_and_needs_no_word(mixture):
    _, _, found, best = mixture
    gain = found.gaussian.each - best.each
    assert gain.mean() > 4.0 * (gain.var() / len(gain)).sqrt()
    assert verdict(best, found) is None


def test_a_person_is_told_where_nothing_is_learnt(mixture):
    system, held_out, found, best = mixture
    told = verdict(found.constant, found)
    assert "no better than answering the average of the data: nothing is learnt" in told
    assert verdict(found.gaussian, found).startswith("At no noise level is the model measurably")
    assert "nothing is learnt" in verdict(held_out_each(system, held_out), found)
    broken = Losses(best.times, best.each * torch.nan)
    assert verdict(broken, found).startswith("At 8 of 8 noise levels")
    # At a single level: the other seven are of the best there is.
    level = torch.arange(len(best.each)) % 8
    partly = replace(best, each=torch.where(level == 3, found.constant.each, best.each))
    assert verdict(partly, found).startswith("At 1 of 8 noise levels (t = 0.4375) the model is no")
    halfway = found.gaussian.each + 0.3 * (found.constant.each - found.gaussian.each)
    partly = replace(best, each=torch.where(level == 3, halfway, best.each))
    assert "(t = 0.4375) the model is worse than a Gaussian" in verdict(partly, found)


def test_too_few_records_say_nothing(mixture):
    _, _, found, _ = mixture
    few = Losses(found.constant.times, found.constant.each[:24])
    short = Yardsticks(few, replace(few, each=found.gaussian.each[:24]), "a", "b")
    assert verdict(few, short) is None


# many processes


class Apart(World):
    """One of several processes that hears nothing of the others."""

    def summed(self, tensor):
        return tensor


@pytest.mark.parametrize("size", [2, 3, 7])
def test_processes_measure_a_share_each_as_often_and_together_all(size):
    source = digits()
    system = built("ddpm", source.shape)
    system.codec.fit([source.images], source.levels)
    _, held_out = split(source, 0.03)
    whole, asked, parts = held_out_each(system, held_out, 3), [], []
    system.denoiser.register_forward_hook(
        lambda module, given, belief: asked.append(given[0].shape)
    )
    for rank in range(size):
        parts.append(held_out_each(system, held_out, 3, batch=5, world=Apart(rank, size)))
    assert asked == size * asked[: len(asked) // size]  # else sharded ones would wait for ever
    measured = torch.stack([part.each != 0.0 for part in parts])
    assert (measured.sum(0) == 1).all()
    places = measured.double().argmax(0)
    assert (places.diff() >= 0).all()  # contiguous, in the order of ranks
    summed = replace(whole, each=sum(part.each for part in parts))
    assert torch.allclose(summed.each, whole.each, rtol=1e-5)
    assert summed.means() == pytest.approx(held_out_losses(system, held_out, 3), rel=1e-5)


def test_every_system_of_the_table_has_yardsticks(tmp_path):
    for name in TABLE:
        if name in OF_A_RUN:
            continue
        known = inspect.signature(getattr(systems, name)).parameters
        levels = {"levels": 17} if "levels" in known and name != "ncsn" else {}
        source = table(tmp_path) if TABLE[name].data == "series" else digits()
        system = built(name, source.shape, **levels)
        record = source.read(range(len(source)))
        system.codec.fit([next(iter(record.values()))], source.levels)
        train, held_out = split(source, 0.1)
        found = yardsticks(system, train, held_out)
        if name in NONE:
            assert found is None
            continue
        assert found.constant.each.isfinite().all()
        assert found.gaussian.each.isfinite().all()
        assert found.gaussian.each.mean() <= found.constant.each.mean()
