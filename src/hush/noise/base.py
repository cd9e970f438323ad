"""What a noise law is: unit draws, and where it is Gaussian all that its density needs."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.rng import Streams

State = Float[Tensor, " batch *event"]
Event = tuple[int, ...]


class NoiseLaw(ABC):
    """The law of ε in x_t = α x_0 + σ ε: its mean is zero, its size one. A frozen value.

    Size one means either white on the space that ε lives in, or of variance one at each element it
    reaches.
    """

    @abstractmethod
    def __call__(self, rng: Streams, event: Event, dtype: torch.dtype = torch.float32) -> State:
        """Unit noise (batch, *event), each sample's from its own stream (one draw)."""


class GaussianNoise(NoiseLaw):
    """ε = Σ^½ z ~ N(0, Σ) with z white; Σ may be singular, ε then lives in the space Σ reaches.

    Densities are with respect to length, area, volume within that space (its orthonormal
    coordinates): log N(x; m, v Σ) = -½ [‖Σ^-½ (x - m)‖²/v + freedom·log(2πv) + log_det].
    """

    def __call__(self, rng: Streams, event: Event, dtype: torch.dtype = torch.float32) -> State:
        return self.colour(rng.normal(event, dtype))

    @abstractmethod
    def colour(self, x: State) -> State:
        """Σ^½ x: white noise becomes this noise."""

    @abstractmethod
    def whiten(self, x: State) -> State:
        """Σ^-½ x, its inverse on the space; what x has across the space is dropped."""

    @abstractmethod
    def freedom(self, event: Event) -> int:
        """The dimension of the space: the rank of Σ."""

    def log_det(self, event: Event) -> float:
        """log of the product of Σ's eigenvalues other than zero; 0 where they are all one."""
        return 0.0


def with_density(law: NoiseLaw) -> GaussianNoise:
    """The law, if it is Gaussian: what a likelihood or a bound needs. Raises `UserError` else."""
    if isinstance(law, GaussianNoise):
        return law
    raise UserError(
        f"{law} is not Gaussian, so it has no density and no divergence in closed form: "
        "where a likelihood or a bound is wanted use a Gaussian noise law such as White()."
    )
