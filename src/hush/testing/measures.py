"""What can be measured of a walk whose belief is exact. Nothing here judges."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hush.rng import Streams
from hush.samplers import Ancestral, walk
from hush.schedules import Level, VariancePreserving
from hush.testing.chains import GaussianChain
from hush.testing.mixtures import CLEAN, GaussianMixture, flow_map
from hush.testing.subjects import Asking, Spacing, Subject

CHAIN = GaussianChain()
EVEN = GaussianChain(length=1, correlation=0.0)
POINT = GaussianChain(variance=0.0)
DRAWS = 4096  # walks where the law must be drawn
CLOUD, PARTS = 2000, 8  # samples of a mixture, compared in so many parts
COUNTS = (16, 32, 64, 128)  # numbers of steps for an order
Data = GaussianChain | GaussianMixture


@dataclass
class Exact:
    """The belief that is never wrong on its data, and all that it was asked."""

    data: Data
    calls: list[tuple[Level, Tensor]] = field(default_factory=list)

    def __call__(self, x: Tensor, level: Level) -> Tensor:
        self.calls.append((level, x))
        return self.data.posterior(x, level).mean

    def levels(self) -> list[Level]:
        """The levels it was asked at, those that went down, then the data; their times are only
        names."""
        down: list[Level] = []
        for level, _ in self.calls:
            if not down or level.log_ratio < down[-1].log_ratio - 1e-9:
                down.append(level)
        down = [level for level in down if level.sigma > 0.0] + [CLEAN]
        return [Level(1.0 - i / len(down), *level[1:]) for i, level in enumerate(down)]


@dataclass(frozen=True)
class Law:
    """How far a sample of Gaussian data is from its law: the mean in standard deviations, the
    deviation along the worst axis of the covariance (+0.1 is 10 % too wide), the standard error of
    that, the deviation at the worst of the belief's calls, and how many these were."""

    mean: float
    spread: float
    error: float
    seen: float
    calls: int


@dataclass(frozen=True)
class Character:
    """What a subject is like: it `draws` noise, or `bends` (is not affine on Gaussian data)."""

    draws: bool
    bends: bool


def character(subject: Subject, steps: int = 5) -> Character:
    """Walk two states and their middle, twice, with other noise."""
    z = torch.tensor([[-1.0], [1.0], [0.0]], dtype=torch.float64).expand(3, CHAIN.length)
    x = CHAIN.noised(z, subject.start(steps))
    one, two = (subject.walk(Exact(CHAIN), x, steps, seed) for seed in (1, 2))
    draws = not torch.equal(one, two)
    gap = (one[2] - 0.5 * (one[0] + one[1])).abs().max().item()
    return Character(draws, not draws and gap > 100.0 * subject.floor)


def law(subject: Subject, steps: int, kind: Character) -> tuple[Law, Law]:
    """The law at the end of a walk over Gaussian data with full covariance that begins in the exact
    law of its first level; and the law of the plainest walk over the very levels it asked at.

    An affine walk that draws nothing is pushed through exactly: the states ±√d e_i have mean 0 and
    covariance I. Others are drawn.
    """
    drawn = kind.draws or kind.bends
    z = _white(DRAWS, CHAIN.length) if drawn else _corners(CHAIN.length)
    asked, x = Exact(CHAIN), CHAIN.noised(z, subject.start(steps))
    end = subject.walk(asked, x, steps, seed=3)
    error = (2.0 * DRAWS) ** -0.5 if drawn else 0.0
    plain = Exact(CHAIN)
    return (
        _law(end, asked.calls, error),
        _law(_plain(plain, x, asked.levels(), kind.draws), plain.calls, error),
    )


def contraction(subject: Subject, steps: int) -> tuple[float, float, float]:
    """By what a walk shrinks Gaussian data of variance ¼ (mean 0.7, every element by itself): the
    walk, Euler's (DDIM) over the levels it asked at, and the flow's √(v/(α² v + σ²))."""
    asked, start = Exact(EVEN), subject.start(steps)
    x = EVEN.noised(_corners(1), start)
    width = (x[0] - x[1]).item()
    end = subject.walk(asked, x, steps, seed=3)
    plain = _plain(Exact(EVEN), x, asked.levels(), draws=False)
    return tuple((y[0] - y[1]).item() / width for y in (end, plain, EVEN.flow(x, start)))


def left(subject: Subject, steps: int) -> tuple[float, tuple[float, Level]]:
    """The noise left at the end of a walk to one point, as a standard deviation; and the call where
    the noise of the state is farthest from that of the level the belief was told, as a factor."""
    z = _white(256, POINT.length)
    asked = Exact(POINT)
    end = subject.walk(asked, POINT.noised(z, subject.start(steps)), steps, seed=3)
    size = z.square().mean().sqrt()
    factors = [
        (((x - level.alpha * POINT.mean).square().mean().sqrt() / size / level.sigma).item(), level)
        for level, x in asked.calls
        if level.sigma > 0.0
    ]
    worst = max(factors, key=lambda pair: abs(math.log(max(pair[0], 1e-300))), default=(1.0, CLEAN))
    return ((end - POINT.mean).square().mean().sqrt() / size).item(), worst


def slope(subject: Subject, spacing: Spacing) -> tuple[float, float]:
    """The power of 1/steps with which the end of the flow of a mixture is approached, between the
    two finest walks whose error is above the subject's floor; and the error of the finest."""
    data, errors = mixture(2), {}
    for steps in COUNTS:
        x, exact = _flow(subject.start(steps, spacing))
        end = subject.walk(Exact(data), x, steps, seed=0, spacing=spacing)
        last = subject.end(steps, spacing)
        if last.sigma > 0.0:
            end = flow_map(data, end, last)
        errors[steps] = (end - exact).abs().max().item()
    above = [steps for steps in COUNTS if errors[steps] > subject.floor]
    if len(above) < 2:
        return math.inf, errors[COUNTS[-1]]
    return math.log2(errors[above[-2]] / errors[above[-1]]), errors[COUNTS[-1]]


@functools.lru_cache(maxsize=64)
def _flow(level: Level) -> tuple[Tensor, Tensor]:
    data = mixture(2)
    x = _cloud(data, level)[:8]
    return x, flow_map(data, x, level)


def apart(subject: Subject, steps: int, size: int, kind: Character) -> tuple[float, float]:
    """The sliced Wasserstein distance between samples and a mixture in `size` dimensions, over the
    distance between two exact draws; and that of the plainest walk over the same levels."""
    data, start = mixture(size), subject.start(steps)
    asked = Exact(data)
    end = subject.walk(asked, _cloud(data, start), steps, seed=5)
    plain = _plain_cloud(size, start, tuple(asked.levels()), kind.draws)
    fresh, floor = _fresh(size)
    return _distance(end, fresh) / floor, _distance(plain, fresh) / floor


@functools.lru_cache(maxsize=64)
def _plain_cloud(size: int, start: Level, levels: tuple[Level, ...], draws: bool) -> Tensor:
    data = mixture(size)
    return _plain(Exact(data), _cloud(data, start), list(levels), draws)


@functools.cache
def _fresh(size: int) -> tuple[Tensor, float]:
    """Exact draws, and how far apart two such lots are."""
    fresh, *others = (mixture(size).sample(Streams.of(seed, CLOUD)) for seed in range(21, 25))
    return fresh, sum(_distance(other, fresh) for other in others) / len(others)


def _distance(x: Tensor, y: Tensor) -> float:
    """The sliced distance of small parts of two samples, on average: less a matter of luck than
    that of the whole."""
    pairs = zip(x.chunk(PARTS), y.chunk(PARTS), strict=True)
    return sum(sliced(*pair) for pair in pairs) / PARTS


def sliced(x: Tensor, y: Tensor, directions: int = 64) -> float:
    """The sliced 2-Wasserstein distance of two samples of one size, over fixed directions."""
    lines = Streams.of(17, directions).normal((x.shape[1],), torch.float64)
    lines = lines / lines.norm(dim=1, keepdim=True)
    gaps = (x @ lines.T).sort(0).values - (y @ lines.T).sort(0).values
    return gaps.square().mean().sqrt().item()


@functools.cache
def mixture(size: int) -> GaussianMixture:
    """Four components of unequal weight in so many dimensions, of unit size element by element."""
    means = Streams.of(29, 4).normal((size,), torch.float64)
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    return GaussianMixture(weights, means, torch.tensor([0.1, 0.2, 0.05, 0.3]).double())


def _law(end: Tensor, calls: Sequence[tuple[Level, Tensor]], error: float) -> Law:
    mean, spread = _off(end, CLEAN)
    seen = [_off(x, level)[1] for level, x in calls]
    return Law(mean, spread, error, max(seen, key=abs, default=0.0), len(calls))


def _off(x: Tensor, level: Level) -> tuple[float, float]:
    """The error of the mean and of the worst deviation of a sample of CHAIN at a level."""
    white = CHAIN.whitened(x, level)
    spreads = white.std(0, correction=0) - 1.0
    return white.mean(0).abs().max().item(), spreads[spreads.abs().argmax()].item()


def _plain(belief: Exact, x: Tensor, levels: list[Level], draws: bool) -> Tensor:
    """The end of DDIM's walk over levels, or of DDPM's where noise is drawn."""
    sampler, schedule = Ancestral(float(draws)), VariancePreserving()  # levels bring their numbers
    *_, state = walk(sampler, Asking(schedule, belief), x, levels, Streams.of(4, len(x)))
    return state.x


def _corners(size: int) -> Tensor:
    eye = size**0.5 * torch.eye(size, dtype=torch.float64)
    return torch.cat((eye, -eye))


def _white(count: int, size: int) -> Tensor:
    """Normals in pairs ±z, so that their mean is 0."""
    z = Streams.of(2, count // 2).normal((size,), torch.float64)
    return torch.cat((z, -z))


def _cloud(data: GaussianMixture, level: Level) -> Tensor:
    """Exact draws at a level."""
    rng = Streams.of(6, CLOUD)
    noise = rng.next(2).normal(tuple(data.event), torch.float64)
    return level.alpha * data.sample(rng) + level.sigma * noise
