"""High-order denoising score matching: the score, how it turns, and how that turns."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.errors import UserError
from hush.objectives.base import Loss
from hush.objectives.score_matching import Look, Probed
from hush.tensors import expand


@dataclass(frozen=True)
class HighOrder(Probed):
    """The first three cumulants of the noise given x_t, each from the score's own derivatives.

    With the error ℓ = ε - ε̂ of the first order (held fixed, as is every lower order) and the probe
    v, for D elements, c = α ∇(v·x̂_0), which estimates Cov[ε | x_t] v:

    1  ‖ε - ε̂‖²/D
    2  (‖c - (v·ℓ) ℓ‖² + |v·c - (v·ℓ)²|²)/D²: the matrix, and its trace
    3  ‖σ ∇(v·c) + (v·ℓ)² ℓ - (v·c) ℓ - 2 (v·ℓ) c‖²/D³

    In terms of the score s, c = σ² (∇s) v + v. `second` and `third` count them, 0 leaves one out.
    The errors of the second and third order bound, with that of the first, how far the law of the
    probability-flow ODE is from the data's; for maximum likelihood take the weight `VLB`, or draw t
    with density g²/σ².
    """

    second: float = 1.0
    third: float = 1.0

    cite: ClassVar[str] = (
        "Lu, Zheng, Bao, Chen, Li, Zhu 2022, Maximum likelihood training for score-based diffusion "
        "ODEs by high-order denoising score matching"
    )

    def __post_init__(self) -> None:
        if self.second < 0.0 or self.third < 0.0:
            raise UserError(
                f"second and third must not be negative, got {self.second} and {self.third}."
            )

    def compare(self, look: Look) -> Loss:
        miss, size = look.noise - look.believed, look.size
        total = look.dot(miss, miss) / size
        miss = miss.detach()
        along = look.dot(look.probe, miss)
        if self.second:
            total = total + self.second * self._second(look, miss, along) / size**2
        if self.third:
            total = total + self.third * self._third(look, miss, along) / size**3
        return total

    @staticmethod
    def _second(look: Look, miss: Tensor, along: Tensor) -> Loss:
        gap = look.slope - expand(along, miss) * miss
        return look.dot(gap, gap) + (look.dot(look.probe, look.slope) - along**2) ** 2

    @staticmethod
    def _third(look: Look, miss: Tensor, along: Tensor) -> Loss:
        curve = look.dot(look.probe, look.slope)
        (twist,) = torch.autograd.grad(curve.sum(), look.x_t, create_graph=True)
        twice = expand(2.0 * along, miss) * look.slope.detach()
        gap = look.sigma * twist + expand(along**2 - curve.detach(), miss) * miss - twice
        return look.dot(gap, gap)
