"""The Gaussian noise laws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.errors import UserError
from hush.noise.base import Event, GaussianNoise, State


@dataclass(frozen=True)
class White(GaussianNoise):
    """Σ = I: every element independent."""

    def colour(self, x: State) -> State:
        return x

    def whiten(self, x: State) -> State:
        return x

    def freedom(self, event: Event) -> int:
        return math.prod(event)


@dataclass(frozen=True)
class Centred(GaussianNoise):
    """White on the space of mean zero over `axis`, counted from the end of the event: over the
    points of (point, 3), so that noise moves no cloud or molecule as a whole.

    Σ = I - 11ᵀ/n, of (n - 1)·d degrees of freedom for n points in d dimensions. Data with mean zero
    then keep it at every time. A coordinate has the variance 1 - 1/n.
    """

    axis: int = -2

    cite: ClassVar[str] = (
        "Köhler, Klein, Noé 2020, Equivariant flows: exact likelihood generative learning for "
        "symmetric densities; Hoogeboom et al. 2022, Equivariant diffusion for molecule generation "
        "in 3D"
    )

    def __post_init__(self) -> None:
        if self.axis >= 0:
            raise UserError(
                f"axis counts from the end of the event, got {self.axis}: give -2 for the points "
                "of (point, 3)."
            )

    def colour(self, x: State) -> State:
        self._points(x.shape[1:])
        return x - x.mean(self.axis, keepdim=True)

    def whiten(self, x: State) -> State:
        return self.colour(x)

    def freedom(self, event: Event) -> int:
        points = self._points(event)
        return math.prod(event) // points * (points - 1)

    def _points(self, event: Sequence[int]) -> int:
        if len(event) < -self.axis:
            raise UserError(
                f"Centred noise over axis {self.axis} wants an event of at least {-self.axis} axes "
                f"such as (point, 3), got {tuple(event)}: give another axis."
            )
        return event[self.axis]


@dataclass(frozen=True)
class Symmetric(GaussianNoise):
    """Adjacency (…, n, n): ε_ij = ε_ji of variance one, ε_ii = 0; n(n - 1)/2 degrees of freedom.

    An edge stands in two places, so the space's own measure stretches each by √2: per edge, log
    densities are those of an upper triangle less ½ log 2.
    """

    cite: ClassVar[str] = (
        "Jo, Lee, Hwang 2022, Score-based generative modeling of graphs via the system of "
        "stochastic differential equations"
    )

    def colour(self, x: State) -> State:
        return self._edges(x) / 2**0.5

    def whiten(self, x: State) -> State:
        return self._edges(x) / 2**1.5

    def freedom(self, event: Event) -> int:
        nodes = self._nodes(event)
        return math.prod(event) // nodes * (nodes - 1) // 2

    def log_det(self, event: Event) -> float:
        return self.freedom(event) * math.log(2.0)

    def _edges(self, x: Tensor) -> Tensor:
        """x + xᵀ off the diagonal."""
        loops = torch.eye(self._nodes(x.shape[1:]), dtype=torch.bool, device=x.device)
        return (x + x.mT).masked_fill(loops, 0.0)

    def _nodes(self, event: Sequence[int]) -> int:
        if len(event) < 2 or event[-2] != event[-1]:
            raise UserError(
                f"Symmetric noise wants an adjacency (…, n, n), got an event of {tuple(event)}."
            )
        return event[-1]


@dataclass(frozen=True)
class Coloured(GaussianNoise):
    """Power |k|^-exponent at the frequency k, over the last two axes of pictures and video, the
    last of series; variance one at each element, as on a ring. 0 is white, above 0 smooth (2 is the
    Gaussian free field of pictures, "brown" in series), below 0 "blue".

    Σ = F* diag(S) F with the Fourier transform F and mean(S) = 1. The constant k = 0 gets the power
    of the slowest wave, so that noise covers the data's mean too.
    """

    exponent: float = 1.0

    cite: ClassVar[str] = (
        "Voleti, Pal, Oberman 2022, Score-based denoising diffusion with non-isotropic Gaussian "
        "noise models"
    )

    def __post_init__(self) -> None:
        if not math.isfinite(self.exponent):
            raise UserError(f"exponent must be a finite number, got {self.exponent}.")

    def colour(self, x: State) -> State:
        return self._filtered(x, 0.5)

    def whiten(self, x: State) -> State:
        return self._filtered(x, -0.5)

    def freedom(self, event: Event) -> int:
        return math.prod(event)

    def log_det(self, event: Event) -> float:
        power = self._power(event)
        return math.prod(event) // power.numel() * power.log().sum().item()

    def _filtered(self, x: Tensor, root: float) -> Tensor:
        """Multiply the wave k by S(k)^root."""
        gain = self._power(x.shape[1:], x.device) ** root
        gain = gain[..., : gain.shape[-1] // 2 + 1].to(x.dtype)  # of real waves half are enough
        axes, lengths = tuple(range(-gain.ndim, 0)), x.shape[-gain.ndim :]
        # FFT libraries round a lone transform otherwise than one of many: none goes alone.
        several = x if x.numel() > lengths.numel() else torch.cat((x, x))
        waves = torch.fft.rfftn(several, dim=axes) * gain
        return torch.fft.irfftn(waves, s=lengths, dim=axes)[: len(x)]

    def _power(self, event: Sequence[int], device: torch.device | None = None) -> Tensor:
        """S(k) of every wave of the last axes, in float64."""
        if not event:
            raise UserError("Coloured noise wants pictures or series, got an event without axes.")
        lengths = event[-2:] if len(event) > 2 else event[-1:]
        square = torch.zeros((), dtype=torch.float64, device=device)
        for length in lengths:
            waves = torch.fft.fftfreq(length, dtype=torch.float64, device=device)
            square = square.unsqueeze(-1) + waves**2
        power = square.clamp(min=max(lengths) ** -2.0) ** (-0.5 * self.exponent)
        return power / power.mean()
