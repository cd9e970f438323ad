"""Objectives: every weight is the error it is named after; times follow their laws."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.objectives import Denoising
from hush.objectives.times import LogNormal, LogSNR, LossAware, Stratified, Uniform
from hush.objectives.weights import (
    EDM as Balanced,
)
from hush.objectives.weights import VLB, Flow, MinSNR, Simple, SNRPlusOne, TruncatedSNR, Unit
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import EDM, Cosine, Rectified, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

SCHEDULES = [VariancePreserving(), Cosine(), EDM(), Rectified(), Tabulated.linear()]
ids = [type(schedule).__name__ for schedule in SCHEDULES]
on_every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=ids)
EVENT = (2, 3)
TIMES = torch.tensor([0.0123, 0.1, 0.3333, 0.5, 0.777, 0.99], dtype=torch.float64)
X_0 = Streams.of(0, 6).normal(EVENT, torch.float64)


class Believing(Denoiser):
    """A belief that owes nothing to x_t, and keeps what it was asked."""

    def __init__(self, schedule, mean):
        super().__init__()
        self.process, self.mean = GaussianProcess(schedule), mean

    def forward(self, x_t, t, cond=None):
        self.x_t, self.t, self.cond = x_t, t, cond
        return Gaussian(self.mean)


def column(numbers):
    return numbers.reshape(-1, 1, 1)


def errors(schedule):
    """The squared errors a random belief makes in each quantity, averaged over the elements, and
    the losses that `Denoising` gives for a weight at the same times with the same noise."""
    guess = Streams.of(1, 6).normal(EVENT, torch.float64)
    denoiser, rng = Believing(schedule, guess), Streams.of(2, 6)

    def loss(weight):
        return Denoising(weight).at(denoiser, X_0, TIMES, rng)

    alpha, sigma = map(column, schedule(TIMES))
    alpha_rate, sigma_rate = map(column, schedule.rates(TIMES))
    noise = rng.normal(EVENT, torch.float64)
    x_t = alpha * X_0 + sigma * noise
    said = (x_t - alpha * guess) / sigma

    def squared(f):
        return (f(X_0, noise) - f(guess, said)).square().flatten(1).mean(1)

    def edm(data):
        r = sigma / alpha
        c_skip, c_out = data**2 / (r**2 + data**2), r * data / (r**2 + data**2).sqrt()
        return squared(lambda x_0, _: (x_0 - c_skip * x_t / alpha) / c_out)

    return loss, {
        Unit(): squared(lambda x_0, _: x_0),
        Simple(): squared(lambda _, noise: noise),
        Flow(): squared(lambda x_0, noise: alpha_rate * x_0 + sigma_rate * noise),
        Balanced(0.5): edm(0.5),
        Balanced(2.0): edm(2.0),
        SNRPlusOne(): squared(lambda x_0, noise: alpha * noise - sigma * x_0),
    }


@on_every_schedule
def test_each_weight_is_the_squared_error_it_is_named_after(schedule):
    """ε for Simple, x_0 for Unit, the velocity for Flow, the raw output for EDM; v for SNRPlusOne
    where α² + σ² = 1."""
    loss, wanted = errors(schedule)
    for weight, error in wanted.items():
        if isinstance(weight, SNRPlusOne) and isinstance(schedule, EDM | Rectified):
            continue
        torch.testing.assert_close(loss(weight), error, rtol=1e-10, atol=1e-10)


@on_every_schedule
def test_truncated_and_clipped_weights_choose_between_the_errors(schedule):
    loss, error = errors(schedule)
    both = torch.maximum(error[Simple()], error[Unit()])
    torch.testing.assert_close(loss(TruncatedSNR()), both, rtol=1e-10, atol=0)
    least = torch.minimum(error[Simple()], 5.0 * error[Unit()])
    torch.testing.assert_close(loss(MinSNR(5.0)), least, rtol=1e-10, atol=0)


# -- the variational bound -------------------------------------------------------------------------


def bound(schedule, variance, start):
    """½[(γ_1 - γ_0) - ln((σ² + e^{γ_1})/(σ² + e^{γ_0}))], γ = -log SNR (O8), from time `start`."""
    gamma_0, gamma_1 = -schedule.log_snr(start), -schedule.log_snr(1.0)
    logs = math.log((variance + math.exp(gamma_1)) / (variance + math.exp(gamma_0)))
    return 0.5 * (gamma_1 - gamma_0 - logs)


@pytest.mark.parametrize("schedule", [VariancePreserving(), Cosine(), EDM()], ids=repr)
@pytest.mark.parametrize("variance", [0.25, 1.0, 3.0])
def test_the_bound_of_gaussian_data_is_its_closed_form_whatever_the_schedule(schedule, variance):
    """∫ VLB(t) Var[x_0 | x_t] dt over [start, 1], by Gauss and Legendre in log t."""
    denoiser = MixtureDenoiser(
        GaussianProcess(schedule), GaussianMixture.of([1.0], [[0.0]], [variance])
    )
    start = schedule.time(torch.tensor([6.0], dtype=torch.float64)).item()
    nodes, shares = np.polynomial.legendre.leggauss(400)
    logs = 0.5 * math.log(start) * (1.0 - torch.from_numpy(nodes))
    times = logs.exp()
    measure = torch.from_numpy(shares) * times * -0.5 * math.log(start)
    error = denoiser(torch.zeros(400, 1, dtype=torch.float64), times).variance.squeeze(1)
    total = (measure * VLB()(schedule, schedule.level(times)) * error).sum().item()
    assert total == pytest.approx(bound(schedule, variance, start), rel=1e-9)


def test_the_bounds_golden_value():
    """O8: σ² = 0.25, γ from -6 to 5: 2.310944."""
    schedule = Cosine(-5.0)
    start = schedule.time(torch.tensor([6.0], dtype=torch.float64)).item()
    assert bound(schedule, 0.25, start) == pytest.approx(2.310944, abs=5e-7)


def test_the_objective_itself_averages_to_the_bound_per_element():
    """x_0 ~ N(0, 0.25) in 6 dimensions, the exact denoiser, t uniform on (start, 1): nothing is
    forgotten, neither the ½ nor the density of t, and a loss is per element."""
    schedule, count = Cosine(-5.0), 50_000
    start = schedule.time(torch.tensor([6.0], dtype=torch.float64)).item()
    data = GaussianMixture.of([1.0], [torch.zeros(EVENT).tolist()], [0.25])
    denoiser, rng = MixtureDenoiser(GaussianProcess(schedule), data), Streams.of(3, count)
    objective = Denoising(VLB(), times=Stratified(Uniform(start)))
    losses = (1.0 - start) * objective(denoiser, data.sample(rng.next(10)), rng)
    assert losses.shape == (count,)
    slack = 4 * losses.std().item() / count**0.5
    assert losses.mean().item() == pytest.approx(bound(schedule, 0.25, start), abs=slack)
    assert slack < 0.1


def test_the_exact_denoiser_makes_every_loss_smallest():
    schedule, count = VariancePreserving(), 4000
    data = GaussianMixture.of([0.4, 0.6], [[-1.0], [1.5]], [0.2, 0.1])
    x_0, rng = data.sample(Streams.of(0, count)), Streams.of(1, count)

    class Off(MixtureDenoiser):
        def forward(self, x_t, t, cond=None):
            belief = super().forward(x_t, t, cond)
            return Gaussian(belief.mean + 0.1)

    right, wrong = (cls(GaussianProcess(schedule), data) for cls in (MixtureDenoiser, Off))
    for weight in (Simple(), Unit(), Flow()):
        t = torch.full((count,), 0.3, dtype=torch.float64)
        losses = [Denoising(weight).at(d, x_0, t, rng) for d in (right, wrong)]
        excess = weight(schedule, schedule.level(t))[0].item() * 0.01
        error = (losses[1] - losses[0]).std().item() / count**0.5
        gap = (losses[1] - losses[0]).mean().item()
        assert gap == pytest.approx(excess, abs=4 * error)


# -- what is drawn, hidden and counted -------------------------------------------------------------


def test_every_step_of_a_chain_is_drawn_equally_often():
    chain = Tabulated.linear(50)
    times = Uniform()(chain, Streams.of(0, 50_000)) * 50
    steps = times.round()
    assert (times - steps).abs().max() < 1e-9
    counts = torch.bincount(steps.long(), minlength=51)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:].numpy()).pvalue > 1e-3


def test_every_step_of_a_chain_is_drawn_by_its_share_of_the_unit_interval():
    chain = Tabulated.cosine(8)
    edges = torch.arange(8, dtype=torch.float64) / 8
    for inside in (1e-12, 0.06, 0.1249999):
        assert torch.equal(Uniform().quantile(chain, edges + inside), edges + 0.125)
    nearly_one = torch.tensor([1.0 - 2.0**-33], dtype=torch.float64)
    assert Uniform().quantile(chain, nearly_one).item() == 1.0


@on_every_schedule
def test_log_normal_is_a_normal_law_of_the_log_ratio(schedule):
    times = LogNormal(-1.2, 1.2)(schedule, Streams.of(1, 20_000))
    log_ratio = schedule.level(times).log_ratio.numpy()
    cut = -0.5 * schedule.log_snr(1.0)  # what lies beyond the schedule's end is held to it
    inside = log_ratio[log_ratio < cut - 1e-9]
    top = stats.norm.cdf((cut + 1.2) / 1.2)
    assert len(inside) / 20_000 == pytest.approx(top, abs=0.01)
    law = stats.truncnorm(-np.inf, (cut + 1.2) / 1.2, -1.2, 1.2)
    assert stats.kstest(inside, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("law", [Uniform(), LogNormal()], ids=repr)
@pytest.mark.parametrize("parts", [1, 2, 16, 64])
@pytest.mark.parametrize("start", [0, 64, 2**33])
def test_stratified_times_fall_once_into_each_share_of_the_law(law, parts, start):
    """Those of each group, and of each aligned half, quarter … of one."""
    schedule = Cosine()
    times = Stratified(law, parts)(schedule, Streams.of(5, 128, start))
    for count in (2**k for k in range(parts.bit_length())):
        edges = torch.arange(1, count, dtype=torch.float64) / count
        edges = law.quantile(schedule, edges)
        for group in times.split(count):
            ordered = group.sort().values
            assert ((ordered[:-1] <= edges) & (edges <= ordered[1:])).all()


def test_a_stratified_time_is_its_samples_own():
    schedule, rng = Cosine(), Streams.of(5, 200, start=30)
    whole = Stratified()(schedule, rng)
    alone = [Stratified()(schedule, rng[i : i + 1]) for i in range(200)]
    assert torch.equal(torch.cat(alone), whole)
    mixed = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Stratified()(schedule, replace(rng, index=rng.index[mixed])), whole[mixed])


def test_each_stratified_time_follows_the_law_by_itself():
    """Sample 37 of a group, over many groups, which know nothing of each other."""
    index = 64 * torch.arange(5000) + 37
    times = Stratified(Uniform(0.0))(Cosine(), Streams(2, index)).numpy()
    assert stats.kstest(times, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(times[:-1], times[1:])[0, 1]) < 4 * 5000**-0.5


@pytest.mark.parametrize("count", [16, 48, 64, 128])
def test_stratified_losses_vary_less_whatever_the_batch(count):
    schedule = Cosine()
    means = {}
    for law in (Uniform(), Stratified(Uniform())):
        batches = (law(schedule, Streams.of(0, count, k * count)).mean() for k in range(50))
        means[law] = np.std([batch.item() for batch in batches])
    assert means[Stratified(Uniform())] < 0.3 * means[Uniform()]


@pytest.mark.parametrize("parts", [0, -4, 48])
def test_stratified_parts_that_cannot_be_halved_are_refused(parts):
    with pytest.raises(UserError, match=f"power of 2 as parts, got {parts}"):
        Stratified(parts=parts)


def test_a_sample_has_its_own_time_noise_and_loss_in_any_batch():
    schedule = Cosine()
    data = GaussianMixture.of([1.0], [[0.3, 0.2]], [0.5])
    denoiser, rng = MixtureDenoiser(GaussianProcess(schedule), data), Streams.of(0, 6)
    x_0 = data.sample(Streams.of(9, 6))
    whole = Denoising()(denoiser, x_0, rng)
    parts = [Denoising()(denoiser, x_0[p], rng[p]) for p in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-13, atol=0)


def test_the_mask_counts_only_what_is_true():
    schedule, rng = Cosine(), Streams.of(2, 6)
    guess = Streams.of(1, 6).normal(EVENT, torch.float64)
    mask = Streams.of(4, 6).uniform(EVENT) < 0.4
    objective = Denoising(Unit())
    got = objective.at(Believing(schedule, guess), X_0, TIMES, rng, mask=mask)
    squares = (X_0 - guess).square()
    assert len({int(part.sum()) for part in mask}) > 2  # each sample is counted by its own
    for loss, square, counted in zip(got, squares, mask, strict=True):
        assert loss.item() == pytest.approx(square[counted].mean().item(), rel=1e-12)
    garbage = torch.where(mask, guess, 1e6)
    same = objective.at(Believing(schedule, garbage), X_0, TIMES, rng, mask=mask)
    torch.testing.assert_close(same, got, rtol=1e-12, atol=0)
    everything = torch.ones_like(mask)
    plain = objective.at(Believing(schedule, guess), X_0, TIMES, rng)
    full = objective.at(Believing(schedule, guess), X_0, TIMES, rng, mask=everything)
    torch.testing.assert_close(full, plain, rtol=1e-13, atol=0)
    nothing = objective.at(Believing(schedule, guess), X_0, TIMES, rng, mask=~everything)
    assert torch.equal(nothing, torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_condition_is_hidden_from_its_share_of_the_samples(share):
    count = 20_000
    denoiser = Believing(Cosine(), torch.zeros(count, 1, dtype=torch.float64))
    x_0 = torch.zeros(count, 1, dtype=torch.float64)
    for cond in (torch.arange(count) % 7, torch.rand(count, 3)):
        before = cond.clone()
        Denoising(cond_dropout=share)(denoiser, x_0, Streams.of(0, count), cond)
        seen = denoiser.cond
        hidden = (seen < 0) if cond.ndim == 1 else seen.isnan().all(1)
        assert hidden.double().mean().item() == pytest.approx(share, abs=0.011)
        assert torch.equal(seen[~hidden], cond[~hidden])
        assert torch.equal(cond, before)


def test_hiding_the_condition_is_independent_of_the_time_and_of_the_noise():
    count = 20_000
    denoiser = Believing(Cosine(), torch.zeros(count, 1, dtype=torch.float64))
    x_0 = torch.zeros(count, 1, dtype=torch.float64)
    cond = torch.zeros(count, dtype=torch.int64)
    Denoising(cond_dropout=0.5)(denoiser, x_0, Streams.of(0, count), cond)
    hidden = (denoiser.cond < 0).double()
    noise = (denoiser.x_t / denoiser.t.sigma.unsqueeze(1)).squeeze(1)
    series = torch.stack((hidden, denoiser.t.time, noise, noise.square())).numpy()
    table = np.corrcoef(series) - np.eye(4)
    assert np.abs(table).max() < 4 * count**-0.5


def test_gradients_flow_through_the_belief_alone():
    scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    class Scaled(MixtureDenoiser):
        def forward(self, x_t, t, cond=None):
            return Gaussian(scale * super().forward(x_t, t).mean)

    data = GaussianMixture.of([1.0], [[0.0]], [1.0])
    denoiser, rng = Scaled(GaussianProcess(Cosine()), data), Streams.of(0, 4000)
    x_0 = data.sample(Streams.of(1, 4000))
    t = torch.full((4000,), 0.5, dtype=torch.float64)
    losses = Denoising(Unit()).at(denoiser, x_0, t, rng)
    (slope,) = torch.autograd.grad(losses.mean(), scale)
    # d/ds E(x_0 - s m)² at s = 1 is -2 E[(x_0 - m) m] = 0: the exact belief is the minimum
    assert abs(slope.item()) < 4 * 2 * 0.5 / 4000**0.5


# -- times that learn from the losses --------------------------------------------------------------


def noisy_losses(steps, rounds):
    """A law told of losses that grow with the step, `rounds` of every step."""
    law, chain = LossAware(steps, history=4), Tabulated.cosine(steps)
    t = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    for _ in range(rounds):
        law.observe(chain, t, t * 3.0)
        law.learn()
    return law, chain, t


def test_loss_aware_times_draw_all_steps_alike_until_each_has_its_history():
    law, chain, t = noisy_losses(8, 3)
    torch.testing.assert_close(law.correction(chain, t), torch.ones(8).double())


def test_loss_aware_times_draw_steps_as_their_losses_are_large_and_stay_unbiased():
    law, chain, t = noisy_losses(8, 4)
    chances = 1.0 / (8 * law.correction(chain, t))
    assert chances.sum().item() == pytest.approx(1.0)
    assert (chances[-1] / chances[0]).item() == pytest.approx(8.0, rel=0.02)
    drawn = law(chain, Streams.of(0, 40_000))
    weighed = law.correction(chain, drawn) * drawn
    assert abs(weighed.mean() - t.mean()) < 4 * weighed.std() / 200


def test_an_objective_weighs_and_tells_its_times():
    law, chain, _ = noisy_losses(8, 4)
    process = GaussianProcess(chain)
    denoiser = MixtureDenoiser(process, GaussianMixture.of([1.0], [[0.5]], [0.2]), spread=False)
    objective, rng = Denoising(times=law), Streams.of(1, 6)
    x_0, seen = torch.zeros(6, 1).double(), law.seen.clone()
    t = law(chain, rng)
    wanted = Denoising().at(denoiser, x_0, t, rng.next()) * law.correction(chain, t)
    torch.testing.assert_close(objective(denoiser, x_0, rng), wanted)
    assert torch.equal(law.seen, seen)  # nothing is learnt before the step is whole
    law.learn()
    assert (law.seen - seen).sum() == 6


def learn_together(laws):
    """Laws in processes of their own: each says what it noted, and all learn everything."""
    joined = []
    for law in laws:
        copy.deepcopy(law).learn(lambda rows: joined.append(rows) or rows)
    for law in laws:
        law.learn(lambda _: torch.cat(joined))


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 4), (2, 1), (2, 3), (4, 2)])
def test_loss_aware_times_remember_the_same_however_a_batch_is_split(processes, accumulate):
    """Three steps of 24 samples on 4 levels: a step overwrites what it has just written."""
    chain, whole = Tabulated.cosine(4), LossAware(4, history=3)
    shares = [LossAware(4, history=3) for _ in range(processes)]
    for step in range(3):
        t = whole(chain, Streams.of(0, 24, 24 * step))
        loss = Streams.of(1, 24, 24 * step).uniform()
        whole.observe(chain, t, loss)
        whole.learn()
        for law, rows in zip(shares, torch.stack((t, loss), 1).chunk(processes), strict=True):
            for part in rows.chunk(accumulate):
                law.observe(chain, *part.unbind(1))
        learn_together(shares)
        for law in shares:
            assert torch.equal(law.losses, whole.losses)
            assert torch.equal(law.seen, whole.seen)
    assert whole.seen.min() > 3


def test_likelihood_times_make_the_simple_weight_the_bound():
    """½ ∫ E‖ε - ε̂‖² dλ: under times even in log-SNR the simple loss, times half the range of λ, is
    what the weight of the bound gives under uniform times."""
    schedule, count = VariancePreserving(), 20_000
    denoiser = MixtureDenoiser(GaussianProcess(schedule), ONE, spread=False)
    x_0, start = ONE.sample(Streams.of(0, count)), 1e-3
    even = Denoising(Simple(), times=LogSNR(start))(denoiser, x_0, Streams.of(1, count))
    span = schedule.log_snr(start) - schedule.log_snr(1.0)
    flat = Denoising(VLB(), times=Uniform(start))(denoiser, x_0, Streams.of(2, count))
    values = (0.5 * span * even, (1.0 - start) * flat)
    gap = values[0].mean() - values[1].mean()
    assert abs(gap) < 4 * (sum(v.var() for v in values) / count) ** 0.5
    assert values[1].var() > 5 * values[0].var()


ONE = GaussianMixture.of([1.0], [[0.0]], [0.25])
