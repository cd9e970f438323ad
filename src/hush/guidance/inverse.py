"""Guidance by a measurement: inverse problems y = H x_0 + n, n ~ N(0, noise² I)."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.guidance.base import Guidance
from hush.guidance.evidence import Evidence, through
from hush.guidance.operators import Linear
from hush.guidance.thresholds import Held
from hush.schedules import Level
from hush.schedules.base import over
from hush.tensors import Condition, expand


def _both_or_none(guidance: "Observation | Projection") -> None:
    if (guidance.operator is None) != (guidance.y is None):
        given, missing = ("y", "operator") if guidance.operator is None else ("operator", "y")
        raise UserError(
            f"{type(guidance).__name__} was given {given} without {missing}: give what was "
            "measured, y, and the operator that measures it, or neither."
        )


def _measured(y: Tensor, seen: Tensor) -> Tensor:
    """y as the operator's own answers are: in their type, on their device."""
    if y.ndim != seen.ndim or any(
        a not in (1, b) for a, b in zip(y.shape, seen.shape, strict=True)
    ):
        raise UserError(
            f"The operator measures states as {tuple(seen.shape)}, got y of shape "
            f"{tuple(y.shape)}: give one measurement for all, (1, ...), or one for each sample."
        )
    return y.to(seen)


@dataclass(frozen=True)
class Observation(Evidence):
    """p(y | x_t) ≈ N(y; H x̂_0(x_t), C): the belief is moved along

    scale·∇ log p(y | x_t) = scale·(∂x̂_0/∂x_t)ᵀ Hᵀ C⁻¹ (y - H x̂_0).

    What C is, is all they differ in. The gradient goes through the denoiser: a step costs two to
    three evaluations, and the memory of training. `operator` maps x_0, as the codec encodes it, to
    what is measured; `y` is (1, *measured) or one for each sample, in the same units, and `noise`
    the standard deviation of what it is off by. With neither operator nor y, or scale 0, there is
    no guidance. The condition is passed on.

    Raises:
        UserError: y without operator or otherwise, a negative noise, y of another shape than what
            the operator answers with, a model that is not Gaussian.
    """

    operator: Callable[[Tensor], Tensor] | None = None
    y: Tensor | None = None
    noise: float = 0.05
    scale: float = 1.0

    neutral: ClassVar[float | None] = 0.0

    def __post_init__(self) -> None:
        _both_or_none(self)
        if not self.noise >= 0.0:
            raise UserError(f"noise is a standard deviation, at least 0, got {self.noise}.")

    @property
    def speaks(self) -> bool:
        return self.operator is not None and self.scale != 0.0

    @abstractmethod
    def whitened(self, residual: Tensor, belief: Gaussian, level: Level) -> Tensor:
        """C⁻¹ (y - H x̂_0); the belief is there for its variance."""

    def weigh(
        self, denoiser: Denoiser, x_t: Tensor, level: Level, cond: Condition | None
    ) -> tuple[Gaussian, Tensor]:
        def log_prob(belief: Gaussian) -> Tensor:
            seen = self.operator(belief.mean)
            residual = _measured(self.y, seen) - seen
            weight = self.whitened(residual, belief, level)
            return -0.5 * (residual * weight).flatten(1).sum(1)

        belief, slope = through(denoiser, log_prob, x_t, level, cond)
        return belief, self.scale * slope


@dataclass(frozen=True)
class DPS(Observation):
    """C = noise² I: as if x̂_0 were x_0. Any differentiable operator will do, linear or not.

    Their algorithm takes a step of its own after each of the sampler's, of a length divided by
    ‖y - H x̂_0‖; here scale 1 is the likelihood itself, whatever the sampler. It ignores how unsure
    x̂_0 is, so where the noise is small it overshoots: choose a scale below 1, or `PseudoInverse`.
    """

    cite: ClassVar[str] = (
        "Chung et al. 2023, Diffusion posterior sampling for general noisy inverse problems"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise == 0.0:
            raise UserError(
                "DPS divides by noise², got noise 0: give a small one, or use PseudoInverse or "
                "Projection, which allow it."
            )

    def whitened(self, residual: Tensor, belief: Gaussian, level: Level) -> Tensor:
        return residual / self.noise**2


@dataclass(frozen=True)
class Reconstruction(Observation):
    """C = (σ²/α² + noise²) I: x̂_0 is taken to be as unsure as x_t/α is. Any differentiable operator
    will do, linear or not.

    With noise 0 it is x̂_0 - scale·α/2 ∇‖y - H x̂_0‖², scale being the paper's w_r.
    """

    noise: float = 0.0

    cite: ClassVar[str] = "Ho et al. 2022, Video diffusion models"

    def whitened(self, residual: Tensor, belief: Gaussian, level: Level) -> Tensor:
        return residual / (expand(over(level.sigma, level.alpha) ** 2, residual) + self.noise**2)


@dataclass(frozen=True)
class PseudoInverse(Observation):
    """ΠGDM: C = H V Hᵀ + noise² I, V being the belief's own variance, or where it has none what
    data of unit variance leave, σ²/(α² + σ²). The operator is a `Linear`.

    With noise 0 and one V for all elements the direction is (H⁺y - H⁺H x̂_0)/V. For Gaussian data of
    independent elements and the exact belief, the mean is the exact posterior's at every level.
    """

    operator: Linear | None = None

    cite: ClassVar[str] = (
        "Song et al. 2023, Pseudoinverse-guided diffusion models for inverse problems"
    )

    def whitened(self, residual: Tensor, belief: Gaussian, level: Level) -> Tensor:
        if belief.is_point:
            left = level.sigma**2 / (level.alpha**2 + level.sigma**2)
            belief = replace(belief, variance=left)
        wide = belief.spread.detach().expand_as(belief.mean)
        return self.operator.solve(residual, wide, self.noise**2)


@dataclass(frozen=True)
class Projection(Guidance):
    """DDNM: x̂_0 ← H⁺y + (I - H⁺H) x̂_0. What was measured, and nothing else of the belief, becomes
    what y says, exactly, so y should have no noise. It costs nothing and wants no gradient.

    With neither operator nor y there is no guidance.

    Raises:
        UserError: y without operator or otherwise, y of another shape than what the operator
            answers with, a model that is not Gaussian.
    """

    operator: Linear | None = None
    y: Tensor | None = None

    cite: ClassVar[str] = (
        "Wang, Yu, Zhang 2023, Zero-shot image restoration using denoising diffusion null-space "
        "model"
    )

    def __post_init__(self) -> None:
        _both_or_none(self)

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        if self.operator is None:
            return denoiser
        self._only_gaussian(denoiser)
        return Held(denoiser, self._projected)

    def _projected(self, mean: Tensor) -> Tensor:
        operator, seen = self.operator, self.operator(mean)
        y = _measured(self.y, seen).expand_as(seen)
        # In this order what a mask shows is y to the last bit.
        return operator.pseudo_inverse(y) + (mean - operator.pseudo_inverse(seen))
