"""Linear measurements of x_0: some of its elements, its local means, any matrix."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hush.errors import UserError

State = Float[Tensor, " batch *event"]
Measured = Float[Tensor, " batch *measured"]


class Linear(ABC):
    """H of y = H x + noise, the same for every sample; a frozen value."""

    @abstractmethod
    def __call__(self, x: State) -> Measured:
        """H x."""

    @abstractmethod
    def adjoint(self, y: Measured) -> State:
        """Hᵀ y."""

    @abstractmethod
    def solve(self, y: Measured, variance: State, noise: float) -> Measured:
        """(H V Hᵀ + noise I)⁻¹ y, V being diagonal with the variances of x; where H reaches nothing
        whatever y says there is left out."""

    def pseudo_inverse(self, y: Measured) -> State:
        """H⁺ y = Hᵀ (H Hᵀ)⁻¹ y: the smallest x that is measured as y."""
        ones = torch.ones_like(self.adjoint(y))
        return self.adjoint(self.solve(y, ones, 0.0))


@dataclass(frozen=True)
class Mask(Linear):
    """The elements where `mask` (*event, or what broadcasts to it) is true: inpainting, imputation.

    y has the shape of x; what it holds elsewhere, NaN too, does not count.
    """

    mask: Bool[Tensor, " *event"]

    def __call__(self, x: State) -> State:
        return torch.where(self.mask.to(x.device), x, 0.0)

    def adjoint(self, y: State) -> State:
        return self(y)

    def solve(self, y: State, variance: State, noise: float) -> State:
        return self(y / (variance + noise))


@dataclass(frozen=True)
class Pool(Linear):
    """The means of squares of `factor` by `factor` elements of the last two axes: a coarse picture.

    Raises:
        UserError: the axes are not multiples of the factor.
    """

    factor: int = 2

    def __call__(self, x: State) -> Measured:
        if x.ndim < 3 or any(side % self.factor for side in x.shape[-2:]):
            raise UserError(
                f"Pool({self.factor}) wants pictures whose height and width are multiples of "
                f"{self.factor}, got states of shape {tuple(x.shape[1:])}."
            )
        sides = (x.shape[-2] // self.factor, self.factor, x.shape[-1] // self.factor, self.factor)
        return x.unflatten(-1, sides[2:]).unflatten(-3, sides[:2]).mean((-3, -1))

    def adjoint(self, y: Measured) -> State:
        wide = y.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
        return wide / self.factor**2

    def solve(self, y: Measured, variance: State, noise: float) -> Measured:
        return y / (self(variance) / self.factor**2 + noise)


@dataclass(frozen=True)
class Matrix(Linear):
    """A matrix (m, d) on the last axis: (…, d) to (…, m). H V Hᵀ is inverted for each sample, in
    float64 and as far as it has rank."""

    matrix: Float[Tensor, "m d"]

    def __call__(self, x: State) -> Measured:
        return x @ self.matrix.to(x).T

    def adjoint(self, y: Measured) -> State:
        return y @ self.matrix.to(y)

    def solve(self, y: Measured, variance: State, noise: float) -> Measured:
        matrix = self.matrix.double().to(y.device)
        spread = (matrix * variance.double().unsqueeze(-2)) @ matrix.T
        whole = spread + noise * torch.eye(len(matrix), dtype=spread.dtype, device=y.device)
        inverse = torch.linalg.pinv(whole, hermitian=True)
        return (inverse @ y.double().unsqueeze(-1)).squeeze(-1).to(y)
