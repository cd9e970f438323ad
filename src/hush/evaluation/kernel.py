"""A distance that no Gaussian stands behind, and whose mean does not move with the number of
samples."""

from jaxtyping import Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.bootstrap import Measured, about, halves

_FEWEST = 4

Set = Float[Tensor, "_ dim"]


def kernel_distance(a: Set, b: Set, seed: int = 0) -> Measured:
    """The squared maximum mean discrepancy with k(x, y) = (x·y/d + 1)³, without bias:

    Σ_{i≠j} k(a_i, a_j)/(n (n - 1)) + Σ_{i≠j} k(b_i, b_j)/(m (m - 1)) - 2 Σ_ij k(a_i, b_j)/(n m).

    0 where two laws share their moments up to the third; an estimate of 0 is as often below it.
    The interval is that of `halves`: exact for large sets of different laws, √3 times too wide for
    equal ones, where the terms of first order are gone (blocks of a tenth would be √10 times).
    Raises `UserError` for sets of fewer than 4 or of different dimension. Bińkowski et al. 2018,
    "Demystifying MMD GANs" (KID, in the features of Inception).
    """
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < _FEWEST:
        raise UserError(
            f"kernel_distance got sets of {tuple(a.shape)} and {tuple(b.shape)}; expected two of "
            f"the same dimension, of {_FEWEST} samples or more."
        )
    a, b = a.double(), b.double()
    aa, bb, ab = ((x @ y.T / a.shape[1] + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))

    def of(i: Tensor, j: Tensor) -> Tensor:
        return _unbiased(aa[i][:, i], bb[j][:, j], ab[i][:, j]).reshape(1)

    value = _unbiased(aa, bb, ab).item()
    drawn = halves(of, (len(a), len(b)), seed).squeeze(1).cpu()
    return Measured(value, about(value, drawn), 0.0)


def _unbiased(aa: Tensor, bb: Tensor, ab: Tensor) -> Float64[Tensor, ""]:
    """The estimate from the kernels within each set and between them."""
    within = [(own.sum() - own.trace()) / (len(own) * (len(own) - 1)) for own in (aa, bb)]
    return sum(within) - 2.0 * ab.mean()
