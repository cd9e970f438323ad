"""A belief's variance: DDPM's two fixed choices, what lies between, and the best there is."""

import pytest
import torch

from hush.denoisers import Denoiser, GaussianDenoiser, variances
from hush.distributions import Gaussian
from hush.likelihoods.analytic import analytic
from hush.likelihoods.bound import bound
from hush.likelihoods.decoders import Binned
from hush.networks.heads import Beside
from hush.objectives import Hybrid, Variational
from hush.objectives.spread import Spread
from hush.objectives.times import Stratified
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, walk
from hush.samplers.grids import Chain
from hush.schedules import EDM, Cosine, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

X = Streams.of(0, 3).normal((2,), torch.float64)
MIXTURE = GaussianMixture.of([0.3, 0.7], [[-0.6, 0.5], [0.7, -0.2]], [0.05, 0.1])
PAIRS = [(0.999, 1.0), (0.4, 0.5), (0.001, 0.002), (0.1, 0.9), (0.0, 0.3), (0.02, 0.8)]


def reverse_variance(process, variance, s, t, eta=1.0, mean=None):
    s, t = (process.schedule.level(time) for time in (s, t))
    mean = X if mean is None else mean
    belief = Gaussian(mean, variance(process.schedule, t, X, mean, None))
    return process.reverse(belief, X, s, t, eta).spread.expand_as(X)


@pytest.mark.parametrize(("s", "t"), PAIRS)
def test_unit_is_beta_and_zero_is_beta_tilde_for_every_step(s, t):
    process = GaussianProcess(Tabulated.linear())
    low, high = process.schedule.level(s), process.schedule.level(t)
    beta = 1.0 - (high.alpha / low.alpha) ** 2
    unit = reverse_variance(process, variances.Unit(), s, t)
    torch.testing.assert_close(unit, torch.full_like(X, beta), atol=1e-14, rtol=1e-12)
    zero = reverse_variance(process, variances.Zero(), s, t)
    small = beta * (low.sigma / high.sigma) ** 2
    torch.testing.assert_close(zero, torch.full_like(X, small), atol=1e-16, rtol=1e-12)


def gamma_of_gaussian_data(level, variance):
    """Γ = E ε̂² of N(m, v) data: σ²/(α² v + σ²)."""
    return level.sigma**2 / (level.alpha**2 * variance + level.sigma**2)


@pytest.mark.parametrize("schedule", [Tabulated.linear(), Cosine(), EDM(), VariancePreserving()])
@pytest.mark.parametrize(("s", "t"), PAIRS)
def test_the_analytic_variance_is_the_exact_reverse_variance_of_gaussian_data(schedule, s, t):
    """Var[x_s | x_t] = σ_{t|s}² v_s/v_t with v = α² 0.25 + σ², for a step of any length."""
    process, data = GaussianProcess(schedule), 0.25
    low, high = schedule.level(s), schedule.level(t)
    v_s, v_t = (at.alpha**2 * data + at.sigma**2 for at in (low, high))
    step = high.sigma**2 - (high.alpha / low.alpha) ** 2 * low.sigma**2
    share = variances.from_score(high, gamma_of_gaussian_data(high, data))
    share /= high.sigma**2 / (high.alpha**2 + high.sigma**2)
    best = variances.Analytic((0.0, t, 1.0 + 1e-9), (0.3, share, 0.9))
    got = reverse_variance(process, best, s, t)
    torch.testing.assert_close(got, torch.full_like(X, step * v_s / v_t), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("s", "t"), PAIRS)
def test_the_analytic_variance_of_ddims_family_is_the_papers(s, t, eta):
    """σ*² = λ² + (√((1-ᾱ_t)/a) - √(1-ᾱ_s-λ²))² (1 - (1-ᾱ_t) E‖∇log q‖²/D), a = ᾱ_t/ᾱ_s."""
    process, data = GaussianProcess(Tabulated.linear()), 0.25
    low, high = process.schedule.level(s), process.schedule.level(t)
    gamma = gamma_of_gaussian_data(high, data)
    own = reverse_variance(process, variances.Zero(), s, t, eta)[0, 0].item()
    ratio = (high.alpha / low.alpha) ** 2
    wanted = own + (high.sigma / ratio**0.5 - (low.sigma**2 - own) ** 0.5) ** 2 * (1.0 - gamma)
    share = variances.from_score(high, gamma) / high.sigma**2
    best = variances.Analytic((0.0, t, 1.0 + 1e-9), (0.3, share, 0.9))
    got = reverse_variance(process, best, s, t, eta)
    torch.testing.assert_close(got, torch.full_like(X, wanted), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("by", ["error", "score"])
def test_measuring_finds_the_analytic_variance(by):
    schedule, count = Tabulated.linear(50), 20_000
    process = GaussianProcess(schedule)
    data = GaussianMixture.of([1.0], [[0.7]], [0.25])
    exact = MixtureDenoiser(process, data)
    levels = Chain(5)(schedule)
    found = analytic(exact, data.sample(Streams.of(1, count)), levels, Streams.of(2, count), by=by)
    for level in levels[:-1]:
        wanted = data.posterior(X[:, :1], level).spread[0, 0].item()
        got = found(schedule, level, X, X, None)
        slack = wanted if by == "error" else (level.sigma / level.alpha) ** 2
        assert abs(got - wanted) < 5 * slack * (2 / count) ** 0.5 + 1e-12


def test_shared_and_own_times_have_one_analytic_variance():
    best = variances.Analytic((0.0, 0.3, 1.0), (0.2, 0.4, 0.9))
    schedule = Cosine()
    for time in (0.0, 0.1, 0.3, 0.77, 1.0):
        one = best(schedule, schedule.level(time), X, X, None)
        many = best(
            schedule, schedule.level(torch.full((3,), time, dtype=torch.float64)), X, X, None
        )
        torch.testing.assert_close(
            many, torch.full((3,), one, dtype=torch.float64), atol=1e-15, rtol=1e-12
        )


@pytest.mark.parametrize(("step", "v"), [(2, 0.99954), (100, 0.76561), (500, 0.26574)])
def test_learned_variance_has_the_right_answer_where_o1_has_it(step, v):
    """exp(v log β + (1 - v) log β̃) is the exact reverse variance of N(0.7, 0.25) at these v."""
    schedule = Tabulated.linear()
    process = GaussianProcess(schedule)
    t, s = step / 1000, (step - 1) / 1000
    level, before = schedule.level(t), schedule.level(s)
    beta = 1.0 - (level.alpha / before.alpha) ** 2
    v_t, v_s = (at.alpha**2 * 0.25 + at.sigma**2 for at in (level, before))
    head = torch.full_like(X, 2.0 * v - 1.0)
    belief = Gaussian(X, variances.Interpolated()(schedule, level, X, X, head))
    got = process.reverse(belief, X, before, level).spread
    assert got[0, 0].item() == pytest.approx(beta * v_s / v_t, rel=3e-4)


@pytest.mark.parametrize("head", [-1.0, 0.3, 1.0])
def test_learned_variance_stays_between_the_fixed_choices_at_every_step(head):
    schedule = Tabulated.cosine(200)
    process = GaussianProcess(schedule)
    heads = torch.full_like(X, head)
    for step in (1, 2, 3, 50, 199, 200):
        level, before = schedule.level(step / 200), schedule.level((step - 1) / 200)
        beta = 1.0 - (level.alpha / before.alpha) ** 2
        second, first = schedule.level(2 / 200), schedule.level(1 / 200)
        floor = (1.0 - (second.alpha / first.alpha) ** 2) * (first.sigma / second.sigma) ** 2
        small = max(beta * (before.sigma / level.sigma) ** 2, floor if step == 1 else 0.0)
        v = 0.5 * (head + 1.0)
        belief = Gaussian(X, variances.Interpolated()(schedule, level, X, X, heads))
        got = process.reverse(belief, X, before, level).spread[0, 0].item()
        assert got == pytest.approx(beta**v * small ** (1.0 - v), rel=1e-9)
        own = schedule.level(torch.full((3,), step / 200).double())
        many = variances.Interpolated()(schedule, own, X, X, heads)
        torch.testing.assert_close(many, belief.spread.expand_as(X), rtol=1e-6, atol=1e-10)


class Told(Denoiser):
    """The exact mean of a mixture with whatever variance `variance(level, x_t, exact)` says."""

    def __init__(self, process, variance):
        super().__init__()
        self.process, self.variance = process, variance

    def forward(self, x_t, t, cond=None):
        level = self.process.schedule.level(t)
        exact = MIXTURE.posterior(x_t, level)
        return Gaussian(exact.mean, self.variance(level, exact.spread))


def best_of_three(loss):
    """The loss of the exact variance, and of it scaled down and up."""
    return [loss(lambda level, exact, k=k: k * exact) for k in (1.0, 0.7, 1.4)]


@pytest.mark.parametrize("of", ["residual", "second_moment"])
def test_the_exact_variance_is_what_spread_teaches(of):
    process, count = GaussianProcess(VariancePreserving()), 20_000
    x_0, t = MIXTURE.sample(Streams.of(3, count)), torch.full((count,), 0.2).double()

    def loss(variance):
        return Spread(of).at(Told(process, variance), x_0, t, Streams.of(4, count)).mean()

    right, low, high = best_of_three(loss)
    assert right < low
    assert right < high


@pytest.mark.parametrize("step", [1, 2, 30, 100])
def test_the_exact_variance_is_what_the_bound_teaches(step):
    process, count = GaussianProcess(Tabulated.linear(100)), 20_000
    x_0, t = MIXTURE.sample(Streams.of(3, count)), torch.full((count,), step / 100).double()
    objective = Variational(only_variance=True)

    def loss(variance):
        return objective.at(Told(process, variance), x_0, t, Streams.of(4, count)).mean()

    right, low, high = best_of_three(loss)
    assert right <= low
    assert right <= high


def test_the_hybrid_loss_teaches_the_mean_by_its_first_part_alone():
    process = GaussianProcess(Tabulated.linear(100))
    network = torch.nn.Conv1d(1, 2, 1).double()

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, x, clock, cond):
            return self.inner(x)

    denoiser = GaussianDenoiser(process, Net(), variance=variances.Interpolated())
    x_0, t = torch.randn(5, 1, 4).double(), torch.full((5,), 0.4).double()

    def gradient(objective):
        network.zero_grad()
        objective.at(denoiser, x_0, t, Streams.of(1, 5)).mean().backward()
        return network.weight.grad.flatten().clone()

    whole, simple = gradient(Hybrid()), gradient(Hybrid(share=0.0))
    assert whole[0] == simple[0]  # the mean's own filter
    assert whole[1] != 0.0
    assert simple[1] == 0.0


def test_a_learned_variance_that_fell_to_nothing_is_no_nan_and_comes_back():
    """A head far below -1 asks for less than β̃: the belief is a point, the loss and its gradient
    stay finite, and the gradient raises the head."""
    schedule = Tabulated.cosine(100)
    process, decoder = GaussianProcess(schedule), Binned(0.125)
    x_0, t = torch.zeros(4, 1, 2), torch.tensor([0.01, 0.02, 0.5, 1.0]).double()
    level = schedule.level(t)
    x_t = process.marginal(x_0, level).sample(Streams.of(0, 4))
    head = torch.full_like(x_0, -40.0).requires_grad_()
    variance = variances.Interpolated()(schedule, level, x_t, x_0, head)
    belief = Gaussian(x_0 + 0.05, variance)
    loss = Variational(decoder, only_variance=True).judge(process, belief, x_0, x_t, level)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert head.grad.isfinite().all()
    assert (head.grad[1:3] < 0).all()


@pytest.mark.parametrize("variance", [variances.Residual(), variances.SecondMoment()], ids=repr)
def test_heads_give_positive_variances_that_still_learn(variance):
    level = Cosine().level(0.4)
    head = torch.linspace(-8, 8, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()
    spread = variance(Cosine(), level, X, X * 0.1, head)
    assert (spread > 0).all()
    spread.sum().backward()
    assert (head.grad != 0).all()


def test_a_right_variance_lowers_the_bound_below_both_fixed_choices():
    """On a mixture, at 10, 25 and 50 of 1000 steps; element by element is better still."""
    schedule, count = Tabulated.linear(), 3000
    process = GaussianProcess(schedule)
    x_0 = MIXTURE.sample(Streams.of(5, count))
    exact = MixtureDenoiser(process, MIXTURE)
    for steps in (10, 25, 50):
        levels = Chain(steps)(schedule)
        best = analytic(exact, MIXTURE.sample(Streams.of(6, count)), levels, Streams.of(7, count))

        def told(variance):
            def of(level, exact):
                return variance(schedule, level, x_0, x_0, None)

            return Told(process, of)

        beliefs = {
            "analytic": told(best),
            "β": told(variances.Unit()),
            "β̃": told(variances.Zero()),
            "exact": exact,
        }
        bounds = {
            name: bound(belief, x_0, levels, Streams.of(8, count)).total
            for name, belief in beliefs.items()
        }
        for name in ("β", "β̃"):
            gain = bounds[name] - bounds["analytic"]
            assert gain.mean() > 4 * gain.std() / count**0.5
        gain = bounds["analytic"] - bounds["exact"]
        assert gain.mean() > 0


def test_a_walk_that_settles_ends_on_a_mean():
    process = GaussianProcess(Tabulated.cosine(10))
    denoiser = Told(process, lambda level, exact: variances.Unit()(Cosine(), level, X, X, None))
    rng, levels = Streams.of(0, 3), Chain(10)(process.schedule)
    settled = [state.x for state in walk(Ancestral(settle=True), denoiser, X, levels, rng)]
    drawn = [state.x for state in walk(Ancestral(), denoiser, X, levels, rng)]
    for one, other in zip(settled[:-1], drawn[:-1], strict=True):
        assert torch.equal(one, other)
    last = denoiser(settled[-2], levels[-2]).mean
    torch.testing.assert_close(settled[-1], last, atol=1e-14, rtol=0)
    assert not torch.equal(settled[-1], drawn[-1])


class Exact(torch.nn.Module):
    """The noise that the exact mean of the mixture means, at the level its clock tells."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def forward(self, x, clock, cond=None):
        level = self.schedule.level(clock.double() / 1000.0)
        mean = MIXTURE.posterior(x, level).mean
        alpha, sigma = (scale.unsqueeze(1) for scale in (level.alpha, level.sigma))
        return (x - alpha * mean) / sigma


class Head(torch.nn.Module):
    """A small perceptron of the state and the time."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(),
            torch.nn.Linear(64, 2),
        ).double()  # fmt: skip

    def forward(self, x, clock, cond=None):
        return self.layers(torch.cat((x, clock.unsqueeze(1) / 500.0 - 1.0), 1))


def test_a_trained_head_finds_the_variance_and_lowers_the_bound():
    """NPR on a mixture: the covariance of each x_t to a fifth, and a bound below that of the best
    number per level (S14)."""
    torch.manual_seed(0)
    schedule = VariancePreserving()
    process = GaussianProcess(schedule)
    denoiser = GaussianDenoiser(
        process, Beside(Exact(schedule), Head()), variance=variances.Residual()
    )
    objective, count = Spread(times=Stratified()), 1024
    learning = [p for p in denoiser.parameters() if p.requires_grad]
    adam = torch.optim.Adam(learning, 1e-2)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1000)
    for turn in range(1000):
        rng = Streams.of(turn, count)
        loss = objective(denoiser, MIXTURE.sample(rng.branch("data")), rng).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        rates.step()
    x_0 = MIXTURE.sample(Streams.of(10**6, 4000))
    with torch.no_grad():
        for time in (0.1, 0.2):
            level = schedule.level(time)
            x_t = process.marginal(x_0, level).sample(Streams.of(7, 4000))
            wanted = MIXTURE.posterior(x_t, level).spread
            error = (denoiser(x_t, level).spread - wanted).abs().mean()
            assert error < 0.2 * wanted.mean()
        levels = schedule.levels(torch.tensor([1.0, 0.6, 0.4, 0.25, 0.12, 0.0]).double())
        exact = MixtureDenoiser(process, MIXTURE)
        best = analytic(exact, MIXTURE.sample(Streams.of(8, 4000)), levels, Streams.of(9, 4000))
        told = Told(process, lambda level, exact: best(schedule, level, x_0, x_0, None))
        rng = Streams.of(11, 4000)
        gain = bound(told, x_0, levels, rng).total - bound(denoiser, x_0, levels, rng).total
        assert gain.mean() > 3 * gain.std() / 4000**0.5


def test_only_the_head_beside_a_network_learns():
    base, head = torch.nn.Dropout(0.5), Head()
    Beside(base, head).train()
    assert head.training
    assert not base.training
    assert all(p.requires_grad for p in head.parameters())


def test_only_elements_that_are_points_take_another_laws_noise():
    law = Gaussian(X, torch.tensor([[0.0, 0.3]] * 3, dtype=torch.float64))
    blurred = law.blurred_like(Gaussian(X, 0.1))
    wanted = torch.tensor([[0.1, 0.3]] * 3, dtype=torch.float64)
    torch.testing.assert_close(blurred.spread, wanted)
    assert Gaussian(X).blurred_like(law).variance is law.variance
    assert Gaussian(X, 0.2).blurred_like(law).variance == 0.2
