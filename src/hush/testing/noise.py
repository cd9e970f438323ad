"""The suite of noise laws."""

import math
from dataclasses import FrozenInstanceError, fields, is_dataclass

import torch
from torch import Tensor

from hush.distributions import Gaussian, kl
from hush.errors import UserError
from hush.noise import GaussianNoise, NoiseLaw
from hush.rng import Streams
from hush.testing.claims import agree, require

Event = tuple[int, ...]
_COUNT = 4000
_ERRORS = 5.0  # how many standard errors an average over draws may be off


def check_noise_law(law: NoiseLaw, event: Event = (2, 4, 4)) -> None:
    """A noise law draws unit noise, each sample's from its own stream, and a Gaussian one knows its
    density.

    - a frozen value; draws in the asked type and on the streams' device, one draw of the stream:
      the same one gives the same noise, the next another, bit for bit in any split of the batch;
    - over draws the mean is 0; variances are 1 where the noise is, or it is white on its space;
    - whitened draws have the covariance of the projection on the space;
    - with the dense covariance Σ: `whiten` undoes `colour`, `freedom` is the rank, `log_prob` and
      `kl` are those of N(m, v Σ), to 1e-9;
    - noise that is not Gaussian says that it has no density.
    """
    _check_value(law, event)
    _check_streams(law, event)
    draws = law(Streams.of(1, _COUNT), event, torch.float64)
    _average(draws, torch.zeros(event), f"the mean of {law}")
    if isinstance(law, GaussianNoise):
        root = _dense_root(law, event)
        _check_space(law, event, root)
        _check_covariance(law, draws, root)
        _check_density(law, event, root)
        _check_divergence(law, event, root)
        return
    _average(draws**2, torch.ones(event), f"the variance of {law}")
    x = Gaussian(draws[:2], 1.0, law)
    for ask in (lambda: x.log_prob(draws[:2]), lambda: kl(x, x)):
        try:
            ask()
        except UserError:
            continue
        raise AssertionError(f"{law} is not Gaussian and must refuse its density with a UserError.")


def _check_value(law: NoiseLaw, event: Event) -> None:
    require(is_dataclass(law) and law == type(law)(**vars(law)), f"{law} must be a dataclass.")
    for part in fields(law):
        try:
            setattr(law, part.name, getattr(law, part.name))
        except FrozenInstanceError:
            continue
        raise AssertionError(f"{law} must be frozen, but its {part.name} can be set.")
    for dtype in (torch.float32, torch.float64):
        x = law(Streams.of(0, 3), event, dtype)
        require(x.dtype == dtype, f"{law} was asked for {dtype} and drew {x.dtype}.")
        require(x.shape == (3, *event), f"{law} drew {tuple(x.shape)} for 3 samples of {event}.")
        require(x.isfinite().all(), f"{law} drew numbers that are not finite.")
    away = law(Streams.of(0, 3, device="meta"), event)
    require(away.device.type == "meta", f"{law} must draw on the device of its streams.")


def _check_streams(law: NoiseLaw, event: Event) -> None:
    rng = Streams.of(5, 6, 2)
    for dtype in (torch.float32, torch.float64):
        whole = law(rng, event, dtype)
        require(torch.equal(law(rng, event, dtype), whole), f"{law} must repeat a stream's noise.")
        for start, end in ((0, 1), (1, 2), (1, 4), (4, 6)):
            part = law(rng[start:end], event, dtype)
            same = torch.equal(part, whole[start:end])
            require(same, f"Samples of {law} must be the same in any part of a batch.")
    others = (law(rng.next(), event), law(Streams.of(6, 6, 2), event))
    for other in (*others, law(rng, event).roll(1, 0)):
        differ = (other != law(rng, event)).flatten(1).any(1).all()
        require(differ, f"{law} must draw other noise for each sample, draw and seed.")


def _average(draws: Tensor, wanted: Tensor, what: str) -> None:
    """The mean over draws is `wanted`, as far as its own standard error tells."""
    error = draws.std(0) / len(draws) ** 0.5
    off = (draws.mean(0) - wanted).abs() - _ERRORS * error
    worst = int(off.argmax())
    got, aim, bar = (v.flatten()[worst].item() for v in (draws.mean(0), wanted, error))
    require(
        off.max() <= 1e-12, f"{what}: over draws got {got:.4g} ± {bar:.2g}, expected {aim:.4g}."
    )


def _dense_root(law: GaussianNoise, event: Event) -> Tensor:
    """Σ^½ as a matrix: `colour` of each unit vector."""
    basis = torch.eye(math.prod(event), dtype=torch.float64)
    return law.colour(basis.reshape(-1, *event)).flatten(1).mT


def _check_space(law: GaussianNoise, event: Event, root: Tensor) -> None:
    """`whiten` is the pseudo-inverse of Σ^½, the rank is the freedom, and Σ is of unit size."""
    agree(root, root.mT, 1e-12, f"`colour` of {law} should be symmetric, as Σ^½ is")
    inverse = torch.linalg.pinv(root, rtol=1e-10, hermitian=True)
    basis = torch.eye(len(root), dtype=torch.float64).reshape(-1, *event)
    whiten = law.whiten(basis).flatten(1).mT
    agree(whiten, inverse, 1e-9, f"`whiten` of {law} should be the inverse on the space")
    space = root @ inverse
    agree(law.freedom(event), space.trace(), 1e-9, f"the degrees of freedom of {law}")
    variance = (root @ root).diagonal()
    if (root - space).abs().max() > 1e-12:  # not white on its space
        agree(variance, (variance > 1e-12).double(), 1e-12, f"the variance at an element of {law}")


def _check_covariance(law: GaussianNoise, draws: Tensor, root: Tensor) -> None:
    """Over draws: of unit covariance when whitened, on the space, and in no other direction."""
    space = root @ torch.linalg.pinv(root, rtol=1e-10, hermitian=True)
    agree(draws.flatten(1) @ space, draws.flatten(1), 1e-12, f"draws of {law} must be in its space")
    white = law.whiten(draws).flatten(1)
    products = white.unsqueeze(2) * white.unsqueeze(1)
    _average(products, space, f"the covariance of whitened draws of {law}")


def _laws(law: GaussianNoise, event: Event) -> tuple[Gaussian, Gaussian]:
    """Two Gaussians of one noise, with means in its space and a variance per sample."""
    means = (law(Streams.of(seed, 3), event, torch.float64) for seed in (1, 2))
    variances = (torch.tensor(v, dtype=torch.float64) for v in ((0.2, 1.0, 3.0), (0.5, 0.4, 2.0)))
    q, p = (Gaussian(m, v, law) for m, v in zip(means, variances, strict=True))
    return q, p


def _check_density(law: GaussianNoise, event: Event, root: Tensor) -> None:
    """log N(x; m, v Σ) with the eigenvalues of Σ."""
    q, p = _laws(law, event)
    values, vectors = torch.linalg.eigh(root @ root)
    kept = values > 1e-10
    parts = ((p.mean - q.mean).flatten(1) @ vectors)[:, kept]
    variance = q.variance.unsqueeze(1) * values[kept]
    wanted = -0.5 * (parts**2 / variance + (math.tau * variance).log()).sum(1)
    agree(q.log_prob(p.mean), wanted, 1e-9, f"log_prob of a Gaussian of {law}")


def _check_divergence(law: GaussianNoise, event: Event, root: Tensor) -> None:
    """KL(N(m, v Σ) ‖ N(n, w Σ)) with the dense inverse of Σ."""
    q, p = _laws(law, event)
    gaps = (q.mean - p.mean).flatten(1)
    inverse = torch.linalg.pinv(root @ root, rtol=1e-10, hermitian=True)
    distance = torch.einsum("bi,ij,bj->b", gaps, inverse, gaps)
    rank, ratio = (inverse @ root @ root).trace(), q.variance / p.variance
    wanted = 0.5 * (rank * (ratio - 1.0 - ratio.log()) + distance / p.variance)
    agree(kl(q, p), wanted, 1e-9, f"kl of two Gaussians of {law}")
    agree(kl(q, q), 0.0, 1e-12, f"kl of a Gaussian of {law} from itself")
