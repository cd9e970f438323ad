"""Score matching that is not told the noise: Stein's identity in place of the answer."""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.noise import White
from hush.objectives.base import Loss, Objective
from hush.objectives.times import TimeLaw, Times
from hush.objectives.weights import Simple, Weight
from hush.processes import GaussianProcess, Moment
from hush.rng import Streams
from hush.schedules import Level, Schedule
from hush.tensors import Condition, Number, expand

State = Float[Tensor, " batch *event"]


@dataclass(frozen=True)
class Geometric(TimeLaw):
    """`count` noise levels, evenly spaced in log(σ/α) from t = 1 (or `ratio_max`, where that is
    louder) down to `ratio_min`, each alike: those of the grid `LogSNR`.

    Song and Ermon 2019, "Generative modeling by estimating gradients of the data distribution".
    Raises `UserError` for fewer than 2 levels, or a `ratio_min` that is not above 0.
    """

    count: int = 10
    ratio_min: float = 0.01
    ratio_max: float = 100.0

    def __post_init__(self) -> None:
        if self.count < 2 or not 0.0 < self.ratio_min < self.ratio_max:
            raise UserError(
                "Geometric wants a count of at least 2 and 0 < ratio_min < ratio_max, got "
                f"{self.count}, {self.ratio_min} and {self.ratio_max}."
            )

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        end = max(schedule.log_snr(1.0), -2.0 * math.log(self.ratio_max))
        rise = -2.0 * math.log(self.ratio_min) - end
        place = (u * self.count).floor().clamp(max=self.count - 1.0)
        return schedule.time(end + rise * (1.0 - place / (self.count - 1.0)))


class Look(NamedTuple):
    """What a probed objective sees of each sample: the noise ε = (x_t - α x_0)/σ, the one that is
    believed, ε̂ = (x_t - α x̂_0)/σ, and how the belief turns along the probe v,
    slope = α ∇(v·x̂_0) = v - σ ∇(v·ε̂)."""

    x_t: State
    noise: State
    believed: State
    probe: State
    slope: State
    sigma: Number
    counted: State  # 1 where the mask is true, else 0

    @property
    def size(self) -> Tensor:
        """Elements that count, of each sample."""
        return self.counted.flatten(1).sum(1).clamp(min=1.0)

    def dot(self, a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
        """⟨a, b⟩ over the elements that count."""
        return (self.counted * a * b).flatten(1).sum(1)


def look(
    denoiser: Denoiser,
    x_0: State,
    x_t: State,
    level: Level,
    signs: State,
    cond: Condition | None = None,
    mask: Tensor | None = None,
) -> Look:
    """The belief at x_t, which must carry gradients, and its slope along `signs`."""
    counted = torch.ones_like(x_0) if mask is None else mask.to(x_0).expand_as(x_0)
    alpha, sigma = expand(level.alpha, x_t), expand(level.sigma, x_t)
    mean, probe = denoiser(x_t, level, cond).mean, counted * signs
    (slope,) = torch.autograd.grad((alpha * probe * mean).sum(), x_t, create_graph=True)
    noise, believed = (x_t - alpha * x_0) / sigma, (x_t - alpha * mean) / sigma
    return Look(x_t, noise, believed, probe, slope, sigma, counted)


@dataclass(frozen=True)
class Probed(Objective):
    """An objective that looks at how the belief turns with x_t, along a random direction v of ±1.
    A subclass writes `compare`, a loss of the noise; `weight` counts it as it counts x_0's.

    Raises:
        UserError: the process is not Gaussian with white noise.
    """

    weight: Weight = field(default_factory=Simple)

    @abstractmethod
    def compare(self, look: Look) -> Loss:
        """The loss of each sample."""

    def at(
        self,
        denoiser: Denoiser,
        x_0: State,
        t: Moment,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        process = denoiser.process
        if not isinstance(process, GaussianProcess) or not isinstance(process.noise, White):
            raise UserError(
                f"{type(self).__name__} wants a Gaussian process with white noise, got {process}: "
                "train with Denoising."
            )
        level, learning = process.schedule.level(t), torch.is_grad_enabled()
        signs = (rng.branch("probe").uniform(tuple(x_0.shape[1:])) - 0.5).sign().to(x_0)
        # Of the kernels of attention only the plain one can be differentiated twice.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            x_t = process.marginal(x_0, level).sample(rng).requires_grad_()
            loss = self.compare(look(denoiser, x_0, x_t, level, signs, cond, mask))
        weight = torch.as_tensor(self.weight(process.schedule, level) / level.snr).to(loss)
        return weight * (loss if learning else loss.detach())


@dataclass(frozen=True)
class SlicedScoreMatching(Probed):
    """Sliced score matching, its variance reduced: E[2 vᵀ(∇s)v + ‖s‖²] of s = (α x̂_0 - x_t)/σ².

    With the weight `Simple` it is counted by σ², and with ε̂ = -σ s and 1 added it reads, per
    element, ‖ε̂‖² - 2σ vᵀ(∇ε̂)v + ‖v‖². Since E⟨ε, ε̂⟩ = σ E[∇·ε̂] (Stein's identity), that has the
    expectation of `Denoising` with the same weight, though ε is never used; it varies more.
    """

    cite: ClassVar[str] = (
        "Song, Garg, Shi, Ermon 2019, Sliced score matching: a scalable approach to density and "
        "score estimation"
    )

    def compare(self, look: Look) -> Loss:
        squares = look.dot(look.believed, look.believed) - look.dot(look.probe, look.probe)
        return (squares + 2.0 * look.dot(look.probe, look.slope)) / look.size
