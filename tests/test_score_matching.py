"""Score matching: sliced, denoising and high-order, held to what mixtures know exactly."""

from dataclasses import dataclass

import pytest
import torch
from scipy import stats
from torch import nn

from hush import data
from hush.denoisers import Denoiser, GaussianDenoiser
from hush.denoisers.parameterisations import V
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.likelihoods.flow import Flow
from hush.networks import Backbone, DiT
from hush.noise import Centred
from hush.objectives import Denoising
from hush.objectives.high_order import HighOrder
from hush.objectives.score_matching import Geometric, SlicedScoreMatching, look
from hush.objectives.weights import VLB, Simple, Unit
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers.grids import LogSNR
from hush.schedules import (
    EDM,
    Cosine,
    Rectified,
    SubVP,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
)
from hush.systems.ncsn import ncsn
from hush.systems.score_sde import score_sde
from hush.systems.suited import decided
from hush.testing import GaussianMixture, MixtureDenoiser

LINE = GaussianMixture.of([0.4, 0.6], [[-1.0], [1.5]], [0.2, 0.1])
PLANE = GaussianMixture.of([0.3, 0.7], [[-1.5, 0.5], [1.0, -0.8]], [0.3, 0.15])
TURN = torch.tensor([[0.8, 0.5], [-0.3, 1.1]], dtype=torch.float64)

WRONG = {
    "right": lambda mean, x: mean,
    "shifted": lambda mean, x: mean + 0.3,
    "wavy": lambda mean, x: 0.9 * mean + 0.2 * torch.sin(2.0 * x),
    "twisted": lambda mean, x: mean @ TURN[: x.shape[1], : x.shape[1]],
}


class Bent(MixtureDenoiser):
    """The exact mean, bent."""

    def __init__(self, schedule, mixture, bend=WRONG["right"]):
        super().__init__(GaussianProcess(schedule), mixture, spread=False)
        self.bend = bend

    def forward(self, x_t, t, cond=None):
        return Gaussian(self.bend(super().forward(x_t, t, cond).mean, x_t))


def moments(count, time):
    return torch.full((count,), time, dtype=torch.float64)


# -- denoising score matching ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule", [VariancePreserving(), SubVP(), VarianceExploding(), Cosine()], ids=repr
)
def test_a_weight_of_the_data_says_the_weight_of_the_score(schedule):
    """σ² ‖s - ∇log q(x_t | x_0)‖² is `Simple`, ½ g² ‖…‖² is `VLB`, for any schedule; by hand with
    g² = 2σσ' - 2(α'/α)σ², and per element."""
    count, model = 64, Bent(schedule, PLANE, WRONG["wavy"])
    x_0, rng = PLANE.sample(Streams.of(0, count)), Streams.of(1, count)
    times = torch.linspace(0.05, 0.95, count, dtype=torch.float64)
    alpha, sigma = (part.unsqueeze(1) for part in schedule(times))
    alpha_rate, sigma_rate = (part.unsqueeze(1) for part in schedule.rates(times))
    x_t = alpha * x_0 + sigma * rng.normal((2,), torch.float64)
    score = (alpha * model(x_t, times).mean - x_t) / sigma**2
    gap = score - (alpha * x_0 - x_t) / sigma**2
    diffusion = 2.0 * sigma * (sigma_rate - alpha_rate / alpha * sigma)
    for weight, rate in ((Simple(), sigma**2), (VLB(), 0.5 * diffusion)):
        loss = Denoising(weight).at(model, x_0, times, rng)
        torch.testing.assert_close(loss, (rate * gap**2).mean(1), rtol=1e-8, atol=1e-10)


# -- sliced score matching -------------------------------------------------------------------------


@pytest.mark.parametrize("bend", WRONG)
@pytest.mark.parametrize("mixture", [LINE, PLANE], ids=["1-D", "2-D"])
@pytest.mark.parametrize(
    ("schedule", "weight"),
    [(VariancePreserving(), Simple()), (EDM(3.0), VLB()), (SubVP(), Unit())],
    ids=["vp", "edm", "sub-vp"],
)
def test_sliced_score_matching_is_the_denoising_loss_in_expectation(
    bend, mixture, schedule, weight
):
    """…whatever the model, right, wrong or with a curl, though it never sees the noise."""
    count, model = 40_000, Bent(schedule, mixture, WRONG[bend])
    x_0, rng, t = mixture.sample(Streams.of(0, count)), Streams.of(1, count), moments(count, 0.35)
    gap = SlicedScoreMatching(weight).at(model, x_0, t, rng) - Denoising(weight).at(
        model, x_0, t, rng
    )
    error = gap.std().item() / count**0.5
    assert gap.mean().item() == pytest.approx(0.0, abs=4 * error)
    level = schedule.level(moments(1, 0.35))
    scale = (weight(schedule, level) / level.snr).item()
    assert error < 0.02 * scale  # it could tell a twelfth of the noise's own variance


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM(3.0)], ids=["vp", "edm"])
@pytest.mark.parametrize(("gain", "offset"), [(0.3, 0.0), (0.7, 0.4), (-0.2, 1.0)])
def test_sliced_score_matching_of_gaussian_data_is_its_closed_form(schedule, gain, offset):
    """x_0 ~ N(m, v I), x̂_0 = a x_t + b: w E(x_0 - x̂_0)² = w [((1 - aα)m - b)² + (1 - aα)²v + a²σ²]
    for `Denoising`, hence for this."""
    mean, variance, count = 0.7, 0.25, 100_000
    data = GaussianMixture.of([1.0], [[mean, mean]], [variance])
    model = Bent(schedule, data, lambda _, x: gain * x + offset)
    level = schedule.level(0.3)
    rest = 1.0 - gain * level.alpha
    wanted = level.snr * (
        (rest * mean - offset) ** 2 + rest**2 * variance + (gain * level.sigma) ** 2
    )
    losses = SlicedScoreMatching().at(
        model, data.sample(Streams.of(0, count)), moments(count, 0.3), Streams.of(1, count)
    )
    assert losses.mean().item() == pytest.approx(wanted, abs=4 * losses.std().item() / count**0.5)


def test_its_minimum_over_linear_scores_is_the_score_of_gaussian_data():
    """Fitted without the noise: -x/(σ_d² + σ²), to 2 %. The loss is a parabola in the slope."""
    schedule, count = VarianceExploding(), 20_000
    data = GaussianMixture.of([1.0], [[0.0, 0.0, 0.0]], [0.64])
    x_0, rng, level = data.sample(Streams.of(0, count)), Streams.of(1, count), schedule.level(0.6)

    def loss(score):
        model = Bent(schedule, data, lambda _, x: x + level.sigma**2 * score * x)
        return SlicedScoreMatching().at(model, x_0, moments(count, 0.6), rng).mean().item()

    low, middle, high = loss(-1.0), loss(0.0), loss(1.0)
    fitted = 0.5 * (low - high) / (low + high - 2.0 * middle)
    assert fitted == pytest.approx(-1.0 / (0.64 + level.sigma**2), rel=0.02)


def test_it_is_blind_to_the_noise():
    """Two data that noise to the same x_t are judged alike."""
    schedule, count = Cosine(), 16
    level = schedule.level(moments(count, 0.4))
    x_t = Streams.of(0, count).normal((2,), torch.float64).requires_grad_()
    signs = torch.ones(count, 2, dtype=torch.float64)
    model = Bent(schedule, PLANE, WRONG["wavy"])
    losses = [
        SlicedScoreMatching().compare(look(model, x_0, x_t, level, signs))
        for x_0 in (torch.zeros_like(x_t), torch.full_like(x_t, 5.0))
    ]
    assert torch.equal(*losses)


# -- what every probed objective keeps to ----------------------------------------------------------

PROBED = [SlicedScoreMatching(), HighOrder()]
of_each = pytest.mark.parametrize("objective", PROBED, ids=lambda o: type(o).__name__)


@of_each
def test_a_sample_has_its_own_probe_and_loss_in_any_batch(objective):
    model, rng = Bent(Cosine(), PLANE, WRONG["wavy"]), Streams.of(0, 6)
    x_0 = PLANE.sample(Streams.of(9, 6))
    whole = objective(model, x_0, rng)
    parts = [objective(model, x_0[p], rng[p]) for p in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=0)


@of_each
def test_where_no_gradients_are_wanted_the_loss_is_the_same_and_keeps_none(objective):
    model, rng = Bent(Cosine(), PLANE, WRONG["wavy"]), Streams.of(0, 6)
    x_0 = PLANE.sample(Streams.of(9, 6))
    with torch.no_grad():
        silent = objective(model, x_0, rng)
    assert not silent.requires_grad
    assert torch.equal(silent, objective(model, x_0, rng).detach())


@of_each
def test_a_transformer_learns_from_it(objective):
    """Attention's fast kernels cannot be differentiated twice."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DiT(1, 16, 2, head=8)
        for weight in network.parameters():
            weight.data += 0.05 * torch.randn_like(weight)
    model = GaussianDenoiser(GaussianProcess(Cosine()), network, V())
    objective(model, Streams.of(0, 3).normal((1, 4, 4)), Streams.of(1, 3)).mean().backward()
    slopes = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert all(slope.isfinite().all() for slope in slopes)
    assert network.layers[0].qkv.weight.grad.abs().max() > 0.0


def test_probes_are_independent_of_what_else_is_drawn():
    """Signs half the time up, uncorrelated with the time, the noise and the hidden conditions."""
    count, seen = 20_000, {}

    class Watching(Bent):
        def forward(self, x_t, t, cond=None):
            seen.update(t=t, x_t=x_t.detach(), cond=cond)
            return super().forward(x_t, t)

    @dataclass(frozen=True)
    class Keeping(SlicedScoreMatching):
        def compare(self, look):
            seen["probe"] = look.probe
            return super().compare(look)

    x_0 = torch.zeros(count, 1, dtype=torch.float64)
    objective = Keeping(cond_dropout=0.5)
    objective(Watching(Cosine(), LINE), x_0, Streams.of(0, count), torch.zeros(count).long())
    assert set(seen["probe"].unique().tolist()) == {-1.0, 1.0}
    noise = seen["x_t"].squeeze(1) / seen["t"].sigma
    series = (seen["probe"].squeeze(1), noise, seen["t"].time, (seen["cond"] < 0).double())
    table = torch.corrcoef(torch.stack(series))[0, 1:]
    assert table.abs().max() < 4 * count**-0.5
    assert abs(seen["probe"].mean().item()) < 4 * count**-0.5


@of_each
def test_only_white_noise_can_be_probed(objective):
    cloud = GaussianMixture.of([1.0], [[[0.0], [0.0]]], [1.0])
    model = MixtureDenoiser(GaussianProcess(Cosine(), Centred()), cloud)
    with pytest.raises(UserError, match="white noise"):
        objective(model, cloud.sample(Streams.of(0, 2)), Streams.of(1, 2))


def test_the_mask_leaves_the_loss_of_the_block_that_counts():
    """Sliced: `Denoising` with the same mask, in expectation. High order: the loss of the masked
    elements' own block, whatever stands in the others."""
    count, schedule = 40_000, VariancePreserving()
    model = Bent(schedule, PLANE, WRONG["twisted"])
    x_0, rng, t = PLANE.sample(Streams.of(0, count)), Streams.of(1, count), moments(count, 0.35)
    mask = torch.tensor([True, False]).expand(count, 2)
    gap = SlicedScoreMatching().at(model, x_0, t, rng, mask=mask) - Denoising().at(
        model, x_0, t, rng, mask=mask
    )
    assert gap.mean().item() == pytest.approx(0.0, abs=4 * gap.std().item() / count**0.5)

    alone = GaussianMixture.of([0.3, 0.7], [[-1.5], [1.0]], [0.3, 0.15])
    other = torch.full((count, 1), 3.0, dtype=torch.float64)

    class Apart(Denoiser):
        """The first element by itself, the second nonsense."""

        def __init__(self):
            super().__init__()
            self.process, self.inner = GaussianProcess(schedule), Bent(schedule, alone)

        def forward(self, x_t, t, cond=None):
            mean = self.inner(x_t[:, :1], t).mean
            return Gaussian(torch.cat((mean, 7.0 * x_t[:, 1:] ** 2), 1))

    pairs, one = torch.cat((x_0[:, :1], other), 1), x_0[:, :1]
    masked = HighOrder().at(Apart(), pairs, t, rng, mask=mask).mean()
    plain = HighOrder().at(Bent(schedule, alone), one, t, rng)
    slack = 6 * plain.std().item() / count**0.5
    assert masked.item() == pytest.approx(plain.mean().item(), abs=slack)


# -- high order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM(3.0), Rectified()], ids=repr)
def test_the_slope_of_the_exact_belief_is_the_oracles_hessian(schedule):
    """α ∇(v·x̂_0) = v + σ² ∇²log p v, the Hessian by differentiating the mixture's log-density."""
    count = 32
    x_t = (2.0 * Streams.of(0, count).normal((2,), torch.float64)).requires_grad_()
    signs = (Streams.of(1, count).uniform((2,)) - 0.5).sign()
    level = schedule.level(0.3)
    slope = look(Bent(schedule, PLANE), torch.zeros_like(x_t), x_t, level, signs).slope
    density = PLANE.log_prob(x_t, level).sum()
    (score,) = torch.autograd.grad(density, x_t, create_graph=True)
    (bend,) = torch.autograd.grad((score * signs).sum(), x_t)
    torch.testing.assert_close(slope, signs + level.sigma**2 * bend, rtol=1e-9, atol=1e-10)


def test_the_three_orders_are_the_papers_in_its_own_symbols():
    """With the whole Jacobian of the score and its derivative, sample by sample."""
    count, schedule = 12, VariancePreserving()
    model, level = Bent(schedule, PLANE, WRONG["twisted"]), schedule.level(0.4)
    x_0 = PLANE.sample(Streams.of(0, count))
    noise = Streams.of(1, count).normal((2,), torch.float64)
    signs = (Streams.of(2, count).uniform((2,)) - 0.5).sign()
    x_t = (level.alpha * x_0 + level.sigma * noise).requires_grad_()
    s = level.sigma

    def score(x):
        return ((level.alpha * model(x.unsqueeze(0), level).mean - x) / s**2).squeeze(0)

    wanted = []
    for x, eps, v in zip(x_t.detach(), noise, signs, strict=True):
        jacobian = torch.func.jacrev(score)
        quadratic = torch.func.jacrev(lambda x, v=v, j=jacobian: v @ j(x) @ v)(x)
        turned, curve = v @ jacobian(x), v @ jacobian(x) @ v
        error = s * score(x) + eps
        first = ((s * score(x) + eps) ** 2).sum() / 2
        matrix = ((s**2 * turned + v - (error @ v) * error) ** 2).sum() / 4
        trace = (s**2 * curve + v @ v - (error @ v) ** 2) ** 2 / 4
        third = s**3 * quadratic + (error @ v) ** 2 * error - (s**2 * curve + v @ v) * error
        third = ((third - 2 * (v @ error) * (s**2 * turned + v)) ** 2).sum() / 8
        wanted.append(torch.stack((first, matrix + trace, third)))
    seen = look(model, x_0, x_t, level, signs)
    first = HighOrder(second=0.0, third=0.0).compare(seen)
    got = (
        first,
        HighOrder(third=0.0).compare(seen) - first,
        HighOrder(second=0.0).compare(seen) - first,
    )
    torch.testing.assert_close(
        torch.stack(got, 1).detach(), torch.stack(wanted).detach(), rtol=1e-9, atol=1e-9
    )


def posterior_nodes(x_t, level, side=161, reach=6.0):
    """A square of x_0 and the shares that q(x_0 | x_t) gives its nodes, of the mixture PLANE."""
    line = torch.linspace(-reach, reach, side, dtype=torch.float64)
    x_0 = torch.cartesian_prod(line, line)
    log_like = -0.5 * ((x_t - level.alpha * x_0) ** 2).sum(1) / level.sigma**2
    return x_0, (PLANE.log_prob(x_0) + log_like).softmax(0)


BENDS = {
    "constant": lambda gap: torch.ones_like(gap),
    "wave": lambda gap: torch.sin(3.0 * gap + 0.4),
    "line": lambda gap: gap.flip(1) * torch.tensor([1.0, -1.0], dtype=torch.float64),
    "curve": lambda gap: gap * gap.flip(1),
}


def expected(objective, schedule, at, bend, size):
    """E[loss | x_t = at], by quadrature over x_0 and over all probes, of the exact belief bent by
    size·bend(x - at)."""
    level, place = schedule.level(0.35), torch.tensor([at], dtype=torch.float64)
    x_0, share = posterior_nodes(place, level)
    model = Bent(schedule, PLANE, lambda mean, x: mean + size * bend(x - place))
    total = torch.zeros((), dtype=torch.float64)
    for v in ((1.0, 1.0), (1.0, -1.0)):
        x_t = place.expand_as(x_0).clone().requires_grad_()
        signs = torch.tensor(v, dtype=torch.float64).expand_as(x_0)
        losses = objective.compare(look(model, x_0, x_t, level, signs))
        total = total + 0.5 * (share * losses).sum()
    return total


ORDERS = {
    "second": HighOrder(third=0.0),
    "third": HighOrder(second=0.0),
    "all": HighOrder(),
}


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("at", [(0.3, -0.2), (-0.9, 1.0)])
def test_the_exact_belief_is_where_every_conditional_expectation_rests(at, orders, bend):
    size = torch.zeros((), dtype=torch.float64, requires_grad=True)
    rest = expected(ORDERS[orders], VariancePreserving(), at, BENDS[bend], size)
    (force,) = torch.autograd.grad(rest, size)
    assert abs(force.item()) < 1e-9


@pytest.mark.parametrize(("orders", "bend"), [("second", "line"), ("third", "curve")])
@pytest.mark.parametrize("size", [-0.3, -0.1, 0.1, 0.3])
def test_a_wrong_slope_costs_its_own_square(orders, bend, size):
    """Bends that leave the belief at x_t as it is, and for the third order its slope: the excess is
    α²‖M‖² and tr² for the slope's M (here of trace 0), over D² = 4; and for the curve q of vᵀJv
    the mean of σ²α²‖∇q‖², over D³ = 8."""
    schedule, at = VariancePreserving(), (0.3, -0.2)
    cost, rest = (
        expected(ORDERS[orders], schedule, at, BENDS[bend], c).item() for c in (size, 0.0)
    )
    level = schedule.level(0.35)
    if orders == "second":  # M = size [[0, 1], [-1, 0]], all of it curl: ‖Mᵀv‖² = 2 size²
        wanted = level.alpha**2 * 2.0 * size**2 / 4
    else:  # vᵀJv = size (v₁ + v₂) (v·gap flipped): its gradient (v₁ + v₂)(v₂, v₁), ‖.‖² = 8 or 0
        wanted = (level.sigma * level.alpha * size) ** 2 * 4.0 / 8
    assert cost - rest == pytest.approx(wanted, rel=1e-8)


class Steered(nn.Module):
    """A small perceptron of x and the clock."""

    def __init__(self, width=32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )

    def forward(self, x, clock, cond=None):
        time = 1e-3 * clock.unsqueeze(1)
        return self.layers(torch.cat((x, time, (3.0 * time).sin()), 1))


def taught(objective, steps=800, batch=128):
    """A small model of PLANE, from the same start and the same draws whatever the objective."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GaussianDenoiser(GaussianProcess(VariancePreserving()), Steered(), V())
    adam = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 5e-3 * (1.0 - step / steps)
        rng = Streams.of(0, batch, start=batch * step)
        objective(model, PLANE.sample(rng.branch("data")).float(), rng).mean().backward()
        adam.step()
        adam.zero_grad()
    return model


def slope_error(model):
    """E ‖α ∇x̂_0 - α ∇x_0*‖² over x_t, its mean over noise levels."""
    exact, total = Bent(VariancePreserving(), PLANE), 0.0
    for index, time in enumerate((0.1, 0.2, 0.3, 0.45, 0.6)):
        rng, level = Streams.of(50 + index, 500), model.process.schedule.level(time)
        x_t = model.process.marginal(PLANE.sample(rng.branch("data")).float(), level).sample(rng)
        x_t.requires_grad_()
        for unit in torch.eye(2):
            ends = [look(m, x_t, x_t, level, unit.expand_as(x_t)).slope for m in (model, exact)]
            total += (ends[0] - ends[1]).square().sum(1).mean().item() / 5
    return total


@pytest.mark.slow
def test_the_second_order_straightens_the_slope_and_keeps_the_flows_likelihood():
    first, second = (taught(o) for o in (Denoising(), HighOrder(third=0.0)))
    errors = [slope_error(model) for model in (first, second)]
    x_0 = PLANE.sample(Streams.of(7, 400))
    flow = Flow("exact", tolerance=1e-4)
    nats = [
        -flow(model, x_0.float(), Streams.of(8, 400)).mean().item() for model in (first, second)
    ]
    entropy = -PLANE.log_prob(x_0).mean().item()
    assert errors[1] < 0.8 * errors[0]
    assert entropy - 0.02 < nats[1] < nats[0] + 0.01


# -- levels and systems ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule",
    [VarianceExploding(0.01, 1.0), EDM(1.0), VariancePreserving(), Rectified(), Tabulated.cosine()],
    ids=lambda s: type(s).__name__,
)
def test_geometric_levels_are_those_of_the_log_snr_grid_each_drawn_alike(schedule):
    law, count = Geometric(10, 0.02), 20_000
    u = (torch.arange(10, dtype=torch.float64) + 0.5) / 10
    grid = LogSNR(10, 0.02).times(schedule).flip(0)[1:]
    inner = slice(0, 9) if schedule.level(1.0).alpha < 0.02 else slice(0, 10)
    torch.testing.assert_close(law.quantile(schedule, u)[inner], grid[inner], rtol=1e-9, atol=1e-12)
    ratios = schedule.level(law.quantile(schedule, u)).log_ratio.diff()
    torch.testing.assert_close(ratios, ratios[:1].expand(9), rtol=1e-6, atol=1e-9)
    drawn = law(schedule, Streams.of(3, count))
    counts = torch.unique(drawn, return_counts=True)[1]
    assert len(counts) == 10
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("wrong", [{"count": 1}, {"ratio_min": 0.0}, {"ratio_min": 200.0}])
def test_geometric_levels_that_are_none_are_refused(wrong):
    with pytest.raises(UserError, match="Geometric wants"):
        Geometric(**wrong)


SMALL = Backbone(width=8, multipliers=(1,), blocks=1, attention=())


def test_ncsn_learns_the_very_levels_that_it_walks():
    """Ten geometric levels, and the paper's step ϵ σ_i²/σ_L² with ϵ = 2e-5, σ_L = 0.01."""
    system = ncsn((1, 4, 4), backbone=SMALL)
    schedule = system.denoiser.process.schedule
    walked = torch.tensor([level.sigma for level in system.grid(schedule)], dtype=torch.float64)
    times = system.objective.times(schedule, Streams.of(0, 500))
    learned = schedule.level(times.unique()).sigma.flip(0)
    torch.testing.assert_close(learned, walked[:-1], rtol=1e-9, atol=0)
    assert walked[0] == pytest.approx(2.0, rel=1e-4)
    assert walked[-2] == pytest.approx(0.02, rel=1e-9)
    assert system.sampler.step_size == pytest.approx(2e-5 / 0.01**2)


@pytest.mark.parametrize("kind", ["vp", "ve", "subvp"])
@pytest.mark.parametrize("likelihood", [False, True])
def test_score_sde_weighs_the_score_by_its_noise_or_by_its_diffusion(kind, likelihood):
    """The loss of the whole system is λ ‖s - ∇log q(x_t | x_0)‖², λ = σ² or ½ g²."""
    system = score_sde((1, 4, 4), backbone=SMALL, kind=kind, likelihood=likelihood)
    denoiser, schedule = system.denoiser.double(), system.denoiser.process.schedule
    x_0, rng = Streams.of(0, 6).normal((1, 4, 4), torch.float64), Streams.of(1, 6)
    times = torch.linspace(0.2, 0.9, 6, dtype=torch.float64)
    alpha, sigma = (part.reshape(-1, 1, 1, 1) for part in schedule(times))
    alpha_rate, sigma_rate = (part.reshape(-1, 1, 1, 1) for part in schedule.rates(times))
    with torch.no_grad():
        x_t = alpha * x_0 + sigma * rng.normal((1, 4, 4), torch.float64)
        score = (alpha * denoiser(x_t, times).mean - x_t) / sigma**2
        loss = system.objective.at(denoiser, x_0, times, rng)
    diffusion = 2.0 * sigma * (sigma_rate - alpha_rate / alpha * sigma)
    rate = 0.5 * diffusion if likelihood else sigma**2
    wanted = (rate * (score + (x_t - alpha * x_0) / sigma**2) ** 2).flatten(1).mean(1)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=1e-9)


def test_data_do_not_decide_how_many_noise_levels_there_are():
    """Grey levels of data are other levels, and data without any are learnt as well."""
    for source in (data.digits(), data.InMemory(torch.rand(4, 1, 8, 8))):
        system = ncsn(**decided("ncsn", source), backbone=SMALL)
        assert system.grid.steps == 10
