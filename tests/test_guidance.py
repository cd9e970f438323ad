"""Guidance: what becomes of a belief, and of walks with it, where the answer is known."""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
import torch

from hush import testing
from hush.denoisers import Denoiser
from hush.distributions import Categorical, Gaussian, Product
from hush.errors import UserError
from hush.guidance import (
    Autoguidance,
    Classifier,
    ClassifierFree,
    Clip,
    DynamicThreshold,
    Guidance,
    Interval,
    Judged,
)
from hush.noise import Coloured, Simplex
from hush.processes import CategoricalProcess, GaussianProcess, ProductProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, walk
from hush.samplers.grids import Uniform
from hush.schedules import (
    EDM,
    Cosine,
    Level,
    Rectified,
    Tabulated,
    VariancePreserving,
    zero_terminal_snr,
)
from hush.testing import GaussianMixture, MixtureDenoiser
from hush.testing.guidance import GUIDED, check_guidance

WIDE = GaussianMixture(
    torch.ones(1, dtype=torch.float64),
    torch.zeros(1, 3, dtype=torch.float64),
    torch.full((1,), 9.0, dtype=torch.float64),
)


def test_beliefs_inside_the_range_are_untouched_and_others_land_on_its_edge():
    denoiser = MixtureDenoiser(GaussianProcess(VariancePreserving()), WIDE)
    x = Streams.of(0, 500).normal((3,), torch.float64)
    free, held = denoiser(x, 0.1).mean, Clip(-0.5, 2.0)(denoiser)(x, 0.1).mean
    inside = (free >= -0.5) & (free <= 2.0)
    assert 0 < inside.sum() < inside.numel()
    assert torch.equal(held[inside], free[inside])
    assert set(held[~inside].tolist()) == {-0.5, 2.0}


@pytest.mark.parametrize("sampler", [Ancestral(0.0), Ancestral(1.0), Heun()])
def test_a_walk_with_clipped_beliefs_ends_inside_the_range(sampler):
    process = GaussianProcess(Tabulated())
    denoiser = Clip()(MixtureDenoiser(process, WIDE, spread=False))
    rng = Streams.of(0, 200)
    x = rng.normal((3,), torch.float64)
    *_, last = walk(sampler, denoiser, x, Uniform(20)(process.schedule), rng.next())
    assert last.x.abs().max() <= 1.0 + 1e-12
    assert (last.x.abs() > 0.99).double().mean() > 0.3  # most of N(0, 9) lies outside


def test_noise_inferred_from_a_clipped_belief_keeps_the_state_consistent():
    """x_t = α x̂_0 + σ ε̂ with both from the clipped belief: DDIM's step is α_s x̂_0 + σ_s ε̂."""
    process = GaussianProcess(VariancePreserving())
    denoiser = Clip()(MixtureDenoiser(process, WIDE, spread=False))
    t, s = (process.schedule.level(time) for time in (0.6, 0.4))
    rng = Streams.of(1, 50)
    x = 3 * rng.normal((3,), torch.float64)
    *_, last = walk(Ancestral(0.0), denoiser, x, [t, s], rng.next())
    mean = denoiser(x, t).mean
    noise = (x - t.alpha * mean) / t.sigma
    torch.testing.assert_close(last.x, s.alpha * mean + s.sigma * noise, atol=1e-12, rtol=0)


def test_a_dynamic_threshold_leaves_quiet_samples_alone_and_scales_loud_ones():
    """Saharia et al.: s is a quantile of |x_0|; clip to [-s, s], divide by s if s > 1."""
    denoiser = MixtureDenoiser(GaussianProcess(VariancePreserving()), WIDE, spread=False)
    x = Streams.of(3, 200).normal((3,), torch.float64)
    free = denoiser(x, 0.01).mean
    held = DynamicThreshold(share=1.0)(denoiser)(x, 0.01).mean
    for before, after in zip(free, held, strict=True):
        edge = before.abs().max()
        torch.testing.assert_close(after, before / edge if edge > 1 else before)
    assert 0 < (free.abs().amax(1) > 1).sum() < 200
    cut = DynamicThreshold(share=0.5)(denoiser)(x, 0.01).mean
    middle = free.abs().median(1).values.clamp(min=1.0)
    expected = free.clamp(-middle[:, None], middle[:, None]) / middle[:, None]
    torch.testing.assert_close(cut, expected)


# -- every guidance -------------------------------------------------------------------------------


def pulled_to_the_label(x, level, cond):
    """A log-probability of no particular law."""
    return -0.1 * (x.flatten(1).sum(1) - cond) ** 2


def named(guidance):
    return type(guidance).__name__


CONFIGURED = [
    ClassifierFree(0.0),
    ClassifierFree(3.0, rescale=0.7),
    Classifier(pulled_to_the_label, 2.0),
    Judged(lambda x_0, level, cond: -0.1 * (x_0 - 0.3).flatten(1).square().sum(1), 2.0),
    Interval(ClassifierFree(), 0.0, math.inf),
    Interval(Classifier(pulled_to_the_label), 0.1, 3.0),
]


@pytest.mark.parametrize("guidance", [*testing.every(Guidance), *CONFIGURED], ids=named)
def test_guidance(guidance):
    check_guidance(guidance)


# -- two Gaussians, of which all is known (O10) ---------------------------------------------------

MU = 1.3
PAIR = GaussianMixture.of([0.5, 0.5], [[MU], [-MU]], [1.0, 1.0])
SCHEDULES = {
    "VP": VariancePreserving(),
    "EDM": EDM(),
    "rectified": Rectified(),
    "chain": Tabulated(),
}
TIMES = (1e-3, 0.03, 0.2, 0.5, 0.8, 0.97)
on_schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def side(x, level, cond):
    """log p(c | x_t): N(±μ, 1) noised to (α, σ) are at odds exp(2 α μ x/(α² + σ²))."""
    odds = x[:, 0] * (2.0 * level.alpha * MU / (level.alpha**2 + level.sigma**2))
    return torch.nn.functional.logsigmoid((1.0 - 2.0 * cond) * odds)


def states(process, mixture, time, count=40):
    rng = Streams.of(0, count)
    x = process.marginal(mixture.sample(rng), time).sample(rng.next(2))
    return x, torch.arange(count) % len(mixture.weights)


def close(got, wanted, allowed=1e-10):
    torch.testing.assert_close(got, wanted, atol=allowed, rtol=allowed)


@on_schedules
@pytest.mark.parametrize("spread", [True, False])
def test_a_classifier_and_no_classifier_agree_at_every_level_and_scale(schedule, spread):
    process = GaussianProcess(schedule)
    denoiser = MixtureDenoiser(process, PAIR, spread)
    way = 0.0
    for time in TIMES:
        x, cond = states(process, PAIR, time)
        for scale in (-1.0, 0.0, 0.5, 1.0, 2.0, 7.5):
            with_one = Classifier(side, scale)(denoiser)(x, time, cond)
            without = ClassifierFree(scale)(denoiser)(x, time, cond)
            close(with_one.mean, without.mean)
        bound = denoiser(x, time, cond)
        close(Classifier(side)(denoiser)(x, time, cond).mean, bound.mean)
        way = max(way, (bound.mean - denoiser(x, time).mean).abs().max())
    assert way > 1.0  # there was one to go


def state_of(belief, level, wanted):
    """The x_t about which a belief of one number grows to be `wanted`, as a function of it: found
    by halving, then one step of Newton's, which has the derivative of the inverse."""
    low, high = torch.full_like(wanted, -1e3), torch.full_like(wanted, 1e3)
    with torch.no_grad():
        for _ in range(90):
            middle = (low + high) / 2
            below = belief(middle, level).mean < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    x = low.detach().requires_grad_()
    with torch.enable_grad():
        mean = belief(x, level).mean
        (slope,) = torch.autograd.grad(mean.sum(), x)
    return low + (wanted - mean.detach()) / slope


@on_schedules
def test_a_judge_that_knows_what_the_belief_says_of_the_class_is_bayes_rule(schedule):
    """O10: p(c | x_t), told as a function of x̂_0(x_t), which grows with x_t. So the gradient
    through the denoiser is that of the classifier, and the belief the conditional one."""
    denoiser = MixtureDenoiser(GaussianProcess(schedule), PAIR)

    def judge(x_0, level, cond):
        return side(state_of(denoiser, level, x_0), level, cond)

    class Free(MixtureDenoiser):
        """It is never told the class: only the judge is."""

        def forward(self, x_t, t, cond=None):
            return super().forward(x_t, t)

    free = Free(denoiser.process, PAIR)
    for time in (0.2, 0.5, 0.8):
        x, cond = states(denoiser.process, PAIR, time)
        close(Judged(judge)(free)(x, time, cond).mean, denoiser(x, time, cond).mean, 1e-7)
        twice = Classifier(side, 2.0)(denoiser)(x, time, cond)
        close(Judged(judge, 2.0)(free)(x, time, cond).mean, twice.mean, 1e-7)


@on_schedules
def test_a_linear_judge_of_gaussian_data_is_bayes_rule_at_every_level(schedule):
    """p(y | x_0) ∝ exp(a·x_0) makes N(m, Σ) to N(m + Σ a, Σ), and x̂_0 loses nothing of it."""
    process = GaussianProcess(schedule)
    root = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.7, 0.0], [-0.3, 0.4, 0.5]], dtype=torch.float64)
    tilt = torch.tensor([0.8, -1.1, 0.4], dtype=torch.float64)
    data = testing.FullGaussian(torch.tensor([0.2, 0.0, -0.5]).double(), root @ root.T)
    tilted = testing.FullGaussian(data.mean + data.covariance @ tilt, data.covariance)
    judged = Judged(lambda x_0, level, cond: x_0 @ tilt)
    guided = judged(testing.FullGaussianDenoiser(process, data))
    rng = Streams.of(4, 50)
    for time in TIMES:
        x = process.marginal(tilted.sample(rng), time).sample(rng.next())
        exact = testing.FullGaussianDenoiser(process, tilted)(x, time)
        belief = guided(x, time)
        close(belief.mean, exact.mean)
        close(belief.spread, exact.spread)


def test_a_doubled_batch_and_two_batches_say_the_same(monkeypatch):
    process = GaussianProcess(VariancePreserving())
    x, cond = states(process, PAIR, 0.4)
    asked = []

    class Counting(MixtureDenoiser):
        def forward(self, x_t, t, cond=None):
            asked.append(len(x_t))
            return super().forward(x_t, t, cond)

    guided = ClassifierFree(3.0)(Counting(process, PAIR))
    together = guided(x, 0.4, cond)
    monkeypatch.setattr("hush.guidance.free.NEAR", x.numel() - 1)
    close(guided(x, 0.4, cond).mean, together.mean)
    assert asked == [2 * len(x), len(x), len(x)]


@on_schedules
def test_the_guided_score_is_that_of_the_density_times_the_classifier_to_the_scale(schedule):
    """S03: ∇ log p(x_t) p(c | x_t)^w, the score that Tweedie's formula finds in a belief."""
    process, scale = GaussianProcess(schedule), 3.0
    guided = Classifier(side, scale)(MixtureDenoiser(process, PAIR))
    for time in TIMES:
        x, cond = states(process, PAIR, time)
        level = schedule.level(time)
        score = (level.alpha * guided(x, time, cond).mean - x) / level.sigma**2
        free, bound = PAIR.score(x, level), PAIR.score(x, level, cond)
        close(score * level.sigma, (free + scale * (bound - free)) * level.sigma, 1e-9)


def test_a_classifier_never_shows_the_model_its_condition_and_needs_one_itself():
    denoiser = MixtureDenoiser(GaussianProcess(VariancePreserving()), PAIR)
    x, cond = states(denoiser.process, PAIR, 0.4)
    guided = Classifier(lambda x, level, cond: 0.0 * x.sum(1))(denoiser)
    assert torch.equal(guided(x, 0.4, cond).mean, denoiser(x, 0.4).mean)
    assert torch.equal(Classifier(side)(denoiser)(x, 0.4).mean, denoiser(x, 0.4).mean)


def test_where_no_signal_is_left_a_classifier_leaves_the_belief_alone():
    denoiser = MixtureDenoiser(GaussianProcess(zero_terminal_snr(Tabulated())), PAIR)
    x, cond = states(denoiser.process, PAIR, 1.0)
    guided = Classifier(side, 5.0)(denoiser)
    for moment in (1.0, torch.ones(len(x), dtype=torch.float64)):
        assert torch.equal(guided(x, moment, cond).mean, denoiser(x, moment).mean)


def test_coloured_noise_colours_the_gradient():
    """x̂_0 = (x_t + σ² Σ score)/α: two Gaussians that differ in their means alone, under noise of
    covariance Σ = S Sᵀ, are two under white noise in the coordinates S⁻¹ x."""
    noise, schedule, event = Coloured(2.0), Cosine(), (6,)
    process = GaussianProcess(schedule, noise)
    shift = noise.colour(torch.tensor([[1.0, -0.5, 0.0, 0.3, 0.2, 0.0]], dtype=torch.float64))
    whole = GaussianMixture.of([1.0], [[0.0] * 6], [1.0])

    class Whitened(Denoiser):
        def __init__(self):
            super().__init__()
            self.process = process

        def forward(self, x_t, t, cond=None):
            """x_0 ~ ±shift + S z with equal odds, 1 and 0 being the sides."""
            level = schedule.level(t)
            white = whole.posterior(noise.whiten(x_t), level).mean
            power = level.alpha**2 + level.sigma**2
            odds = log_odds(x_t, level) / 2.0
            side = odds.tanh() if cond is None or cond[0] < 0 else 1.0 - 2.0 * cond.double()
            step = side.unsqueeze(1) * shift * (level.sigma**2 / power)
            return Gaussian(noise.colour(white) + step)

    def log_odds(x, level):
        power = level.alpha**2 + level.sigma**2
        return 2.0 * level.alpha * (noise.whiten(x) * noise.whiten(shift)).sum(1) / power

    def log_prob(x, level, cond):
        return torch.nn.functional.logsigmoid((1.0 - 2.0 * cond) * log_odds(x, level))

    denoiser, rng = Whitened(), Streams.of(2, 20)
    x, cond = noise(rng, event, torch.float64), torch.arange(20) % 2
    for time in (0.1, 0.5, 0.9):
        guided = Classifier(log_prob)(denoiser)(x, time, cond)
        close(guided.mean, denoiser(x, time, cond).mean)


def test_guided_beliefs_can_be_differentiated_where_gradients_are_recorded():
    """A Classifier within: the gradient of its guided mean is the one finite differences find."""
    guided = Classifier(side, 2.0)(MixtureDenoiser(GaussianProcess(Cosine()), PAIR))
    x, cond = states(guided.process, PAIR, 0.4, 6)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(guided(x, 0.4, cond).mean.sum(), x)
    with torch.no_grad():
        ahead, behind = (guided(x + step, 0.4, cond).mean for step in (1e-5, -1e-5))
    close(slope, (ahead - behind) / 2e-5, 1e-8)


# -- without a classifier, by a worse model, and in an interval -----------------------------------


class Worse(Denoiser):
    """Half of what the exact denoiser believes."""

    def __init__(self, process, mixture):
        super().__init__()
        self.process, self.exact = process, MixtureDenoiser(process, mixture)

    def forward(self, x_t, t, cond=None):
        belief = self.exact(x_t, t, cond)
        return replace(belief, mean=0.5 * belief.mean)


@on_schedules
def test_rescaling_takes_the_deviation_back_to_the_conditional_one(schedule):
    """Lin et al. 2024, section 3.4; half of the way with rescale ½, and no factor else."""
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GUIDED)
    x, cond = states(denoiser.process, GUIDED, 0.4)
    bound, free = denoiser(x, 0.4, cond).mean, ClassifierFree(6.0)(denoiser)(x, 0.4, cond).mean
    sizes = [mean.flatten(1).std(1) for mean in (bound, free)]
    assert (sizes[1] / sizes[0] - 1).abs().max() > 0.05
    for part in (0.5, 1.0):
        held = ClassifierFree(6.0, rescale=part)(denoiser)(x, 0.4, cond).mean
        close(held.flatten(1).std(1), part * sizes[0] + (1 - part) * sizes[1])
        ratio = (held / free).flatten(1)
        close(ratio, ratio[:, :1].expand_as(ratio))


def test_without_signal_rescaling_x_0_is_rescaling_v():
    """There v = -x_0, so this is the network's output that the paper rescales."""
    denoiser = MixtureDenoiser(GaussianProcess(zero_terminal_snr(Tabulated())), GUIDED)
    x, cond = states(denoiser.process, GUIDED, 1.0)
    level = denoiser.process.schedule.level(1.0)

    def v(mean):
        return (level.alpha * x - mean) / level.sigma

    free, bound = (v(denoiser(x, 1.0, c).mean) for c in (None, cond))
    output = free + 4.0 * (bound - free)
    output = output * (bound.flatten(1).std(1) / output.flatten(1).std(1)).reshape(-1, 1, 1, 1)
    close(v(ClassifierFree(4.0, rescale=1.0)(denoiser)(x, 1.0, cond).mean), output)


@on_schedules
def test_autoguidance_is_linear_in_its_scale_and_by_oneself_is_nothing(schedule):
    process = GaussianProcess(schedule)
    strong, weak = MixtureDenoiser(process, GUIDED), Worse(process, GUIDED)
    check_guidance_of_one_process(strong, weak)
    for time in TIMES:
        x, cond = states(process, GUIDED, time)
        best, bad = strong(x, time, cond), weak(x, time, cond)
        for scale in (0.0, 0.5, 2.0, 5.0):
            guided = Autoguidance(weak, scale)(strong)(x, time, cond)
            close(guided.mean, bad.mean + scale * (best.mean - bad.mean), 1e-12)
            assert torch.equal(guided.variance, best.variance)
            own = Autoguidance(strong, scale)(strong)(x, time, cond)
            assert torch.equal(own.mean, best.mean)


def check_guidance_of_one_process(strong, weak):
    assert Autoguidance(weak, 1.0)(strong) is strong
    assert Autoguidance(None, 3.0)(strong) is strong
    other = MixtureDenoiser(GaussianProcess(Cosine()), GUIDED)
    with pytest.raises(UserError, match=r"weak model's process is .*Cosine.*same process"):
        Autoguidance(other)(strong)


@on_schedules
def test_an_interval_guides_inside_and_nowhere_else(schedule):
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GUIDED)
    inner, low, high = ClassifierFree(4.0), 0.3, 2.0
    guided, limited = inner(denoiser), Interval(inner, low, high)(denoiser)
    times = torch.linspace(0.01, 1.0, 40, dtype=torch.float64)
    found = set()
    for level in schedule.levels(times):
        inside = level.alpha * low < level.sigma <= level.alpha * high
        x, cond = states(denoiser.process, GUIDED, level, 6)
        expected = (guided if inside else denoiser)(x, level, cond)
        assert torch.equal(limited(x, level, cond).mean, expected.mean)
        found.add(inside)
    assert found == {True, False}
    x, cond = states(denoiser.process, GUIDED, times)
    both = limited(x, times, cond)
    ratio = schedule.level(times).log_ratio.exp()
    chosen = ((ratio > low) & (ratio <= high)).reshape(-1, 1, 1, 1)
    expected = guided(x, times, cond).mean, denoiser(x, times, cond).mean
    assert torch.equal(both.mean, torch.where(chosen, *expected))


def test_an_interval_shuts_at_its_upper_end_and_opens_after_its_lower_one():
    schedule = EDM()
    denoiser = MixtureDenoiser(GaussianProcess(schedule), GUIDED)
    x, cond = states(denoiser.process, GUIDED, 0.5)
    guided = ClassifierFree()(denoiser)
    for ratio, inside in ((0.5, False), (0.500001, True), (2.0, True), (2.000001, False)):
        level = Level(0.5, 1.0, ratio)
        expected = (guided if inside else denoiser)(x, level, cond).mean
        limited = Interval(ClassifierFree(), 0.5, 2.0)(denoiser)
        assert torch.equal(limited(x, level, cond).mean, expected)


# -- what cannot be guided ------------------------------------------------------------------------


class Tokens(Denoiser):
    """A belief over three tokens that leans to the condition."""

    def __init__(self):
        super().__init__()
        self.process = CategoricalProcess()

    def forward(self, x_t, t, cond=None):
        lean = torch.nn.functional.one_hot(x_t % 3, 3).double()
        if cond is not None:
            named = torch.nn.functional.one_hot(cond.clamp(min=0), 3).double()
            lean = lean + (cond >= 0).reshape(-1, 1, 1) * named.unsqueeze(1)
        return Categorical(lean)


def test_tokens_are_guided_by_geometric_means():
    """p ∝ p(∅)^(1-w) p(c)^w."""
    denoiser, x = Tokens(), torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]])
    cond = torch.tensor([1, 2])
    free, bound = denoiser(x, 0.5).probs, denoiser(x, 0.5, cond).probs
    wanted = free**-2.0 * bound**3.0
    wanted = wanted / wanted.sum(-1, keepdim=True)
    close(ClassifierFree(3.0)(denoiser)(x, 0.5, cond).probs, wanted)
    limited = Interval(ClassifierFree(3.0), 0.0, 1.0)(denoiser)
    times = torch.tensor([0.01, 1.0], dtype=torch.float64)
    close(limited(x, times, cond).probs, torch.stack((wanted[0], bound[1])))


class Both(Denoiser):
    """Numbers and tokens at once."""

    def __init__(self):
        super().__init__()
        self.number = MixtureDenoiser(GaussianProcess(Tabulated()), PAIR)
        self.token = Tokens()
        self.process = ProductProcess({"number": self.number.process, "token": self.token.process})

    def forward(self, x_t, t, cond=None):
        parts = {"number": self.number, "token": self.token}
        return Product({name: part(x_t[name], t, cond) for name, part in parts.items()})


def test_every_part_of_a_product_is_guided_as_it_would_be_alone():
    both, cond = Both(), torch.tensor([1, 0])
    x = {"number": states(both.number.process, PAIR, 0.4, 2)[0], "token": torch.tensor([[0], [2]])}
    for guidance in (ClassifierFree(3.0), Interval(ClassifierFree(3.0), 0.0, 1.0)):
        for moment in (0.1, torch.tensor([0.1, 0.9], dtype=torch.float64)):
            parts = guidance(both)(x, moment, cond).parts
            number = guidance(both.number)(x["number"], moment, cond)
            token = guidance(both.token)(x["token"], moment, cond)
            assert torch.equal(parts["number"].mean, number.mean)
            assert torch.equal(parts["token"].logits, token.logits)


@pytest.mark.parametrize("guidance", [Classifier(side), ClassifierFree(rescale=0.5)], ids=named)
def test_what_moves_a_mean_refuses_tokens(guidance):
    with pytest.raises(UserError, match=r"mean of a Gaussian belief.*CategoricalProcess"):
        guidance(Tokens())


def test_what_needs_a_score_refuses_noise_without_a_density():
    denoiser = MixtureDenoiser(GaussianProcess(Cosine(), Simplex()), GUIDED)
    with pytest.raises(UserError, match="no density"):
        Classifier(side)(denoiser)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ClassifierFree(rescale=1.5), "rescale .* between 0 .* 1, got 1.5"),
        (lambda: Interval(low=2.0, high=1.0), "0 <= low < high, got 2.0 and 1.0"),
        (lambda: Interval(low=-1.0), "0 <= low < high, got -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(make, words):
    with pytest.raises(UserError, match=words):
        make()


# -- the suite catches what it is there for -------------------------------------------------------


@dataclass(frozen=True)
class Wrong(Guidance):
    scale: float = 1.0
    seen: list = field(default_factory=list)
    neutral: ClassVar[float | None] = 1.0

    def __call__(self, denoiser):
        return Changed(denoiser, self.change)

    def change(self, belief, x_t):
        return belief


class Changed(Denoiser):
    def __init__(self, denoiser, change):
        super().__init__()
        self.denoiser, self.process, self.change = denoiser, denoiser.process, change

    def forward(self, x_t, t, cond=None):
        return self.change(self.denoiser(x_t, t, cond), x_t)


def test_the_suite_catches_beliefs_that_mix_loud_ones_stateful_ones_and_graphs():
    class Mixing(Wrong):
        def change(self, belief, x_t):
            return replace(belief, mean=belief.mean + belief.mean.mean(0))

    class Loud(Wrong):
        def change(self, belief, x_t):
            return replace(belief, mean=1.5 * belief.mean)

    class Stateful(Wrong):
        def change(self, belief, x_t):
            self.seen.append(0)
            return replace(belief, mean=len(self.seen) * belief.mean)

    class Greedy(Wrong):
        def change(self, belief, x_t):
            with torch.enable_grad():
                x = x_t.detach().requires_grad_()
                return replace(belief, mean=belief.mean + 0.0 * x)

    class Trained(Wrong):
        def __call__(self, denoiser):
            def change(belief, x_t):
                with torch.enable_grad():
                    denoiser(x_t, 0.5).mean.sum().backward()
                return belief

            return Changed(denoiser, change)

    for cls, words in (
        (Mixing, "two parts"),
        (Loud, "at scale 1"),
        (Stateful, "bit for bit"),
        (Greedy, "hold on to gradients"),
        (Trained, "gradient in the weights"),
    ):
        check_guidance(Wrong())
        with pytest.raises(AssertionError, match=words):
            check_guidance(cls())
