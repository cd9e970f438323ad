"""How far one set of samples lies from another."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.errors import UserError
from hush.rng import derive

_BLOCK = 2048  # samples against references at once: 32 MiB of float64 distances
_MOST = 2000  # samples a side for the forest: its error is then ±0.008, and more only costs time


def frechet(a: Float[Tensor, "n dim"], b: Float[Tensor, "m dim"]) -> float:
    """The Fréchet distance of the Gaussians that share mean and covariance with two sets.

    |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^{1/2}), in the squared unit of `a` and `b`, float64.
    It grows as the sets shrink, so compare it only with distances of sets as large. Raises
    `UserError` for fewer than two samples. Heusel et al. 2017, "GANs trained by a two time-scale
    update rule", eq. 6 (Dowson and Landau 1982).
    """
    _matching(a, b)
    if min(len(a), len(b)) < 2:
        raise UserError(f"frechet got {len(a)} and {len(b)} samples; expected 2 or more of each.")
    a, b = a.double(), b.double()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    # With the mean taken off and over √(n - 1), xᵀx is the covariance.
    a, b = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    # tr (Σ_a Σ_b)^{1/2} is the sum of the singular values of Σ_a^{1/2} Σ_b^{1/2}: real, without
    # the square root of a product that is not symmetric, and sound where a covariance is singular.
    # They are those of a bᵀ, too.
    few = min(len(a), len(b)) < a.shape[1]
    shared = torch.linalg.svdvals(a @ b.T if few else _root(a.T @ a) @ _root(b.T @ b)).sum()
    return max(0.0, float(apart + a.square().sum() + b.square().sum() - 2.0 * shared))


def _root(cov: Float[Tensor, "dim dim"]) -> Float[Tensor, "dim dim"]:
    """The symmetric square root of a symmetric positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(cov)
    return (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T


def nearest(
    samples: Float[Tensor, " n *event"], references: Float[Tensor, " m *event"]
) -> tuple[Float[Tensor, " n"], Int64[Tensor, " n"]]:
    """The Euclidean distance (n,) of each sample to its nearest reference, and which that is (n,).

    Exact for copies (their distance is 0). Never holds more than a block of the n x m distances.
    Raises `UserError` without references.
    """
    samples, references = samples.flatten(1), references.flatten(1)
    _matching(samples, references)
    if not len(references):
        raise UserError("nearest got no references; expected at least one.")
    indices = torch.cat([_nearest_index(part, references) for part in samples.split(_BLOCK)])
    # |x - y|² from the two pictures themselves: from a matrix product, copies would not be at 0.
    squares = [
        (x.double() - references[i].double()).square().sum(1)
        for x, i in zip(samples.split(_BLOCK), indices.split(_BLOCK), strict=True)
    ]
    return torch.cat(squares).sqrt().to(samples.dtype), indices


def _nearest_index(
    samples: Float[Tensor, "n dim"], references: Float[Tensor, "m dim"]
) -> Int64[Tensor, " n"]:
    best = torch.full((len(samples),), float("inf"), dtype=torch.float64, device=samples.device)
    index = torch.zeros(len(samples), dtype=torch.int64, device=samples.device)
    samples = samples.double()
    for start in range(0, len(references), _BLOCK):
        block = references[start : start + _BLOCK].double()
        # |y|² - 2 x·y orders the references as |x - y|² does.
        score, closest = (block.square().sum(1) - 2.0 * samples @ block.T).min(1)
        closer = score < best
        best = torch.where(closer, score, best)
        index = torch.where(closer, closest + start, index)
    return index


def real_or_fake(
    real: Float[Tensor, " n *event"], fake: Float[Tensor, " m *event"], seed: int = 0
) -> float:
    """How often a random forest tells real from fake, from 0 to 1; 0.5 is ideal.

    The accuracy over stratified folds, on as many of the one as of the other (at most 2000 each,
    drawn by `seed`): no fold is judged by trees that saw it. With n of each, chance alone
    spreads it by about √(1/8n). Quantise the fakes as the real ones are, or it is near 1 for a
    trivial reason. Raises `UserError` for fewer than 10 of either. Lopez-Paz and Oquab 2017,
    "Revisiting classifier two-sample tests", section 3.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    real, fake = real.flatten(1), fake.flatten(1)
    _matching(real, fake)
    count = min(len(real), len(fake), _MOST)
    if count < 10:
        raise UserError(
            f"real_or_fake got {len(real)} real and {len(fake)} fake; expected 10 or more of each."
        )
    generator = torch.Generator().manual_seed(derive(seed, "real or fake"))
    sides = [x.cpu()[torch.randperm(len(x), generator=generator)[:count]] for x in (real, fake)]
    values = torch.cat(sides).numpy()
    truth = torch.tensor([0, 1]).repeat_interleave(count).numpy()
    state = derive(seed, "forest") % 2**32  # what scikit-learn takes
    forest = RandomForestClassifier(n_estimators=200, random_state=state)
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=state)
    return float((cross_val_predict(forest, values, truth, cv=folds) == truth).mean())


def _matching(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1:] != b.shape[1:]:
        raise UserError(
            f"The sets are {tuple(a.shape)} and {tuple(b.shape)}; expected two sets of samples of "
            "the same shape."
        )
