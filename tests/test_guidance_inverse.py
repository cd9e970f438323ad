"""Guidance by measurements: y = H x_0 + n, whose posterior is known where the data are Gaussian."""

import pytest
import torch

from hush.distributions import Gaussian
from hush.errors import UserError
from hush.guidance import (
    DPS,
    Interval,
    Mask,
    Matrix,
    Pool,
    Projection,
    PseudoInverse,
    Reconstruction,
)
from hush.processes import CategoricalProcess, GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, walk
from hush.schedules import (
    EDM,
    Cosine,
    Rectified,
    Tabulated,
    VariancePreserving,
    zero_terminal_snr,
)
from hush.testing import GaussianMixture, MixtureDenoiser, even_levels
from hush.testing.guidance import GUIDED, check_guidance
from hush.testing.inverse import FullGaussian, FullGaussianDenoiser, LinearGaussian, check_linear

SCHEDULES = {
    "VP": VariancePreserving(),
    "EDM": EDM(),
    "rectified": Rectified(),
    "chain": Tabulated(),
}
TIMES = (1e-3, 0.03, 0.2, 0.5, 0.8, 0.97)
on_schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


SHOWN = torch.tensor([[True, False], [True, True]])
TWO_OF_FOUR = double([[1.0, 0.0, 0.5, -0.5], [0.0, 2.0, 1.0, 0.0]])


def named(value):
    return type(value).__name__


def close(got, wanted, allowed=1e-10):
    torch.testing.assert_close(got, wanted, atol=allowed, rtol=allowed)


@pytest.mark.parametrize(
    ("operator", "event"),
    [
        (Mask(SHOWN), (1, 2, 2)),
        (Mask(SHOWN), (3, 2, 2)),
        (Pool(2), (3, 4, 6)),
        (Pool(3), (6, 3)),
        (Matrix(TWO_OF_FOUR), (4,)),
        (Matrix(TWO_OF_FOUR), (2, 4)),
        (Matrix(TWO_OF_FOUR.T), (2,)),  # more measured than there is
        (Matrix(TWO_OF_FOUR[[0, 0, 1]]), (4,)),  # a row twice
    ],
)
def test_operator(operator, event):
    check_linear(operator, event)


Y = double([[[[0.3]]]])
CONFIGURED = [
    DPS(Pool(2), Y, 0.5),
    DPS(Mask(SHOWN), double([[[[0.5, torch.nan], [0.1, -0.2]]]]), 0.5),
    Reconstruction(Pool(2), Y),
    Reconstruction(lambda x: x.square().flatten(1).sum(1, keepdim=True), double([[2.0]]), 0.1),
    PseudoInverse(Pool(2), Y, 0.0),
    PseudoInverse(Mask(SHOWN), double([[[[0.5, torch.nan], [0.1, -0.2]]]])),
    PseudoInverse(Matrix(TWO_OF_FOUR[:, :2]), double([[[[0.5, 0.3], [0.1, -0.2]]]])),
    Projection(Pool(2), Y),
    Interval(PseudoInverse(Pool(2), Y), 0.0, 3.0),
]


@pytest.mark.parametrize("guidance", CONFIGURED, ids=named)
def test_guidance(guidance):
    check_guidance(guidance)


# -- Gaussian data (O11) --------------------------------------------------------------------------

CORRELATED = FullGaussian(
    double([0.7, -0.4, 0.1, 0.0]),
    double([[1.0, 0.5, 0.2, 0.0], [0.5, 0.8, 0.3, 0.1], [0.2, 0.3, 0.6, 0.2], [0, 0.1, 0.2, 0.5]]),
)


def independent(*variances):
    return FullGaussian(double([0.7, -0.4, 0.1, 0.0]), torch.diag(double(variances)))


def as_matrix(operator, event):
    """The columns of H, one for each element of the event."""
    basis = torch.eye(event.numel(), dtype=torch.float64).reshape(-1, *event)
    return operator(basis).flatten(1).T


def observed(problem, count=30):
    rng = Streams.of(3, count)
    x_0 = problem.data.sample(rng)
    return x_0, problem.measure(x_0, rng.next())


def test_the_oracle_is_bayes_rule():
    """∇ log p(x | y) = ∇ log p(x) + Hᵀ (y - H x)/noise², of whatever covariance; and its samples
    have the moments it says."""
    problem = LinearGaussian(CORRELATED, TWO_OF_FOUR, 0.3)
    x, y = observed(problem)
    data = Cosine().level(0.0)
    gained = (y - x @ TWO_OF_FOUR.T) @ TWO_OF_FOUR / 0.3**2
    close(problem.given(y).score(x, data), CORRELATED.score(x, data) + gained)
    many = CORRELATED.sample(Streams.of(4, 20_000))
    close(many.mean(0), CORRELATED.mean, 0.03)
    close(many.T.cov(), CORRELATED.covariance, 0.04)


@on_schedules
def test_the_oracle_answers_as_the_mixture_does_and_as_tweedie_says(schedule):
    mixture = GaussianMixture.of([1.0], [[0.7, -0.4, 0.1, 0.0]], [0.25])
    data = independent(0.25, 0.25, 0.25, 0.25)
    x, _ = observed(LinearGaussian(CORRELATED, TWO_OF_FOUR, 0.3))
    for level in schedule.levels(double(TIMES)):
        ours, theirs = data.posterior(x, level), mixture.posterior(x, level)
        close(ours.mean, theirs.mean)
        close(ours.spread, theirs.spread.expand_as(x))
        score = (level.alpha * CORRELATED.posterior(x, level).mean - x) / level.sigma
        close(CORRELATED.score(x, level) * level.sigma, score, 1e-9)


@on_schedules
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(
    ("operator", "event"),
    [(Mask(SHOWN), (1, 2, 2)), (Pool(2), (1, 2, 2)), (Matrix(TWO_OF_FOUR), (4,))],
    ids=["mask", "pool", "matrix"],
)
def test_pseudo_inverse_guidance_is_exact_for_independent_gaussian_data(
    schedule, noise, operator, event
):
    """The belief is that of the conditional law at every level, for one variance and for several;
    and with no belief's variance at all where the data's is 1."""
    event = torch.Size(event)
    process = GaussianProcess(schedule)
    for data, spread in (
        (independent(0.25, 0.25, 0.25, 0.25), True),
        (independent(0.1, 0.5, 1.0, 2.0), True),
        (independent(1.0, 1.0, 1.0, 1.0), False),
    ):
        matrix = as_matrix(operator, event)
        measured = matrix.abs().sum(1) > 0  # a mask shows nothing of the others
        problem = LinearGaussian(data, matrix[measured], noise)
        x_0, y = observed(problem)
        whole = operator(x_0.unflatten(1, event)).flatten(1)
        whole[:, measured] = y
        y_seen = whole.reshape(operator(x_0.unflatten(1, event)).shape)
        inner = FullGaussianDenoiser(process, data, spread)
        guided = PseudoInverse(operator, y_seen, noise)(Reshaped(inner, event))
        for time in TIMES:
            level = schedule.level(time)
            x = process.marginal(x_0, level).sample(Streams.of(5, len(x_0)))
            belief = guided(x.unflatten(1, event), time)
            exact = problem.given(y).posterior(x, level)
            close(belief.mean.flatten(1), exact.mean)


class Reshaped(MixtureDenoiser):
    """A denoiser of vectors asked about pictures."""

    def __init__(self, inner, event):
        torch.nn.Module.__init__(self)
        self.inner, self.process, self.event = inner, inner.process, event

    def forward(self, x_t, t, cond=None):
        belief = self.inner(x_t.flatten(1), t, cond)
        variance = 0.0 if belief.is_point else belief.spread.unflatten(1, self.event)
        return Gaussian(belief.mean.unflatten(1, self.event), variance)


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM()], ids=["VP", "EDM"])
def test_a_guided_walk_draws_from_the_posterior(schedule):
    """O11: the mean and covariance at the end of DDPM's walk are N(m + K (y - H m), Σ - K H Σ)
    within 5 % of the prior's deviation and variance."""
    problem = LinearGaussian(independent(0.25, 0.25, 0.25, 0.25), TWO_OF_FOUR, 0.3)
    y = double([[2.0, -2.0]])
    process, count = GaussianProcess(schedule), 8000
    denoiser = FullGaussianDenoiser(process, problem.data)
    guided = PseudoInverse(Matrix(TWO_OF_FOUR), y, problem.noise)(denoiser)
    rng = Streams.of(6, count)
    x = process.marginal(problem.data.sample(rng), 1.0).sample(rng.next())
    levels = even_levels(schedule, 100, "asinh")
    with torch.no_grad():
        *_, last = walk(Ancestral(1.0), guided, x, levels, rng.next(2))
    exact = problem.given(y)
    assert (exact.mean[0] - problem.data.mean).abs().max() > 0.5  # y says much
    close(last.x.mean(0), exact.mean[0], 0.05 * 0.5)
    close(last.x.T.cov(), exact.covariance, 0.05 * 0.25)


def test_the_flow_of_the_guided_belief_is_that_of_the_conditional_law():
    """Step for step, by a sampler of second order too."""
    problem = LinearGaussian(independent(0.1, 0.5, 1.0, 2.0), TWO_OF_FOUR, 0.2)
    _, y = observed(problem)
    process = GaussianProcess(VariancePreserving())
    inner = FullGaussianDenoiser(process, problem.data)
    exact = FullGaussianDenoiser(process, problem.given(y))
    guided = PseudoInverse(Matrix(TWO_OF_FOUR), y, problem.noise)(inner)
    x = Streams.of(7, len(y)).normal((4,), torch.float64)
    levels = even_levels(process.schedule, 12)
    ends = [
        list(walk(Heun(), denoiser, x, levels, Streams.of(8, len(y))))[-1].x
        for denoiser in (guided, exact)
    ]
    close(*ends, 1e-9)


# -- the gradient through the denoiser ------------------------------------------------------------


def bent(x):
    """A measurement that is not linear."""
    return x.flatten(1).sum(1, keepdim=True).sin()


def finite_difference(function, x, width=1e-5):
    """∇ of a sum over samples, by central differences, element by element."""
    slope = torch.empty_like(x)
    for place in range(x[0].numel()):
        step = torch.zeros_like(x)
        step.flatten(1)[:, place] = width
        slope.flatten(1)[:, place] = (function(x + step) - function(x - step)) / (2 * width)
    return slope


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM()], ids=["VP", "EDM"])
@pytest.mark.parametrize("operator", [Pool(2), Mask(SHOWN), bent], ids=["pool", "mask", "bent"])
def test_gradients_are_those_of_finite_differences(schedule, operator):
    """DPS adds scale·σ²/α ∇ log N(y; H x̂_0, noise² I); with noise 0 reconstruction guidance is
    x̂_0 - scale·α/2 ∇‖y - H x̂_0‖², as Ho et al. write it."""
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GUIDED)
    x_0 = GUIDED.sample(Streams.of(9, 6))
    y = operator(x_0 + 0.3)
    cond = torch.arange(6) % 3
    for time in (0.1, 0.4, 0.7):
        level = schedule.level(time)
        x = denoiser.process.marginal(x_0, level).sample(Streams.of(10, 6))

        def misfit(x, time=time):
            return (y - operator(denoiser(x, time, cond).mean)).square().flatten(1).sum(1)

        bare = denoiser(x, time, cond)
        slope = finite_difference(misfit, x)
        for guidance, factor in (
            (DPS(operator, y, 0.5, 0.7), 0.7 * level.sigma**2 / level.alpha / (2 * 0.5**2)),
            (Reconstruction(operator, y, 0.0, 2.0), 2.0 * level.alpha / 2.0),
        ):
            guided = guidance(denoiser)(x, time, cond)
            close(guided.mean, bare.mean - factor * slope, 1e-6)
            assert torch.equal(guided.spread, bare.spread)


def test_without_noise_the_direction_is_that_of_the_pseudo_inverse():
    """Song et al.: (∂x̂_0/∂x_t)ᵀ (H⁺y - H⁺H x̂_0)/r_t², for beliefs without a variance r_t² =
    σ²/(α² + σ²)."""
    schedule, operator = EDM(), Pool(2)
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GUIDED, spread=False)
    x, y = GUIDED.sample(Streams.of(11, 6)), double([[[[0.4]]]])
    level = schedule.level(0.5)
    x.requires_grad_()
    mean = denoiser(x, level).mean
    pull = operator.pseudo_inverse(y) - operator.pseudo_inverse(operator(mean))
    (slope,) = torch.autograd.grad(mean, x, pull.detach())
    share = level.sigma**2 / (level.alpha**2 + level.sigma**2)
    guided = PseudoInverse(operator, y, 0.0)(denoiser)(x.detach(), level)
    close(guided.mean, mean + level.sigma**2 / level.alpha * slope / share)


@pytest.mark.parametrize(
    "guidance",
    [DPS(Pool(2), Y), Reconstruction(Pool(2), Y), PseudoInverse(Pool(2), Y, 0.0)],
    ids=named,
)
def test_without_signal_or_without_noise_the_belief_is_left_alone(guidance):
    denoiser = MixtureDenoiser(GaussianProcess(zero_terminal_snr(Tabulated())), GUIDED)
    x = GUIDED.sample(Streams.of(12, 4))
    for time in (0.0, 1.0, torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)):
        assert torch.equal(guidance(denoiser)(x, time).mean, denoiser(x, time).mean)
    assert not torch.equal(guidance(denoiser)(x, 0.5).mean, denoiser(x, 0.5).mean)


# -- projection -----------------------------------------------------------------------------------


@on_schedules
def test_a_projected_belief_is_measured_as_y_and_is_otherwise_untouched(schedule):
    """Wang et al.: H x̂_0 = y, and what H does not see, (I - H⁺H) x̂_0, stays."""
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GUIDED)
    x, y = GUIDED.sample(Streams.of(13, 6)), GUIDED.sample(Streams.of(14, 6))
    for time in TIMES:
        free = denoiser(x, time)
        masked = Projection(Mask(SHOWN), y)(denoiser)(x, time)
        assert torch.equal(masked.mean, torch.where(SHOWN, y, free.mean))
        assert torch.equal(masked.spread, free.spread)
        pool = Pool(2)
        held = Projection(pool, pool(y))(denoiser)(x, time).mean
        close(pool(held), pool(y), 1e-14)
        close(held - held.mean((2, 3), keepdim=True), free.mean - free.mean.mean((2, 3), True))


def test_a_projected_walk_ends_on_what_was_measured():
    denoiser = MixtureDenoiser(GaussianProcess(Cosine()), GUIDED, spread=False)
    rng = Streams.of(15, 40)
    y = GUIDED.sample(rng.next(9))
    guided = Projection(Mask(SHOWN), y)(denoiser)
    x = rng.normal((1, 2, 2), torch.float64)
    for sampler in (Ancestral(0.0), Ancestral(1.0), Heun()):
        *_, last = walk(sampler, guided, x, even_levels(Cosine(), 10), rng.next())
        close(last.x[..., SHOWN], y[..., SHOWN], 1e-12)


# -- what cannot be ------------------------------------------------------------------------------


def test_what_knows_nothing_is_no_guidance():
    denoiser = MixtureDenoiser(GaussianProcess(Cosine()), GUIDED)
    for guidance in (DPS(), Reconstruction(), PseudoInverse(), Projection()):
        assert guidance(denoiser) is denoiser
    for cls in (DPS, Reconstruction, PseudoInverse):
        assert cls(Pool(2), Y, scale=0.0)(denoiser) is denoiser


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DPS(Pool(2), Y, noise=0.0), "divides by noise², got noise 0"),
        (lambda: PseudoInverse(Pool(2), Y, noise=-1.0), "at least 0, got -1.0"),
        (lambda: Reconstruction(Pool(2)), "given operator without y"),
        (lambda: Projection(y=Y), "given y without operator"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(make, words):
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.parametrize("cls", [DPS, Reconstruction, PseudoInverse, Projection], ids=str)
def test_measurements_of_another_shape_are_refused_in_words(cls):
    denoiser = MixtureDenoiser(GaussianProcess(Cosine()), GUIDED)
    x = GUIDED.sample(Streams.of(16, 4))
    for y in (double([[0.3]]), double([[[[0.3, 0.1]]]]), torch.zeros(3, 1, 1, 1)):
        with pytest.raises(UserError, match=r"\(4, 1, 1, 1\), got y of shape"):
            cls(Pool(2), y)(denoiser)(x, 0.5)
    with pytest.raises(UserError, match=r"multiples of 3"):
        cls(Pool(3), Y)(denoiser)(x, 0.5)


@pytest.mark.parametrize("guidance", [PseudoInverse(Pool(2), Y), Projection(Pool(2), Y)], ids=named)
def test_what_moves_a_mean_refuses_tokens(guidance):
    denoiser = MixtureDenoiser(GaussianProcess(Cosine()), GUIDED)
    denoiser.process = CategoricalProcess()
    with pytest.raises(UserError, match=r"mean of a Gaussian belief.*CategoricalProcess"):
        guidance(denoiser)
